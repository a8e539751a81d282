"""The one door through which image/ starts other programs."""

import os
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

TAIL_LINES = 20

LOGGED = "$ "
"""How a line of the log begins that has a command; what it prints follows."""

# Programs and mounts disappear with this process, even if it is killed with SIGKILL.
ALONE = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
)


SCRIPT = ("sh", "-ec")
"""How the arguments begin that run a script."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CommandError(Exception):
    """A program failed. `paste` is a command to run it again by hand; `tail` holds the last lines it printed."""

    def __init__(self, arguments: Sequence[str], cwd: Path, status: int, tail: Sequence[str]) -> None:
        # A script is too long for a message.
        title = "its script" if arguments[:2] == SCRIPT else shlex.join(arguments[:2])
        super().__init__(f"{title} ended with status {status}")
        # What it mounts is gone when it ends.
        alone = "unshare --mount " if arguments[:2] == SCRIPT else ""
        self.paste = f"cd {shlex.quote(str(cwd))} && sudo {alone}{shlex.join(arguments)}"
        self.tail = tuple(tail)


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    log: TextIO,
    on_line: Callable[[str], None],
    keep_open: Sequence[int] = (),
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run a program as root and pass each line it prints to `log` and `on_line`; raises CommandError, OSError.

    It runs in its own mount and process namespaces. Whatever exception ends this call, the program, everything it
    started and everything it mounted are gone first. `keep_open` are file descriptors that the program inherits,
    `variables` are for its environment.
    """
    # live-build also takes options from the environment.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LB_", "LIVE_"))}
    environment |= {
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
        "PATH": PATH,
        **(variables or {}),
    }
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    log.write(f"{LOGGED}{shlex.join(arguments)}\n")
    process = subprocess.Popen(
        (*ALONE, *arguments),
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own: Ctrl-C on the terminal reaches only this process, which then ends the group.
        start_new_session=True,
        umask=0o022,
        pass_fds=tuple(keep_open),
    )
    with process:
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                line = raw.rstrip()
                log.write(f"{line}\n")
                log.flush()
                tail.append(line)
                on_line(line)
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if status != 0:
        raise CommandError(arguments, cwd, status, tail)


def attend(arguments: Sequence[str], *, keep_open: Sequence[int] = ()) -> int:
    """Run a program on the terminal of this process until it ends, and return its status, or 128 and the signal that
    ended it; raises OSError. `keep_open` are file descriptors that the program inherits."""
    status = subprocess.run(arguments, check=False, pass_fds=tuple(keep_open)).returncode
    return status if status >= 0 else 128 - status


def output(
    arguments: Sequence[str], *, variables: Mapping[str, str] | None = None, seconds: float | None = None
) -> str:
    """Return what a program prints; for short output, in words that do not depend on the locale. `variables` are for
    its environment. Raises CommandError, also when it takes longer than `seconds`, and OSError."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(variables or {})}
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        late = f"it was ended after {seconds:.0f} s"
        raise CommandError(arguments, Path.cwd(), 128 + signal.SIGKILL, (late,)) from None
    if done.returncode != 0:
        raise CommandError(arguments, Path.cwd(), done.returncode, done.stderr.splitlines()[-TAIL_LINES:])
    return done.stdout
