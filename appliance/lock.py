"""One server for one data directory: a lock that the kernel releases however the process ends."""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from appliance.errors import UserError

# struct flock of fcntl(2): type, whence, start, length, pid.
_FLOCK = "hhqqi4x"


@contextlib.contextmanager
def only_server(data: Path) -> Iterator[None]:
    """Hold the lock of this data directory; raises UserError naming the process that has it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = _path(data).open("a+")
    except OSError as error:
        raise UserError(f"cannot write to {data}: {error.strerror}", "run as root (sudo)", code=1) from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = holder(data)
            raise UserError(
                f"netboot-appliance serve is running already (process {pid})",
                f"look at it with: netboot-appliance status; stop it with: kill {pid}",
                code=1,
            ) from None
        yield


def holder(data: Path) -> int | None:
    """The process id of the server that runs on this data directory, or None. Asks the kernel; takes no lock itself."""
    try:
        with _path(data).open() as file:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else pid


def _path(data: Path) -> Path:
    return data / "serve.lock"
