"""No program of ours ends in a traceback: one line, an exit code, and a file with the details for its user alone."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "correct-horse"
_PROGRAM = """
import errno, os, sys
from pathlib import Path
import typer
from appliance import last_resort
from appliance.cli import main
last_resort.ROOTS_DIRECTORY = Path({directory!r})
def failing():
    secret = {secret!r}
    {body}
verb = typer.Typer(rich_markup_mode=None)
verb.command()(failing)
main._CommandLine.get_command = lambda *_: typer.main.get_command(verb)
sys.argv = ["netboot-appliance", "fail"]
main.run()
"""
"""The program as it is, but for a verb that does `body`."""


def run(body: str, directory: Path, **streams: int) -> subprocess.CompletedProcess[str]:
    """A verb that does this, in a process of its own."""
    program = _PROGRAM.format(directory=str(directory), body=body, secret=SECRET)
    environment = {"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(directory.parent), "TMPDIR": str(directory.parent)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run([sys.executable, "-c", program], env=environment, text=True, check=False, **pipes)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def details(tmp_path: Path) -> Path:
    """Where root's details and those of anybody else go."""
    return tmp_path / "netboot-appliance"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise ValueError(secret)", "ValueError"),
        ("raise UnicodeDecodeError('utf-8', secret.encode(), 0, 1, secret)", "UnicodeDecodeError"),
        ("return failing()", "RecursionError"),
        ("raise OSError(errno.ENOENT, secret)", "FileNotFoundError"),
        ("raise type('Odd', (BaseException,), {'__str__': lambda self: 1 / 0})()", "Odd"),
        ("assert secret == 1, secret", "AssertionError"),
        ("__import__('image.release').release.read(None, secret)", "TypeError"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file_with_the_details(body: str, kind: str, details: Path) -> None:
    done = run(body, details)
    assert done.returncode == 70, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    (file,) = details.iterdir()
    assert line.startswith(f"error: a fault in netboot-appliance: {kind}")
    assert line.endswith(f"; the details are in {file}, please report it")
    assert SECRET not in line
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(details.stat().st_mode) == 0o700
    assert "Traceback" in file.read_text()
    assert kind in file.read_text()


def test_the_line_says_where_in_our_code(details: Path) -> None:
    done = run("__import__('image.release').release.read(None, secret)", details)
    assert "TypeError at image/release.py:" in done.stderr


def test_only_the_latest_details_are_kept(details: Path) -> None:
    details.mkdir(mode=0o700)
    for number in range(20):
        (details / f"20260101-0000{number:02}-1.txt").touch()
    (details / "mine.txt").touch()
    run("raise ValueError", details)
    assert len(list(details.glob("2026*"))) == 10
    assert (details / "mine.txt").exists()


def test_details_follow_no_link(details: Path, tmp_path: Path) -> None:
    """Somebody else cannot have a file of the user overwritten, even by guessing the name."""
    details.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    aim = "import time; name = time.strftime('%Y%m%d-%H%M%S') + f'-{os.getpid()}.txt'; "
    aim += "time.strftime = lambda *_: name.rpartition('-')[0]; "
    done = run(aim + f"os.symlink({str(victim)!r}, {str(details)!r} + '/' + name); raise ValueError", details)
    assert victim.read_text() == "precious"
    assert done.returncode == 70
    assert "Traceback" not in done.stderr


def test_where_nothing_can_be_written_there_is_still_one_line(tmp_path: Path) -> None:
    body = "from contextlib import suppress; last_resort._directories = lambda: iter([Path('/proc/nowhere')]);"
    done = run(body + "raise ValueError", tmp_path / "x")
    assert done.returncode == 70
    (line,) = done.stderr.splitlines()
    assert "the details could not be written anywhere" in line


def test_a_full_disk_is_no_fault_of_ours(details: Path) -> None:
    done = run("raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), '/var/\\x1b]0;x')", details)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device (/var/\\x1b]0;x); the details are in ")
    assert len(done.stderr.splitlines()) == 1


def test_output_that_cannot_be_written_is_an_error(details: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    done = run("main.say('x')", details, stdout=full)
    os.close(full)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device")
    assert len(done.stderr.splitlines()) == 1


def test_no_memory_is_said_without_using_any(details: Path) -> None:
    done = run("raise MemoryError", details)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the memory of this machine is used up\nhint: ")


def test_ctrl_c_ends_quietly(details: Path) -> None:
    # Whoever started the tests may ignore Ctrl-C, which is inherited.
    heeding = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)"
    done = run(f"{heeding}; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", details)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("body", ["main.say('x' * 60000)", "main.say('x')", "raise BrokenPipeError(errno.EPIPE, 'x')"])
def test_a_reader_that_has_left_ends_it_quietly(body: str, details: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(body, details, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_standard_error_ends_nothing(details: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("raise ValueError(secret)", details, stderr=writer)
    os.close(writer)
    assert (done.returncode, done.stdout) == (70, "")


def test_wrong_words_on_the_command_line_do_not_steer_the_terminal() -> None:
    from tests.unit.appliance.cli.program import netboot_appliance

    done = netboot_appliance("allow", "add", "--\x1b]0;x")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "\\x1b]0;x" in done.stderr
    assert done.stderr.startswith("Usage: ")


def test_roots_helper_answers_and_ends_without_a_traceback(tmp_path: Path) -> None:
    requests, answers = tmp_path / "box", tmp_path / "box-exports"
    requests.mkdir()
    answers.mkdir()
    (requests / "exports.json").write_bytes(b"{}")
    program = (
        "from pathlib import Path; from appliance import last_resort; from appliance.exports import root_helper;"
        f"last_resort.ROOTS_DIRECTORY = Path({str(tmp_path / 'netboot-appliance')!r});"
        "root_helper.decode = lambda content: 1 / 0; root_helper.main()"
    )
    environment = {"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path), "RUNTIME_DIRECTORY": str(answers)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    (line,) = done.stderr.splitlines()
    assert "ZeroDivisionError" in line
    answer = json.loads((answers / "result.json").read_text())
    assert answer["error"] == "root's helper ended by a fault of its own"
    assert "journalctl -u netboot-appliance-exports" in answer["hint"]


_SERVE = """
import sys
from pathlib import Path
from appliance import last_resort
from appliance.cli import main
from appliance.server import daemon
last_resort.ROOTS_DIRECTORY = Path({directory!r})
async def serve(path):
    raise ValueError("\\x1b]0;owned")
daemon.serve = serve
sys.argv = ["netboot-appliance", "serve"]
main.run()
"""


def test_a_fault_of_the_server_is_a_line_of_its_log(details: Path) -> None:
    program = _SERVE.format(directory=str(details))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 70
    (line,) = done.stderr.splitlines()
    assert "\x1b" not in line
    said = json.loads(line)
    assert (said["level"], said["event"]) == ("critical", "the server ended by a fault of its own")
    assert "ValueError" in said["exception"]


def test_on_a_terminal_a_fault_of_the_server_is_one_line(details: Path) -> None:
    leader, follower = os.openpty()
    environment = {"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(details.parent)}
    program = _SERVE.format(directory=str(details))
    done = subprocess.run([sys.executable, "-c", program], env=environment, stderr=follower, check=False)
    os.close(follower)
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        (line, rest) = terminal.read(1 << 16).decode().split("\r\n")
    assert (done.returncode, rest) == (70, "")
    assert line.startswith("error: a fault in netboot-appliance: ValueError at appliance/cli/serve.py:")
