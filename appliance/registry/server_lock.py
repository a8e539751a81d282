"""Only one server, and one control process, per registry: locks that the kernel releases however a process ends."""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from appliance.errors import UserError
from appliance.registry.file_owner import acting_as_owner

# struct flock of fcntl(2): type, whence, start, length, pid.
_FLOCK = "hhqqi4x"
_held: set[Path] = set()
"""Locks of this process. F_GETLK does not tell of those, and whoever opens and closes such a file releases its lock:
fcntl(2), "Record locks"."""


@contextlib.contextmanager
def only_server(registry: Path, verb: str = "serve") -> Iterator[None]:
    """Hold the lock beside this registry; raises UserError, which names the process that has it. `verb`: whose lock,
    `serve` or `control`."""
    try:
        registry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with acting_as_owner(registry.parent):
            file = _path(registry, verb).open("a+")
    except OSError as error:
        raise UserError(
            f"cannot write to {registry.parent}: {error.strerror}", _hint(error, registry.parent), code=1
        ) from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = holder(registry, verb)
            raise UserError(
                f"netboot-appliance {verb} is already running (process {pid})",
                f"see what it does: netboot-appliance status; stop it: kill {pid}",
                code=1,
            ) from None
        _held.add(_path(registry, verb))
        try:
            yield
        finally:
            _held.discard(_path(registry, verb))


def holder(registry: Path, verb: str = "serve") -> int | None:
    """The process id of the server, or of the control process, that uses this registry, or None. Asks the kernel; takes
    no lock itself.

    Raises UserError if the caller may not look.
    """
    if _path(registry, verb) in _held:
        return os.getpid()
    try:
        with _path(registry, verb).open() as file:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except PermissionError as error:
        raise UserError(
            f"cannot look into {registry.parent}: {error.strerror}",
            "run with sudo: only the server's user may look there",
            code=1,
        ) from error
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else pid


def _path(registry: Path, verb: str) -> Path:
    return registry.with_name(f"{verb}.lock")


def _hint(error: OSError, directory: Path) -> str:
    if error.errno == errno.EROFS:
        # Either the disk, or the sandbox of the unit, which allows the default data directory only.
        return (
            f"check the disk; for another data directory: systemctl edit netboot-appliance, ReadWritePaths={directory}"
        )
    return "run as root (sudo), or as its unit: systemd-tmpfiles --create; systemctl start netboot-appliance"
