"""[control]: the page and the API: where they listen, who may connect, and under which names and certificate. PURE."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Self

DEFAULT_PORT = 8443
MOST_NETWORKS = 64
MOST_BOXES = 32
LONGEST_NAME = 60
_URL = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?/?")
_WITH_PORT = re.compile(r":[0-9]{1,5}/?$")
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
class BoxEntry:
    """[[control.boxes]]: another box of this organisation. `token_file` holds a token of its API, `fingerprint` is what
    its `control fingerprint` prints; without one, its certificate is verified as usual."""

    name: str = ""
    url: str = ""
    token_file: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            raise ValueError(f"name: 1 to {LONGEST_NAME} letters that can be printed")
        if not _URL.fullmatch(self.url) or self.port is None:
            raise ValueError('url: write "https://NAME:8443": no path, no password')
        if not self.token_file.startswith("/"):
            raise ValueError("token_file: write an absolute path")
        if self.fingerprint and not re.fullmatch(r"[0-9a-f]{64}", self.digest):
            raise ValueError("fingerprint: the SHA-256 that netboot-appliance control fingerprint prints there")

    @property
    def port(self) -> int | None:
        """Where it listens; None if that is no port."""
        port = self.url.removeprefix("https://").rpartition(":")[2] if _WITH_PORT.search(self.url) else "443"
        number = int(port.rstrip("/"))
        return number if 0 < number < 65536 else None

    @property
    def host(self) -> str:
        """Its name or address."""
        return _WITH_PORT.sub("", self.url.removeprefix("https://")).rstrip("/")

    @property
    def digest(self) -> str:
        """The fingerprint in lower-case digits; empty if there is none."""
        return self.fingerprint.replace(":", "").lower()


@dataclass(frozen=True)
class ControlSettings:
    """[control].

    `networks`: who may connect at all; none: `boinc.management_hosts`, or else the networks of the box's interfaces.
    `names`: under which the page is known, beside the host's own and those of the certificate. No `certificate`: one
    that the box makes itself. `behind_proxy`: plain HTTP on a loopback address, for a reverse proxy there.
    `metrics_per_pc`: /metrics has series for each PC. `boxes`: others, whose PCs are counted on this page too.
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
    boxes: tuple[BoxEntry, ...] = ()

    def __post_init__(self) -> None:
        for name, path in (("certificate", self.certificate), ("key", self.key)):
            if path and not path.startswith("/"):
                raise ValueError(f"{name}: write an absolute path")
        if self.key and not self.certificate:
            raise ValueError("key: there is no certificate: set both, or neither")
        if len(self.networks) > MOST_NETWORKS:
            raise ValueError(f"networks: {len(self.networks)} networks: at most {MOST_NETWORKS}")
        if len(self.boxes) > MOST_BOXES:
            raise ValueError(f"boxes: {len(self.boxes)} boxes: at most {MOST_BOXES}")
        if len({box.name for box in self.boxes}) != len(self.boxes):
            raise ValueError("boxes: two have one name")
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"names: {name!r} is not a host name: no scheme, no port")
        if self.behind_proxy and not self.listen.address.is_loopback:
            raise ValueError(
                'behind_proxy: needs a loopback address, because it is plain HTTP: listen = "127.0.0.1:8080"'
            )
        if self.behind_proxy and self.certificate:
            raise ValueError("behind_proxy: the certificate belongs to the proxy: remove one of the two")
