"""What a TFTP file name means: the MAC address it claims and the path below the boot root. PURE.

Firmware writes backslashes for slashes (shim#300), doubles them and leads with them (GRUB). Nothing is resolved here:
a `..` stays in the path, for the opener to refuse.
"""

import re
from dataclasses import dataclass

from services.ethernet import MacAddress

_CLAIM = re.compile(r"[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class BootPath:
    """`claimed` is the first component when it is twelve hexadecimal digits; `parts` is the rest."""

    claimed: MacAddress | None
    parts: tuple[str, ...]

    def __str__(self) -> str:
        """The path below the boot root, as it stands in events."""
        return "/".join(self.parts)


def parse(name: str) -> BootPath:
    """Split a name as it was sent; never fails."""
    parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    if parts and _CLAIM.fullmatch(parts[0]):
        return BootPath(MacAddress.parse(parts[0]), parts[1:])
    return BootPath(None, parts)
