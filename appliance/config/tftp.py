"""[tftp]: how TFTP transfers use ports, and their blocks. Values only. PURE."""

from dataclasses import dataclass
from typing import Literal

_SMALLEST, _LARGEST = 512, 65464  # what every client reads (RFC 1350), and the most there is (RFC 2348)


@dataclass(frozen=True)
class TftpSettings:
    """[tftp]: read at start, like [server].

    `ports`: "shared" sends everything from port 69; firmware accepts that, and a firewall sees one flow per PC.
    "session" gives each transfer a port of its own, as in RFC 1350, for clients and firewalls that insist on it.
    `largest_block`: bytes of a file in one packet, at most. The box's own port may take jumbo frames that the PCs'
    ports do not, and nobody tells the box: so a block fits into an ordinary Ethernet frame unless this says more.
    """

    ports: Literal["shared", "session"] = "shared"
    largest_block: int = 1468

    def __post_init__(self) -> None:
        if not _SMALLEST <= self.largest_block <= _LARGEST:
            raise ValueError(f"largest_block: must be from {_SMALLEST} to {_LARGEST} bytes")
