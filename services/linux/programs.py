"""The one door through which the box starts other programs. A failure prints a command that can be pasted.

Short look-ups and changes (`output`), a program that the administrator works in (`attend`), and one that is watched
while it runs (`start`). live-build has a door of its own, image/command.py, since image/ knows nothing of services/.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence


class ProgramError(Exception):
    """A program did not start, took too long, or ended badly: its text says which. `paste` runs it again by hand;
    `missing`: it is not installed; `said` is what it printed to say why, on one line."""

    def __init__(self, arguments: Sequence[str], what: str, *, said: str = "", missing: bool = False) -> None:
        super().__init__(f"{os.path.basename(arguments[0])} {what}{f': {said}' if said else ''}")
        self.paste = shlex.join(arguments)
        self.said = said
        self.missing = missing


def find(name: str) -> str | None:
    """The path of a program, None where there is none."""
    # A user's PATH has no sbin on Debian, and some verbs run without root.
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def output(arguments: Sequence[str], *, seconds: float) -> str:
    """Run a program to its end, `seconds` at most, and return what it printed; raises ProgramError."""
    command = [find(arguments[0]) or arguments[0], *arguments[1:]]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
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
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines())
        raise ProgramError(command, f"ended with status {done.returncode}", said=said or "it said nothing")
    return done.stdout


def attend(arguments: Sequence[str]) -> None:
    """Run a program on this process's own terminal until it ends; raises ProgramError."""
    try:
        status = subprocess.run(arguments, check=False).returncode
    except OSError as error:
        raise ProgramError(arguments, "did not start", said=error.strerror or str(error)) from None
    if status:
        raise ProgramError(arguments, f"ended with status {status}")


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start a program to watch, with a pipe for its standard error and without input; raises OSError."""
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
