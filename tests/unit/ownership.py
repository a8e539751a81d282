"""Files of several users in one test: real ones when root runs the tests, remembered ones for anybody else.

`make unit` needs no root. What the product decides by owners is tested either way. What only the kernel can
show, access that it refuses to another user, is marked `needs_root`; pytest's summary says what is left out and why.
"""

import ctypes
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = os.geteuid() == 0
CLONE_NEWUSER = 0x10000000  # linux/sched.h

OTHER_USER, OTHER_GROUP = (61234, 61234) if ROOT else (os.geteuid(), os.getegid())
"""The server's user, who is not root. Without root nobody is there but ourselves."""

AS_ROOT = () if ROOT else ("unshare", "--map-root-user", "--")
"""Before a command: it is root, in a user namespace that has only one user where it cannot be the real one."""

needs_root = pytest.mark.skipif(not ROOT, reason="only root has files of two users: sudo make unit")


def open_to_others(directory: Path) -> None:
    """Let other users pass through a temporary directory and those above it, which pytest keeps to their owner.

    The directory that all temporary files are in stays as it is: it is not the tests' own.
    """
    for each in itertools.takewhile(lambda path: path != Path(tempfile.gettempdir()), (directory, *directory.parents)):
        each.chmod(0o755)


def become_root() -> None:
    """Be root for the rest of this process: in a user namespace of its own, where it is not. Only after os.fork."""
    if ROOT:
        return
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no user namespace (sysctl user.max_user_namespaces): {os.strerror(number)}")
    # user_namespaces(7): a process without privileges maps only itself, and its group once setgroups is denied.
    for name, content in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(content)


class Owners:
    """The owners that a test without root gave its files. Its own files count as root's, as they would be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._given: dict[tuple[int, int], tuple[int, int]] = {}
        self._me = os.geteuid(), os.getegid()
        self._stat, self._fstat = os.stat, os.fstat
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "chown", self._chown)
        monkeypatch.setattr(os, "stat", lambda *where, **options: self._seen(self._stat(*where, **options)))
        monkeypatch.setattr(os, "fstat", lambda descriptor: self._seen(self._fstat(descriptor)))

    def _chown(self, path: Any, uid: int, gid: int, **where: Any) -> None:
        found = self._stat(path, **where)
        self._given[found.st_dev, found.st_ino] = uid, gid

    def _seen(self, found: os.stat_result) -> os.stat_result:
        uid, gid = (0 if own == me else own for own, me in zip((found.st_uid, found.st_gid), self._me, strict=True))
        uid, gid = self._given.get((found.st_dev, found.st_ino), (uid, gid))
        return os.stat_result((*found[:4], uid, gid, *found[6:]))


@pytest.fixture
def owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test call os.chown as root may, for code that decides by the owners that os.stat and os.fstat name.

    `tmp_path` comes first: pytest itself looks whose it is.
    """
    if not ROOT:
        Owners(monkeypatch)
