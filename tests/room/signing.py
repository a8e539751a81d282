"""Signatures that the firmware of a PC with test keys accepts: those of the key that Debian's OVMF comes with, whose
private half everybody has."""

from pathlib import Path

from tests.room.namespaces import run

_KEYS = Path("/usr/share/ovmf")
_PASSWORD = "snakeoil"  # /usr/share/doc/ovmf/README.Debian


def sign(program: bytes, target: Path) -> None:
    """Write the EFI program to `target` with that signature alone; RoomError if it cannot be signed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    key, unsigned = target.with_suffix(".key"), target.with_suffix(".unsigned")
    run(
        [
            *("openssl", "rsa", "-in", str(_KEYS / "PkKek-1-snakeoil.key"), "-passin", f"pass:{_PASSWORD}"),
            *("-out", str(key)),
        ]
    )
    unsigned.write_bytes(program)
    # It fails for a program that has no signature.
    run(["sbattach", "--remove", str(unsigned)], check=False)
    certificate = str(_KEYS / "PkKek-1-snakeoil.pem")
    run(["sbsign", "--key", str(key), "--cert", certificate, "--output", str(target), str(unsigned)])
    key.unlink()
    unsigned.unlink()
