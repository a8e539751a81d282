"""A certificate authority of an office, and the certificate of one of its servers; by openssl."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.room.namespaces import run

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificates:
    """Two files in PEM: what PCs have to trust, and the server's certificate with its key."""

    authority: Path
    server: Path


def issue(directory: Path, address: IPv4Address) -> Certificates:
    """Make an authority, and let it sign a certificate for this address, for a day."""
    directory.mkdir(parents=True, exist_ok=True)
    authority, authority_key = directory / "authority.pem", directory / "authority.key"
    request, key, extensions = directory / "request", directory / "server.key", directory / "extensions"
    server = directory / "server.pem"
    extensions.write_text(f"subjectAltName=IP:{address}\n")
    run(
        [
            *("openssl", "req", "-x509", *_KEY, "-days", "1", "-subj", "/CN=The office"),
            *("-keyout", str(authority_key), "-out", str(authority)),
        ]
    )
    run(["openssl", "req", *_KEY, "-subj", f"/CN={address}", "-keyout", str(key), "-out", str(request)])
    run(
        [
            *("openssl", "x509", "-req", "-days", "1", "-in", str(request), "-extfile", str(extensions)),
            *("-CA", str(authority), "-CAkey", str(authority_key), "-CAcreateserial", "-out", str(server)),
        ]
    )
    server.write_text(server.read_text() + key.read_text())
    return Certificates(authority, server)
