"""[tftp]: how TFTP transfers use ports. Values only. PURE."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TftpSettings:
    """[tftp]: read at start, like [server].

    `ports`: "shared" sends everything from port 69; firmware accepts that, and a firewall sees one flow per PC.
    "session" gives each transfer a port of its own, as in RFC 1350, for clients and firewalls that insist on it.
    """

    ports: Literal["shared", "session"] = "shared"
