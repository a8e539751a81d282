"""`exchange.py A B` swaps two paths of one file system in one step: renameat2(2) with RENAME_EXCHANGE.

Python and coreutils of Debian 12 have no call for it. Both paths must exist.
"""

import ctypes
import os
import sys

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(one: str, other: str) -> None:
    """Raises OSError; then nothing has changed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


if __name__ == "__main__":
    exchange(*sys.argv[1:])
