"""[tftp]: how TFTP transfers use ports. Values only."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TftpSettings:
    """[tftp]: read at the start, like [server].

    `ports`: "shared" sends everything from port 69, which firmware takes, and a firewall sees one flow a PC; "session"
    gives each transfer a port of its own, as RFC 1350 has it, for clients and firewalls that insist on it.
    """

    ports: Literal["shared", "session"] = "shared"
