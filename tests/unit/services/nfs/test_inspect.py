"""What is read of an NFS server without touching it; NFS-Ganesha itself is looked at in tests/netns/test_doctor.py."""

import os
from pathlib import Path

import pytest

from services.nfs.apply import NfsError
from services.nfs.inspect import read_exportfs, require_ganesha, require_nfsd

EXPORTFS = (
    "/srv/images  10.77.0.21/32(ro,wdelay,root_squash,all_squash,no_subtree_check,anonuid=65534,sec=sys)\n"
    "/srv/images  10.77.0.22(ro,wdelay,root_squash,all_squash,no_subtree_check,anonuid=65534,sec=sys)\n"
    "/srv/with\\040space  10.77.0.21(rw)\n"
)


def test_what_exportfs_prints() -> None:
    assert read_exportfs(EXPORTFS) == {
        "/srv/images": ("10.77.0.21", "10.77.0.22"),
        "/srv/with space": ("10.77.0.21",),
    }
    assert read_exportfs("") == {}


def test_the_kernels_server(tmp_path: Path) -> None:
    threads = tmp_path / "threads"
    with pytest.raises(NfsError, match="is not running"):
        require_nfsd(threads)
    threads.write_text("0\n")
    with pytest.raises(NfsError, match="has no threads"):
        require_nfsd(threads)
    threads.write_text("8\n")
    assert require_nfsd(threads) == 8


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no"),
        ("x", "does not name"),
        pytest.param(str(os.getpid()), "which is not it", id="another-program"),
        ("999999999", "which is not it"),
    ],
)
def test_a_pid_file_without_ganesha(tmp_path: Path, content: str | None, said: str) -> None:
    pid_file = tmp_path / "pid"
    if content is not None:
        pid_file.write_text(content)
    with pytest.raises(NfsError, match=said):
        require_ganesha(pid_file, tmp_path / "ours.conf")
