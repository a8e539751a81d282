"""Puts boot loaders, of Debian's ipxe package or the administrator's own, where TFTP and HTTP serve them."""

import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path("/usr/lib/ipxe")
_PACKAGED = ("undionly.kpxe", "snponly.efi", "ipxe.efi")


class BootFileError(Exception):
    """A boot file cannot be installed; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def original(name: str, own: Path, packaged: Path = SOURCE) -> bytes:
    """The content of a boot file: that in the directory `own`, else that of the package; raises BootFileError."""
    for path in (own / name, packaged / name):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BootFileError(
                f"the boot file {path} cannot be read: {error.strerror}",
                f"the server is not root: chmod a+rX {path.parent} {path}",
            ) from error
    raise BootFileError(
        f"the boot file {name} is neither in {own} nor in {packaged}",
        "install it: apt-get install ipxe"
        if name in _PACKAGED
        else 'put it there, readable for all, or name another one in [boot.loaders] ("" for none)',
    )


def install(root: Path, names: Sequence[str], own: Path, packaged: Path = SOURCE) -> tuple[Path, ...]:
    """Copy the boot files into `root` where they differ, each in one step; return all their paths.

    Raises BootFileError, and then has changed no file.
    """
    contents = {name: original(name, own, packaged) for name in names}
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, content in contents.items():
            _place(root / name, content)
    except OSError as error:
        raise BootFileError(
            f"the boot files cannot be written to {root}: {error.strerror}",
            f"check the disk and who owns {root}; under systemd: systemd-tmpfiles --create",
        ) from error
    return tuple(root / name for name in names)


def _place(path: Path, content: bytes) -> None:
    # One of another owner, from a time when the server ran as root, is replaced: its mode cannot be changed.
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) == 0o644 and path.read_bytes() == content:
        return
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
