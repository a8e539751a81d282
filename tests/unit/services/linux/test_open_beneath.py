"""Nothing outside the root is opened, whatever the path says."""

import os
import resource
from pathlib import Path

import pytest

from services.decision import Ignore, Reason
from services.linux.open_beneath import OpenFile, open_beneath


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "file").write_bytes(b"content")
    (root / "dir" / "deep").write_bytes(b"deep")
    (tmp_path / "secret").write_bytes(b"secret")
    return root


def test_opens_a_regular_file(root: Path) -> None:
    file = open_beneath(root, ("dir", "deep"))
    assert isinstance(file, OpenFile)
    assert (file.size, os.pread(file.fd, 100, 0)) == (4, b"deep")
    assert file.modified_ns == (root / "dir" / "deep").stat().st_mtime_ns
    file.close()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (("..", "secret"), Reason.OUTSIDE_ROOT),
        (("dir", "..", "file"), Reason.OUTSIDE_ROOT),
        (("dir/../../secret",), Reason.OUTSIDE_ROOT),
        (("/etc/passwd",), Reason.OUTSIDE_ROOT),
        (("",), Reason.OUTSIDE_ROOT),
        (("file\0",), Reason.OUTSIDE_ROOT),
        ((), Reason.NO_FILE),
        (("dir",), Reason.NO_FILE),
        (("missing",), Reason.NO_FILE),
        (("file", "below"), Reason.NO_FILE),
        (("n" * 300,), Reason.NO_FILE),
        (("\udcff\ud800",), Reason.NO_FILE),
    ],
)
def test_refuses(root: Path, parts: tuple[str, ...], reason: Reason) -> None:
    assert open_beneath(root, parts) == Ignore(reason)


def test_no_link_is_followed(root: Path) -> None:
    (root / "link").symlink_to("../secret")
    (root / "inward").symlink_to("file")
    (root / "up").symlink_to("..")
    (root / "same").symlink_to("dir")
    for parts in (("link",), ("inward",), ("up", "secret"), ("same", "deep")):
        assert open_beneath(root, parts) == Ignore(Reason.OUTSIDE_ROOT)


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    (root.parent / "alias").symlink_to(root)
    file = open_beneath(root.parent / "alias", ("file",))
    assert isinstance(file, OpenFile)
    file.close()


def test_a_fifo_neither_opens_nor_hangs(root: Path) -> None:
    os.mkfifo(root / "fifo")
    assert open_beneath(root, ("fifo",)) == Ignore(Reason.NO_FILE)


def test_a_missing_root_counts_as_a_missing_file(tmp_path: Path) -> None:
    assert open_beneath(tmp_path / "nowhere", ("file",)) == Ignore(Reason.NO_FILE)


def test_no_descriptor_leaks(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for parts in (("dir", "deep"), ("dir", "missing"), ("dir",), ("dir", "deep", "x", "y"), ("..",)):
        file = open_beneath(root, parts)
        if isinstance(file, OpenFile):
            file.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_running_out_of_descriptors_has_its_own_reason(root: Path) -> None:
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        refused = open_beneath(root, ("file",))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    assert refused == Ignore(Reason.TOO_MANY)


def test_a_replaced_file_stays_readable(root: Path) -> None:
    file = open_beneath(root, ("file",))
    assert isinstance(file, OpenFile)
    (root / "new").write_bytes(b"new")
    (root / "new").replace(root / "file")
    assert os.pread(file.fd, 100, 0) == b"content"
    file.close()
