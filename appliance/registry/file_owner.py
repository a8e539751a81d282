"""Root's hands in a directory of another user: file access as that user, so that what is made there stays theirs.

Under systemd the server is not root, and its registry is its own; `sudo netboot-appliance allow add` opens the same
files. As root it would leave files that the server cannot write, and would follow whatever a server that was taken over
puts in their place.
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
    """As root, access files as the owner of `directory` in this block; nothing changes for anybody else.

    setfsuid(2): for this thread alone, and with it the capabilities to pass over file permissions. Raises OSError.
    """
    owner = directory.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    # In this order: without CAP_SETGID's root nobody can set the group.
    _libc.setfsgid(owner.st_gid)
    _libc.setfsuid(owner.st_uid)
    try:
        yield
    finally:
        _libc.setfsuid(0)
        _libc.setfsgid(os.getegid())


def copy_in(source: Path, target: Path) -> None:
    """Copy a file that root can read to a new file of mode 0600 that belongs to the owner of its directory.

    It is on the disk on return. Raises OSError, FileExistsError if there is something of that name.
    """
    with source.open("rb") as content:
        with acting_as_owner(target.parent):
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
