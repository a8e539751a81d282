"""NFS-Ganesha's process: found, checked and signalled.

The real one runs in tests/netns: test_nfs_ganesha.py and test_doctor.py.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.nfs.apply import apply
from services.nfs.backend import Backend, NfsError
from services.nfs.ganesha import require_ganesha

# Stands in for ganesha.nfsd where only its process matters: prints a line when it is ready and at each SIGHUP.
STAND_IN = """
import os, signal, sys
# Not print(): the signal may arrive during the print below, and printing inside a print is an error.
def report(number, frame): os.write(1, b"SIGHUP\\n")
signal.signal(signal.SIGHUP, report)
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
        """End it, and return what it printed since."""
        said, _ = self.process.communicate()
        return said.split()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.end()


def test_ganesha_gets_a_sighup_for_every_call(daemon: Daemon) -> None:
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
def test_our_file_may_be_included_in_any_way(daemon: Daemon, files: dict[str, str]) -> None:
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
def test_a_configuration_without_our_file_is_reported_and_no_signal_is_sent(daemon: Daemon, text: str) -> None:
    daemon.main.write_text(text)
    with pytest.raises(NfsError, match="does not read our exports") as caught:
        daemon.apply()
    assert f'%include "{daemon.own}"' in caught.value.hint
    assert str(daemon.main) in caught.value.message
    assert daemon.end() == []


def test_a_process_that_is_not_ganesha_gets_no_signal(tmp_path: Path) -> None:
    other = Daemon(tmp_path, "something-else")
    other.main.write_text(f"%include {other.own}\n")
    with pytest.raises(NfsError, match="which is another program"):
        other.apply()
    assert other.end() == []


@pytest.mark.parametrize("content", ["", "word", "-1", "0", "99999999999999999999999"])
def test_a_pid_file_without_a_process_is_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    with pytest.raises(NfsError, match=r"pid names process|does not name") as caught:
        apply(Backend.GANESHA, "one\n", ganesha_file=tmp_path / "own", ganesha_pid_file=tmp_path / "pid")
    assert "systemctl start nfs-ganesha" in caught.value.hint
    assert (tmp_path / "own").read_text() == "one\n", "a Ganesha that starts later reads it"


def test_a_stale_pid_file_and_a_missing_one_are_reported(daemon: Daemon) -> None:
    daemon.end()
    with pytest.raises(NfsError, match="is gone"):
        daemon.apply()
    daemon.pid_file.unlink()
    with pytest.raises(NfsError, match="there is no"):
        daemon.apply()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no"),
        ("x", "does not name"),
        pytest.param(str(os.getpid()), "which is another program", id="another program"),
        ("999999999", "which is gone"),
    ],
)
def test_looking_for_ganesha_says_what_is_wrong(tmp_path: Path, content: str | None, problem: str) -> None:
    pid_file = tmp_path / "pid"
    if content is not None:
        pid_file.write_text(content)
    with pytest.raises(NfsError, match=problem):
        require_ganesha(pid_file, tmp_path / "ours.conf")
