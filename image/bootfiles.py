"""Puts the boot loaders of Debian's ipxe package where TFTP serves them."""

import os
import stat
import tempfile
from pathlib import Path

BOOT_FILES = ("undionly.kpxe", "snponly.efi")
SOURCE = Path("/usr/lib/ipxe")


class BootFileError(Exception):
    """A boot file cannot be installed; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def install(root: Path, source: Path = SOURCE) -> tuple[Path, ...]:
    """Copy the boot files into `root` where they differ, each in one step; return all their paths.

    Raises BootFileError, and then has changed no file.
    """
    contents: dict[str, bytes] = {}
    for name in BOOT_FILES:
        try:
            contents[name] = (source / name).read_bytes()
        except OSError as error:
            raise BootFileError(
                f"the boot file {source / name} cannot be read: {error.strerror}", "install it: apt-get install ipxe"
            ) from error
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, content in contents.items():
            _place(root / name, content)
    except OSError as error:
        raise BootFileError(
            f"the boot files cannot be written to {root}: {error.strerror}",
            f"check the disk and who owns {root}; under systemd: systemd-tmpfiles --create",
        ) from error
    return tuple(root / name for name in BOOT_FILES)


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
