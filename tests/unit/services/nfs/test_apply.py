"""Choosing a backend, writing the file, and every way in which the NFS server may not be there."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.nfs.apply import Backend, NfsError, Probes, Setting, apply, choose, probe

EVERYTHING = Probes(nfsd=True, exportfs=True, ganesha=True, ganesha_vfs=True)
NOTHING = Probes(nfsd=False, exportfs=False, ganesha=False, ganesha_vfs=False)
ONLY_GANESHA = Probes(nfsd=False, exportfs=False, ganesha=True, ganesha_vfs=True)


@pytest.mark.parametrize(
    ("setting", "probes", "backend", "why"),
    [
        ("auto", EVERYTHING, Backend.KERNEL, "this kernel has nfsd, and exportfs is installed"),
        ("auto", ONLY_GANESHA, Backend.GANESHA, "this kernel has no nfsd, and NFS-Ganesha is installed"),
        (
            "auto",
            Probes(nfsd=True, exportfs=False, ganesha=True, ganesha_vfs=True),
            Backend.GANESHA,
            "exportfs is not installed, and NFS-Ganesha is installed",
        ),
        ("ganesha", EVERYTHING, Backend.GANESHA, "the configuration says so"),
        ("kernel", EVERYTHING, Backend.KERNEL, "the configuration says so"),
    ],
)
def test_the_backend_is_chosen_and_the_reason_told(
    setting: Setting, probes: Probes, backend: Backend, why: str
) -> None:
    assert choose(setting, probes) == (backend, why)


@pytest.mark.parametrize(
    ("setting", "probes", "message", "hint"),
    [
        ("auto", NOTHING, "no nfsd, and NFS-Ganesha is not installed", "nfs-ganesha nfs-ganesha-vfs"),
        ("auto", Probes(True, False, False, False), "exportfs is not installed", "nfs-kernel-server"),
        ("auto", Probes(False, True, True, False), "libfsalvfs", "nfs-ganesha-vfs"),
        ("kernel", ONLY_GANESHA, "this kernel has no nfsd", 'backend = "ganesha"'),
        ("kernel", Probes(True, False, True, True), "exportfs is not installed", "nfs-kernel-server"),
        ("ganesha", Probes(True, True, False, False), "NFS-Ganesha is not installed", "nfs-ganesha nfs-ganesha-vfs"),
        ("ganesha", Probes(True, True, True, False), "libfsalvfs", "nfs-ganesha-vfs"),
    ],
)
def test_a_backend_that_is_not_there_is_an_error_with_a_hint(
    setting: Setting, probes: Probes, message: str, hint: str
) -> None:
    with pytest.raises(NfsError) as caught:
        choose(setting, probes)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_the_probes_look_at_this_machine() -> None:
    found = probe()
    assert found.ganesha == any(
        (Path(folder) / "ganesha.nfsd").exists() for folder in (*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin")
    )


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
    """An exportfs that notes how it is called and what our file says then, and the etab that it would keep.

    The real one: tests/server/test_exportfs.py.
    """

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


def test_the_kernels_file_is_written_first_and_exportfs_told_what_is_new(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    text = f"{OWN} 10.0.0.7/32({OPTIONS})\n"
    assert kernel.apply(text)
    assert kernel.calls.read_text() == f"-i|-o|{OPTIONS}|10.0.0.7/32:{OWN}|{text}\n"
    assert kernel.etab.exists(), "exportfs fails where there is none yet"
    first = kernel.file.stat()
    kernel.etab.write_text(f"{OWN}\t10.0.0.7/32({IN_FORCE})\n")
    kernel.calls.write_text("")
    assert not kernel.apply(text), "nothing changed"
    assert kernel.calls.read_text() == "", "and nobody is told"
    assert kernel.file.stat().st_ino == first.st_ino
    assert kernel.file.stat().st_mtime_ns == first.st_mtime_ns
    assert kernel.apply("two\n")
    assert kernel.file.stat().st_ino != first.st_ino, "replaced, not written over"
    assert kernel.file.stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in kernel.file.parent.iterdir()] == [kernel.file.name], "no temporary file stays"
    assert kernel.calls.read_text() == f"-u|10.0.0.7/32:{OWN}|two\n\n"


def test_what_an_attempt_left_that_failed_half_way_is_put_right(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    text = f"{OWN} 10.0.0.7/32({OPTIONS})\n"
    kernel.file.parent.mkdir()
    kernel.file.write_text(text)
    kernel.etab.write_text(f"{OWN}\t10.0.0.66/32({IN_FORCE})\n")
    assert not kernel.apply(text)
    told = [line for line in kernel.calls.read_text().splitlines() if line]
    assert told == [f"-u|10.0.0.66/32:{OWN}|{text.strip()}", f"-i|-o|{OPTIONS}|10.0.0.7/32:{OWN}|{text.strip()}"]


def test_thousands_of_exports_are_told_a_thousand_at_a_time(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    text = "".join(
        f"/srv/state/{number:012x} 10.0.{number >> 8}.{number & 255}/32({OPTIONS})\n" for number in range(2500)
    )
    kernel.apply(text)
    told = [line.split("|") for line in kernel.calls.read_text().splitlines() if line.startswith("-i|")]
    assert [sum(":/srv/state/" in argument for argument in call) for call in told] == [1000, 1000, 500]


def test_an_unexport_that_somebody_was_faster_with_is_no_error(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, f"> {tmp_path}/etab; echo 'exportfs: Could not find it to unexport.' >&2; exit 1")
    kernel.etab.write_text(f"{ROOT}\t10.0.0.7/32({IN_FORCE})\n")
    assert not kernel.apply("")
    kernel = Kernel(tmp_path, "exit 1")
    kernel.etab.write_text(f"{ROOT}\t10.0.0.7/32({IN_FORCE})\n")
    with pytest.raises(NfsError, match=r"exportfs failed \(1\): it said nothing"):
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


def test_a_failed_exportfs_is_told_with_its_words_and_a_command_to_paste(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, "echo 'exportfs: Failed to stat /srv/x' >&2; exit 1")
    text = f"/srv/x 10.0.0.7/32({OPTIONS})\n"
    with pytest.raises(NfsError, match=r"exportfs failed \(1\): exportfs: Failed to stat /srv/x") as caught:
        kernel.apply(text)
    assert shlex.split(caught.value.command) == [kernel.exportfs, "-i", "-o", OPTIONS, "10.0.0.7/32:/srv/x"]
    assert kernel.file.read_text() == text, "a server that starts later takes it"


def test_a_missing_exportfs_is_told(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    Path(kernel.exportfs).unlink()
    with pytest.raises(NfsError, match="is not installed") as caught:
        kernel.apply(f"{OWN} 10.0.0.7/32({OPTIONS})\n")
    assert "nfs-kernel-server" in caught.value.hint


def test_files_that_cannot_be_written_or_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(NfsError, match="cannot write the exports") as caught:
        apply(Backend.KERNEL, "one\n", kernel_file=tmp_path / "no" / "such" / "file", exportfs="/bin/true")
    assert "root" in caught.value.hint
    kernel = Kernel(tmp_path)
    kernel.etab.mkdir()
    with pytest.raises(NfsError, match=r"cannot read .*etab"):
        kernel.apply("one\n")


# Stands in for ganesha.nfsd where only its process matters: prints a line when it is ready and at each SIGHUP.
# The real one is in tests/netns/test_nfs_ganesha.py.
STAND_IN = """
import os, signal, sys
# Not print(): the signal may come while the one below is not yet done, and printing twice at once is an error.
def told(number, frame): os.write(1, b"SIGHUP\\n")
signal.signal(signal.SIGHUP, told)
print("ready", flush=True)
for line in sys.stdin: pass
"""


class Daemon:
    """A process with NFS-Ganesha's name, its pid file and its ganesha.conf."""

    def __init__(self, directory: Path, name: str = "ganesha.nfsd") -> None:
        self.own = directory / "netboot-appliance.conf"
        self.main = directory / "ganesha.conf"
        self.pid_file = directory / "ganesha.pid"
        self.process = subprocess.Popen(
            [name, "-c", STAND_IN, "-L", "log", "-f", str(self.main), "-N", "NIV_EVENT"],
            executable=sys.executable,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.line() == "ready"
        self.pid_file.write_text(f"{self.process.pid}\n")

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def apply(self, text: str = "one\n") -> bool:
        return apply(Backend.GANESHA, text, ganesha_file=self.own, ganesha_pid_file=self.pid_file)

    def end(self) -> list[str]:
        """End it, and return what it had to say."""
        said, _ = self.process.communicate()
        return said.split()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.end()


def test_ganesha_gets_a_sighup_each_time(daemon: Daemon) -> None:
    daemon.main.write_text(f'NFS_CORE_PARAM {{ Protocols = 3, 4; }}\n%include "{daemon.own}"\n')
    assert daemon.apply()
    assert daemon.line() == "SIGHUP"
    assert not daemon.apply()
    assert daemon.line() == "SIGHUP"
    assert daemon.own.read_text() == "one\n"


@pytest.mark.parametrize(
    "files",
    [
        {"ganesha.conf": "%include netboot-appliance.conf\n"},
        {"ganesha.conf": "  %include {}/netboot-appliance.conf\n"},
        {"ganesha.conf": "%dir {}\n"},
        {"ganesha.conf": "%include sub.conf\n", "sub.conf": '%include "netboot-appliance.conf"\n'},
        {"ganesha.conf": '%include "ganesha.conf"\n%include "./netboot-appliance.conf"\n'},
    ],
)
def test_any_way_to_include_our_file_will_do(daemon: Daemon, files: dict[str, str]) -> None:
    for name, text in files.items():
        (daemon.main.parent / name).write_text(text.format(daemon.main.parent))
    daemon.apply()
    assert daemon.line() == "SIGHUP"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# %include netboot-appliance.conf\n",
        "%include other.conf\n",
        "%include ganesha.conf\n",
        "EXPORT { Path = /netboot-appliance.conf; }\n",
    ],
)
def test_a_configuration_without_our_file_is_told_and_no_signal_sent(daemon: Daemon, text: str) -> None:
    daemon.main.write_text(text)
    with pytest.raises(NfsError, match="does not read our exports") as caught:
        daemon.apply()
    assert f'%include "{daemon.own}"' in caught.value.hint
    assert str(daemon.main) in caught.value.message
    assert daemon.end() == []


def test_a_process_that_is_not_ganesha_gets_no_signal(tmp_path: Path) -> None:
    other = Daemon(tmp_path, "something-else")
    other.main.write_text(f"%include {other.own}\n")
    with pytest.raises(NfsError, match="which is not NFS-Ganesha"):
        other.apply()
    assert other.end() == []


@pytest.mark.parametrize("content", ["", "word", "-1", "0", "99999999999999999999999"])
def test_a_pid_file_without_a_process_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    with pytest.raises(NfsError, match=r"pid names process|does not name") as caught:
        apply(Backend.GANESHA, "one\n", ganesha_file=tmp_path / "own", ganesha_pid_file=tmp_path / "pid")
    assert "systemctl start nfs-ganesha" in caught.value.hint
    assert (tmp_path / "own").read_text() == "one\n", "a Ganesha that starts later reads it"


def test_a_stale_pid_file_and_a_missing_one_are_told(daemon: Daemon) -> None:
    daemon.end()
    with pytest.raises(NfsError, match="is gone"):
        daemon.apply()
    daemon.pid_file.unlink()
    with pytest.raises(NfsError, match="there is no"):
        daemon.apply()
