"""Writing files that others read: they see the old content or the new, never part of either."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from services.linux import atomic_file


def test_a_file_is_put_in_place_at_once_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o077)
    try:
        atomic_file.write(path, b"one")
        first = path.stat()
        with path.open("rb") as reader:
            atomic_file.write(path, b"two")
            assert reader.read() == b"one", "who reads goes on with what it opened"
    finally:
        os.umask(before)
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != first.st_ino
    assert path.stat().st_mode & 0o7777 == 0o644
    atomic_file.write(path, b"three", mode=0o600, durable=False)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_nobody_else_can_open_it_while_it_is_written(tmp_path: Path) -> None:
    with atomic_file.new_file(tmp_path / "file", mode=0o644) as file:
        assert Path(file.name).stat().st_mode & 0o7777 == 0o600
        assert not (tmp_path / "file").exists()


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root backs up into a directory of a user who wants another file of root's to be overwritten."""
    victim, make = tmp_path / "victim", tempfile.mkstemp
    victim.write_bytes(b"precious")

    def made_and_swapped(**arguments: Any) -> tuple[int, str]:
        descriptor, name = make(**arguments)
        Path(name).unlink()
        Path(name).symlink_to(victim)
        return descriptor, name

    monkeypatch.setattr(tempfile, "mkstemp", made_and_swapped)
    atomic_file.write(tmp_path / "file", b"backup", mode=0o666)
    assert victim.read_bytes() == b"precious"
    assert victim.stat().st_mode & 0o7777 != 0o666


def test_a_writer_that_fails_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_file.new_file(path, mode=0o644) as file:
        file.write(b"half")
        raise RuntimeError
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"old")]


def test_a_full_disk_changes_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_file.write(path, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_share_that_cannot_sync_directories_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sync = os.fsync

    def sync_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_only)
    atomic_file.write(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_writer_that_is_killed_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    script = (
        "import os, sys; from pathlib import Path; from services.linux import atomic_file\n"
        "with atomic_file.new_file(Path(sys.argv[1]), mode=0o644) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_what_may_not_be_replaced_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file.new_file(path, mode=0o600, replace=False) as file:
        file.write(b"mine")
    assert path.stat().st_nlink == 1
    with pytest.raises(FileExistsError), atomic_file.new_file(path, mode=0o600, replace=False) as file:
        file.write(b"other")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"mine")]


def test_of_two_writers_each_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file.new_file(path, mode=0o644) as one, atomic_file.new_file(path, mode=0o644) as two:
        one.write(b"one" * 1000)
        two.write(b"two" * 1000)
    assert path.read_bytes() == b"one" * 1000
