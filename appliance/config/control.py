"""[control]: the page and the API: where they listen, who may connect, and under which names and certificate. PURE."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Self

DEFAULT_PORT = 8443
MOST_NETWORKS = 64
_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)


class ListenAddress(str):
    """ADDRESS:PORT, :PORT (all addresses) or ADDRESS (port 8443). Raises ValueError."""

    __slots__ = ("address", "port")
    address: IPv4Address
    port: int

    def __new__(cls, text: str) -> Self:
        """Read the text and check it."""
        new = super().__new__(cls, text)
        address, colon, port = text.partition(":")
        try:
            new.address = IPv4Address(address or "0.0.0.0")  # noqa: S104 - who may connect is decided for each address
            new.port = int(port) if colon and port.isascii() and port.isdecimal() else DEFAULT_PORT if not colon else 0
        except ValueError:
            new.port = 0
        if not text or not 0 < new.port < 65536:
            raise ValueError('write "ADDRESS:PORT", or ":PORT" for all addresses of this server, such as ":8443"')
        return new


@dataclass(frozen=True)
class ControlSettings:
    """[control].

    `networks`: who may connect at all; none: `boinc.management_hosts`, or else the networks of the box's interfaces.
    `names`: under which the page is known, beside the host's own and those of the certificate. No `certificate`: one
    that the box makes itself. `behind_proxy`: plain HTTP on a loopback address, for a reverse proxy there.
    `metrics_per_pc`: /metrics has series for each PC.
    """

    enabled: bool = True
    listen: ListenAddress = field(default_factory=lambda: ListenAddress(f":{DEFAULT_PORT}"))
    certificate: str = ""
    key: str = ""
    networks: tuple[IPv4Network, ...] = ()
    names: tuple[str, ...] = ()
    view_without_login: bool = False
    behind_proxy: bool = False
    metrics_per_pc: bool = False

    def __post_init__(self) -> None:
        for name, path in (("certificate", self.certificate), ("key", self.key)):
            if path and not path.startswith("/"):
                raise ValueError(f"{name}: write an absolute path")
        if self.key and not self.certificate:
            raise ValueError("key: there is no certificate: set both, or neither")
        if len(self.networks) > MOST_NETWORKS:
            raise ValueError(f"networks: {len(self.networks)} networks: at most {MOST_NETWORKS}")
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"names: {name!r} is not a host name: no scheme, no port")
        if self.behind_proxy and not self.listen.address.is_loopback:
            raise ValueError(
                'behind_proxy: needs a loopback address, because it is plain HTTP: listen = "127.0.0.1:8080"'
            )
        if self.behind_proxy and self.certificate:
            raise ValueError("behind_proxy: the certificate belongs to the proxy: remove one of the two")
