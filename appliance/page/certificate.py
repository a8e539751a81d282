"""The page's certificate: one that the box makes itself, or the administrator's own.

The box's own is ECDSA P-256, signed by itself, and valid for ten years. It is made again a month before it ends, and
when the page starts at an address that it does not name. It is one file with the key, which only the service's user may
read. `openssl` makes it and reads all of them.
"""

import hashlib
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.page.address import page_addresses
from appliance.registry.file_owner import acting_as_owner
from services.linux import atomic_file, programs
from services.linux.interfaces import interfaces

_RENEW_BEFORE = 30 * 86400.0  # seconds before its end at which the box makes its own certificate again
_DAYS = 3650
_SECONDS = 20.0
_LARGEST = 1 << 20  # bytes of a file with certificates
_REQUEST = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = {name}
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {names}
"""
_END = re.compile(r"^notAfter=(.+)$", re.MULTILINE)
_NAMES = re.compile(r"\bDNS:([^,\s]+)")
_ADDRESSES = re.compile(r"\bIP Address:([0-9.]+)(?=,|\s|$)")


@dataclass(frozen=True)
class Certificate:
    """What a certificate says. `ends`: seconds since the epoch; `fingerprint`: SHA-256, as browsers show it."""

    path: Path
    fingerprint: str
    ends: float
    names: tuple[str, ...]
    addresses: tuple[IPv4Address, ...] = ()


def own_path(config: Config) -> Path:
    """The file with the box's own certificate and its key."""
    return config.registry.with_name("control.pem")


def path_of(config: Config) -> Path:
    """The file with the certificate in force."""
    return Path(config.control.certificate) if config.control.certificate else own_path(config)


def is_ending(found: Certificate, now: float) -> bool:
    """Whether it ends within a month, or has ended; `now` in seconds since the epoch."""
    return found.ends - now < _RENEW_BEFORE


def ensure(config: Config, now: float) -> Certificate:
    """The certificate in force. Makes the box's own if there is none, if it ends soon, or if it does not name an
    address of the page or a name of [control] names: browsers and programs would not believe it there. Raises
    UserError."""
    path = path_of(config)
    if not config.control.certificate and (not path.exists() or not _serves(read(path), config, now)):
        _make(path, config)
    return read(path)


def read(path: Path) -> Certificate:
    """What the first certificate in a file says; raises UserError."""
    try:
        with acting_as_owner(path.parent):
            text = _read(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in PEM form"
        raise UserError(f"cannot read the certificate {path}: {reason}", _hint(path), code=1) from None
    found = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
    if not found:
        raise UserError(f"{path} holds no certificate in PEM form", _hint(path), code=1)
    try:
        said = programs.output(
            ["openssl", "x509", "-noout", "-enddate", "-ext", "subjectAltName"], seconds=_SECONDS, text=found[0]
        )
        ends = float(ssl.cert_time_to_seconds(_END.findall(said)[0]))
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest().upper()
    except programs.ProgramError as error:
        if error.missing:
            raise _without_openssl(error) from None
        raise UserError(f"{path} holds a certificate that cannot be read: {error.said}", _hint(path), code=1) from None
    except (ValueError, LookupError):
        raise UserError(f"{path} holds a certificate that cannot be read", _hint(path), code=1) from None
    fingerprint = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    return Certificate(
        path,
        fingerprint,
        ends,
        tuple(name.lower() for name in _NAMES.findall(said)),
        tuple(IPv4Address(address) for address in _ADDRESSES.findall(said)),
    )


def _read(path: Path) -> str:
    _assert_file(path)
    with path.open("rb") as file:
        return file.read(_LARGEST).decode("ascii")


def _assert_file(path: Path) -> None:
    """Raises ValueError: a pipe would be waited for, and a device read, for ever."""
    if path.exists() and not path.is_file():
        raise ValueError("not a file")


def context(config: Config) -> ssl.SSLContext:
    """TLS with the certificate in force; raises UserError."""
    fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    fresh.minimum_version = ssl.TLSVersion.TLSv1_2
    fresh.set_alpn_protocols(["http/1.1"])
    path = path_of(config)
    try:
        _assert_file(Path(config.control.key or path))
        fresh.load_cert_chain(path, config.control.key or None, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)
        raise UserError(f"cannot use the certificate {path}: {reason}", _hint(path), code=1) from None
    return fresh


def host_names() -> tuple[str, ...]:
    """The names that this host has for itself. No resolver is asked: it may be away."""
    return tuple(dict.fromkeys(filter(None, (socket.gethostname().lower(), "localhost"))))


def _serves(found: Certificate, config: Config, now: float) -> bool:
    return (
        not is_ending(found, now)
        and {*_names(config)} <= {*found.names}
        and {*page_addresses(config)} <= {*found.addresses}
    )


def _names(config: Config) -> list[str]:
    wanted = dict.fromkeys((*host_names(), *config.control.names))
    return [name for name in wanted if re.fullmatch(r"[a-z0-9._-]{1,63}", name)]


def _make(path: Path, config: Config) -> None:
    names = _names(config)
    addresses = [IPv4Address("127.0.0.1"), *page_addresses(config), *(each.address.ip for each in interfaces())]
    text = _REQUEST.format(name=names[0], names=_alternatives(names, addresses))
    command = ["openssl", "req", "-x509", "-config", "-", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-sha256", "-days", str(_DAYS), "-keyout", "-", "-out", "-"]
    try:
        made = programs.output(command, seconds=_SECONDS, text=text)
    except programs.ProgramError as error:
        raise _without_openssl(error) from None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with acting_as_owner(path.parent):
            atomic_file.write(path, made.encode("ascii"), mode=0o600)
    except OSError as error:
        raise UserError(f"cannot write the certificate {path}: {error.strerror}", "run with sudo", code=1) from None


def _alternatives(names: Sequence[str], addresses: Sequence[IPv4Address]) -> str:
    return ", ".join([*(f"DNS:{name}" for name in names), *dict.fromkeys(f"IP:{address}" for address in addresses)])


def _without_openssl(error: programs.ProgramError) -> UserError:
    return UserError(
        f"no certificate: {error}", "sudo apt install openssl" if error.missing else f"try: {error.paste}", code=1
    )


def _hint(path: Path) -> str:
    return f"the service needs to read it: ls -l {path}; see what it is: openssl x509 -text -noout -in {path}"
