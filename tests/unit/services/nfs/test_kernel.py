"""The kernel's NFS server: how exportfs is called and what is read back.

The real exportfs runs in tests/server/test_exports.py.
"""

import os
import shlex
from pathlib import Path

import pytest

from services.nfs.apply import apply
from services.nfs.backend import Backend, NfsError
from services.nfs.kernel import read_exportfs, require_nfsd


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


ROOT, OWN = "/srv/images", "/srv/state/525400aabbcc"
OPTIONS = "rw,sync,all_squash,anonuid=731,anongid=731,no_subtree_check"
IN_FORCE = (
    "rw,sync,wdelay,hide,nocrossmnt,secure,root_squash,all_squash,no_subtree_check,secure_locks,acl,no_pnfs,"
    "anonuid=731,anongid=731,sec=sys,rw,root_squash,all_squash"
)


class Kernel:
    """An exportfs that records its arguments and what our file says at that time, and the etab that it would keep."""

    def __init__(self, directory: Path, script: str = "") -> None:
        self.calls = directory / "calls"
        self.calls.touch()
        self.file = directory / "exports.d" / "netboot-appliance.exports"
        self.etab = directory / "etab"
        note = f'exec 3>> {self.calls}; printf "%s|" "$@" >&3; cat {self.file} >&3 2>/dev/null; echo >&3\n'
        self.exportfs = program(directory / "my exportfs", note + script)

    def apply(self, text: str) -> bool:
        return apply(
            Backend.KERNEL,
            text,
            roots=("/srv/images", "/srv/state"),
            kernel_file=self.file,
            etab_file=self.etab,
            exportfs=self.exportfs,
        )


def test_the_file_is_written_first_and_then_exportfs_is_given_what_is_new(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    text = f"{OWN} 10.0.0.7/32({OPTIONS})\n"
    assert kernel.apply(text)
    assert kernel.calls.read_text() == f"-i|-o|{OPTIONS}|10.0.0.7/32:{OWN}|{text}\n"
    assert kernel.etab.exists(), "exportfs fails without one"
    first = kernel.file.stat()
    kernel.etab.write_text(f"{OWN}\t10.0.0.7/32({IN_FORCE})\n")
    kernel.calls.write_text("")
    assert not kernel.apply(text), "nothing changed"
    assert kernel.calls.read_text() == "", "so exportfs is not called"
    assert kernel.file.stat().st_ino == first.st_ino
    assert kernel.file.stat().st_mtime_ns == first.st_mtime_ns
    assert kernel.apply("two\n")
    assert kernel.file.stat().st_ino != first.st_ino, "replaced, not overwritten"
    assert kernel.file.stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in kernel.file.parent.iterdir()] == [kernel.file.name], "no temporary file is left"
    assert kernel.calls.read_text() == f"-u|10.0.0.7/32:{OWN}|two\n\n"


def test_an_attempt_that_failed_half_way_is_completed_by_the_next(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    text = f"{OWN} 10.0.0.7/32({OPTIONS})\n"
    kernel.file.parent.mkdir()
    kernel.file.write_text(text)
    kernel.etab.write_text(f"{OWN}\t10.0.0.66/32({IN_FORCE})\n")
    assert not kernel.apply(text)
    calls = [line for line in kernel.calls.read_text().splitlines() if line]
    assert calls == [f"-u|10.0.0.66/32:{OWN}|{text.strip()}", f"-i|-o|{OPTIONS}|10.0.0.7/32:{OWN}|{text.strip()}"]


def test_thousands_of_exports_are_passed_a_thousand_at_a_time(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    text = "".join(
        f"/srv/state/{number:012x} 10.0.{number >> 8}.{number & 255}/32({OPTIONS})\n" for number in range(2500)
    )
    kernel.apply(text)
    calls = [line.split("|") for line in kernel.calls.read_text().splitlines() if line.startswith("-i|")]
    assert [sum(":/srv/state/" in argument for argument in call) for call in calls] == [1000, 1000, 500]


def test_an_export_that_somebody_else_ended_meanwhile_is_not_an_error(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, f"> {tmp_path}/etab; echo 'exportfs: Could not find it to unexport.' >&2; exit 1")
    kernel.etab.write_text(f"{ROOT}\t10.0.0.7/32({IN_FORCE})\n")
    assert not kernel.apply("")
    kernel = Kernel(tmp_path, "exit 1")
    kernel.etab.write_text(f"{ROOT}\t10.0.0.7/32({IN_FORCE})\n")
    with pytest.raises(NfsError, match=r"exportfs ended with status 1: it said nothing"):
        kernel.apply("")


def test_the_file_is_readable_whatever_the_umask(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.file.parent.mkdir()
    before = os.umask(0o077)
    try:
        kernel.apply("one\n")
    finally:
        os.umask(before)
    assert kernel.file.stat().st_mode & 0o7777 == 0o644


def test_a_failed_exportfs_is_reported_with_its_message_and_a_command_to_paste(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, "echo 'exportfs: Failed to stat /srv/x' >&2; exit 1")
    text = f"/srv/x 10.0.0.7/32({OPTIONS})\n"
    with pytest.raises(NfsError, match=r"exportfs ended with status 1: exportfs: Failed to stat /srv/x") as caught:
        kernel.apply(text)
    assert shlex.split(caught.value.command) == [kernel.exportfs, "-i", "-o", OPTIONS, "10.0.0.7/32:/srv/x"]
    assert kernel.file.read_text() == text, "a server that starts later reads it"


def test_a_missing_exportfs_is_reported(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    Path(kernel.exportfs).unlink()
    with pytest.raises(NfsError, match="is not installed") as caught:
        kernel.apply(f"{OWN} 10.0.0.7/32({OPTIONS})\n")
    assert "nfs-kernel-server" in caught.value.hint


def test_files_that_cannot_be_written_or_read_are_reported(tmp_path: Path) -> None:
    with pytest.raises(NfsError, match="cannot write the exports") as caught:
        apply(Backend.KERNEL, "one\n", kernel_file=tmp_path / "no" / "such" / "file", exportfs="/bin/true")
    assert "root" in caught.value.hint
    kernel = Kernel(tmp_path)
    kernel.etab.mkdir()
    with pytest.raises(NfsError, match=r"cannot read .*etab"):
        kernel.apply("one\n")


EXPORTFS = (
    "/srv/images  10.77.0.21/32(ro,wdelay,root_squash,all_squash,no_subtree_check,anonuid=65534,sec=sys)\n"
    "/srv/images  10.77.0.22(ro,wdelay,root_squash,all_squash,no_subtree_check,anonuid=65534,sec=sys)\n"
    "/srv/with\\040space  10.77.0.21(rw)\n"
)


def test_reads_what_exportfs_prints() -> None:
    assert read_exportfs(EXPORTFS) == {
        "/srv/images": ("10.77.0.21", "10.77.0.22"),
        "/srv/with space": ("10.77.0.21",),
    }
    assert read_exportfs("") == {}


def test_the_kernels_server_runs_when_it_has_threads(tmp_path: Path) -> None:
    threads = tmp_path / "threads"
    with pytest.raises(NfsError, match="is not running"):
        require_nfsd(threads)
    threads.write_text("0\n")
    with pytest.raises(NfsError, match="has no threads"):
        require_nfsd(threads)
    threads.write_text("8\n")
    assert require_nfsd(threads) == 8
