"""Elements in the XML of BOINC, which is too loose for a real parser."""

import re
from xml.sax.saxutils import escape, unescape


def element(text: str, name: str) -> str:
    """The content of the first element of that name, or an empty string."""
    match = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return unescape(match[1].strip()) if match else ""


def number(text: str, name: str) -> float:
    """The number in the first element of that name, or 0."""
    return float(element(text, name) or 0)


def written(**elements: object) -> str:
    """The elements of these names, one a line; None: left out."""
    return "".join(
        f"<{name}>{escape(str(int(value) if isinstance(value, bool) else value))}</{name}>\n"
        for name, value in elements.items()
        if value is not None
    )
