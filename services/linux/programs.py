"""Starts other programs; nothing else in the box does. A failure comes with a command that can be pasted.

`output` runs short look-ups and changes, `attend` a program that the administrator works in, `start` one that is
watched while it runs, `start_into` one whose output goes to a file, `attach` one that lives as long as this process.
live-build is started by image/command.py, because image/ knows nothing of services/.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from services.foreign_text import printable

RunningProgram = subprocess.Popen[bytes]
"""A program that was started by `start_into` or `attach`."""


class ProgramError(Exception):
    """A program did not start, took too long, or failed: the text says which. `paste` is the command to run by hand;
    `missing`: it is not installed; `said` is the reason that it printed, on one line."""

    def __init__(self, arguments: Sequence[str], what: str, *, said: str = "", missing: bool = False) -> None:
        super().__init__(f"{os.path.basename(arguments[0])} {what}{f': {said}' if said else ''}")
        self.paste = shlex.join(arguments)
        self.said = said
        self.missing = missing


def find(name: str) -> str | None:
    """The path of a program; None when it is not installed."""
    # On Debian a user's PATH lacks sbin, and some commands run without root.
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def output(arguments: Sequence[str], *, seconds: float, text: str = "", accepted: Collection[int] = ()) -> str:
    """Run a program to its end, `seconds` at most, and return what it printed; raises ProgramError. `text` is its
    standard input. `accepted` are exit codes beside 0 that are no failure."""
    program = find(arguments[0])
    if program is None and "/" not in arguments[0]:
        raise ProgramError(arguments, "is not installed", missing=True)
    command = [program or arguments[0], *arguments[1:]]
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise ProgramError(command, "is not installed", missing=True) from None
    except subprocess.TimeoutExpired:
        raise ProgramError(command, f"did not end within {seconds:.0f} s") from None
    except OSError as error:
        raise ProgramError(command, "did not start", said=error.strerror or str(error)) from None
    if done.returncode and done.returncode not in accepted:
        said = printable(" ".join((done.stderr.strip() or done.stdout.strip()).split()))
        raise ProgramError(command, f"ended with status {done.returncode}", said=said or "it said nothing")
    return done.stdout


def attend(arguments: Sequence[str]) -> None:
    """Run a program on the terminal of this process until it ends; raises ProgramError."""
    try:
        status = subprocess.run(arguments, check=False).returncode
    except OSError as error:
        raise ProgramError(arguments, "did not start", said=error.strerror or str(error)) from None
    if status:
        raise ProgramError(arguments, f"ended with status {status}")


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start a program and return it, with a pipe for its standard error and no input; raises OSError."""
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def start_into(arguments: Sequence[str], output: Path, keep_open: Collection[int] = ()) -> RunningProgram:
    """Start a program without input, whose output and errors are added to a file; raises OSError. `keep_open` are file
    descriptors that it inherits."""
    with output.open("ab") as file:
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, pass_fds=tuple(keep_open)
        )


def attach(arguments: Sequence[str]) -> RunningProgram:
    """Start a program whose standard input ends when this process does, however that ends; raises OSError. Its
    errors go where those of this process go."""
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
