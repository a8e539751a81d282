"""Host names of PCs, made from a pattern such as `{label}-{mac4}`. RFC 1123, section 2.1. PURE.

Two PCs with one name would be one host for BOINC's projects. So each pattern has the MAC address in it, or its last
digits; whoever gives out names made of the last digits has to see that no other PC has the same
(appliance/live/host_name.py).
"""

import re
import unicodedata

from services.ethernet import MacAddress

STANDARD = "boinc-{mac}"
LONGEST = 63
"""Characters of a name: a label of DNS."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_DIGITS = {"mac": 12, "mac6": 6, "mac4": 4}
_UNFIT = re.compile(r"[^a-z0-9]+")


def check(pattern: str) -> str:
    """The pattern, in small letters; raises ValueError for one that cannot give each PC a name of its own."""
    pattern = pattern.lower()
    fields = _FIELD.findall(pattern)
    for name in fields:
        if name not in _DIGITS and name != "label":
            raise ValueError(f"there is no {{{name}}}: write {{mac}}, {{mac6}}, {{mac4}} or {{label}}")
    if not set(fields) & set(_DIGITS):
        raise ValueError("all PCs would have one name: write {mac}, or its last digits {mac6} or {mac4}, too")
    literal = _FIELD.sub("", pattern)
    if not re.fullmatch(r"[a-z0-9-]*", literal):
        raise ValueError("a host name has letters, digits and hyphens")
    if pattern.startswith("-") or pattern.endswith("-"):
        raise ValueError("a host name neither begins nor ends with a hyphen")
    size = len(literal) + sum(_DIGITS.get(name, 0) for name in fields)
    # One with the last digits may have to take them all.
    if size + (0 if "mac" in fields else 12) > LONGEST:
        raise ValueError(f"a host name has {LONGEST} characters at most")
    return pattern


def render(pattern: str, mac: MacAddress, label: str) -> str:
    """The name of a PC whose range has this label; `pattern` has passed `check`. A label that is too long is cut."""
    fields = {name: mac.bare[-digits:] for name, digits in _DIGITS.items()}
    letters = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    fields["label"] = _UNFIT.sub("-", letters).strip("-")
    size = len(_fill(pattern, {**fields, "label": ""}))
    fields["label"] = fields["label"][: (LONGEST - size) // max(pattern.count("{label}"), 1)].strip("-")
    name = re.sub("-{2,}", "-", _fill(pattern, fields)).strip("-")
    # Digits alone are an address to many programs.
    return f"pc-{name}" if name.isdigit() else name


def widened(pattern: str) -> str:
    """The pattern with the whole MAC address in the place of its last digits."""
    return re.sub(r"\{mac[46]\}", "{mac}", pattern, count=1)


def _fill(pattern: str, fields: dict[str, str]) -> str:
    return _FIELD.sub(lambda field: fields[field[1]], pattern)
