"""[boinc]: from where the PCs' clients may be managed, what they reach, and when and how much they compute."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from appliance.config import selection
from services.boinc.files import Proxy
from services.boinc.preferences import Preferences

LAN_LIMIT = 16
"""The longest list of networks in [boinc] lan."""
MOST_EXCEPTIONS = 64
"""[[boinc.exceptions]]"""
LARGEST_CA = 64 << 10
"""Bytes of [boinc] ca_file."""


class CertificateFile(str):
    """The path of a file with certificates in PEM form, which is read when the configuration is. `pem` is its text.
    Raises ValueError. An empty path is no file."""

    __slots__ = ("pem",)
    pem: str

    def __new__(cls, path: str) -> Self:
        """Read the file and check it."""
        new = super().__new__(cls, path)
        new.pem = _certificates(Path(path)) if path else ""
        return new


def _certificates(path: Path) -> str:
    if not path.is_absolute():
        raise ValueError("write an absolute path")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CA + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; the service needs to read it too") from None
    if len(content) > LARGEST_CA:
        raise ValueError(f"has more than {LARGEST_CA // 1024} kB: it should hold your own CA's certificates only")
    if b"PRIVATE KEY" in content:
        raise ValueError("contains a private key: remove it, the PCs would get it")
    # Imported only here: root's helper reads the configuration too, and a PC waits for it.
    import ssl  # noqa: PLC0415

    try:
        text = content.decode("ascii")
        if not text:
            raise ValueError
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ValueError, ssl.SSLError):
        raise ValueError("holds no certificates in PEM form (-----BEGIN CERTIFICATE-----)") from None
    return text if text.endswith("\n") else text + "\n"


@dataclass(frozen=True)
class PreferencesFor(Preferences):
    """[[boinc.exceptions]]: preferences of some PCs; what is not set is as in [boinc.preferences]."""

    for_: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.for_:
            raise ValueError('for is missing: write for = ["52:54:00:*", "a label"]')
        selection.check(self.for_)


@dataclass(frozen=True)
class BoincSettings:
    """[boinc].

    `network` "internet" keeps BOINC, and the science applications, out of the local network, except for `lan`. `proxy`:
    http://[USER:PASSWORD@]HOST:PORT; `no_proxy` are hosts that BOINC reaches without it. `ca_file` holds certificates
    that BOINC trusts beside Debian's.
    """

    management_hosts: tuple[IPv4Address, ...] = ()
    network: Literal["internet", "all"] = "internet"
    lan: tuple[IPv4Network, ...] = ()
    proxy: str = ""
    no_proxy: tuple[str, ...] = ()
    ca_file: CertificateFile = field(default_factory=lambda: CertificateFile(""))
    preferences: Preferences = field(default_factory=Preferences)
    exceptions: tuple[PreferencesFor, ...] = ()

    def __post_init__(self) -> None:
        if len(self.lan) > LAN_LIMIT:
            raise ValueError(f"lan: {len(self.lan)} networks, but a kernel command line has room for {LAN_LIMIT}")
        if self.lan and self.network == "all":
            raise ValueError('lan: with network = "all" everything is open already: remove one of the two')
        if len(self.exceptions) > MOST_EXCEPTIONS:
            raise ValueError(f"exceptions: at most {MOST_EXCEPTIONS}")
        _ = self.web_proxy

    @property
    def web_proxy(self) -> Proxy | None:
        """The proxy, or None."""
        return proxy_of(self.proxy, self.no_proxy)


def proxy_of(url: str, exceptions: tuple[str, ...]) -> Proxy | None:
    """The proxy of the settings `proxy` and `no_proxy`; None for an empty URL. Raises ValueError that begins with the
    name of the wrong one."""
    if not url:
        if exceptions:
            raise ValueError("no_proxy: there is no proxy")
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    # The text is not repeated: it may hold a password.
    if not host or parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError('proxy: write "http://HOST:PORT", or "http://USER:PASSWORD@HOST:PORT"')
    try:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return Proxy(host, port or 3128, user, password, exceptions)
    except ValueError as error:
        raise ValueError(f"{'no_proxy' if 'host' in str(error) else 'proxy'}: {error}") from None
