"""File access by root in another user's directory, done as that user, so that new files belong to that user.

Under systemd the server is not root and owns its registry; `sudo netboot-appliance allow add` opens the same files. As
root it would leave files that the server cannot write, and would follow whatever a compromised server puts there.
"""

import contextlib
import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def acting_as_owner(directory: Path) -> Iterator[None]:
    """As root, access files as the owner of `directory` in this block; for other users nothing changes.

    setfsuid(2): it affects this thread only, and drops the capabilities that override file permissions. Raises OSError.
    """
    owner = directory.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    # The group first: setting it takes root's CAP_SETGID.
    _libc.setfsgid(owner.st_gid)
    _libc.setfsuid(owner.st_uid)
    try:
        yield
    finally:
        _libc.setfsuid(0)
        _libc.setfsgid(os.getegid())


def copy_in(source: Path, target: Path) -> None:
    """Copy a file that root can read to a new file, mode 0600, owned by the owner of its directory.

    It is on the disk on return. Raises OSError; FileExistsError if the name is taken.
    """
    with source.open("rb") as content:
        with acting_as_owner(target.parent):
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
