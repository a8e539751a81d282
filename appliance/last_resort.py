"""The last resort of every program of the box: whatever ends it, people see one line and no traceback.

A `UserError` is its message and its hint. Anything else that nobody foresaw is one line that says what happened and
which file has the details: they may hold secrets, so only the user who ran the program can read them.

Exit codes beside those of `UserError`: 70 (EX_SOFTWARE of sysexits.h) for a fault of ours, 130 after Ctrl-C, 141 when
the reader of a pipe has left. The last two are what a shell reports for programs that such a signal ends.
"""

import errno
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from appliance.errors import UserError
from services.foreign_text import printable

FAULT, INTERRUPTED, READER_LEFT = 70, 130, 141
ROOTS_DIRECTORY = Path("/var/log/netboot-appliance")
_OURS = ("appliance", "services", "image")
_KEPT = 10
"""Files with details in a directory; older ones are deleted."""

_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def run(program: Callable[[], int]) -> NoReturn:
    """Run a program and end the process with the exit code that it returns, or with that of what ended it."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that is not UTF-8 shows the rest as escapes.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    try:
        code = _code_of(program)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:  # this is the end of the program
        code = _ended_by(error)
    _close_output()
    sys.exit(code)


def complain(error: UserError) -> None:
    """Print an error for people: what happened, and what to do."""
    words = [f"error: {error.message}", *([f"hint: {error.hint}"] if error.hint else [])]
    # When nobody can read it, the exit code still tells.
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write("".join(f"{printable(line)}\n" for line in words))
        sys.stderr.flush()


def _code_of(program: Callable[[], int]) -> int:
    try:
        return program()
    except SystemExit as error:
        # typer's own end of a program whose reader has left.
        if isinstance(error.__context__, BrokenPipeError):
            return READER_LEFT
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        raise


def _ended_by(error: BaseException) -> int:
    """Say what ended the program, and return its exit code."""
    match error:
        case UserError():
            found = error
        case KeyboardInterrupt():
            return INTERRUPTED
        case BrokenPipeError():
            return READER_LEFT
        case MemoryError():
            found = UserError("the memory of this machine is used up", "end other programs: ps aux --sort -rss", code=1)
        case _:
            found = _unforeseen(error)
    complain(found)
    return found.code


def _unforeseen(error: BaseException) -> UserError:
    details = _write_details(error)
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        where = f" ({error.filename})" if error.filename else ""
        return UserError(f"{error.strerror}{where}; {details}", code=1)
    return UserError(
        f"a fault in netboot-appliance: {type(error).__name__}{_place(error)}; {details}, please report it", code=FAULT
    )


def _place(error: BaseException) -> str:
    """Where in our own code it happened; the message of the error is left out, since it may quote a secret."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        for package in _OURS:
            if package in path.parts[:-1]:
                shown = Path(*path.parts[len(path.parts) - path.parts[::-1].index(package) - 1 :])
                return f" at {shown}:{frame.lineno}"
    return ""


def _write_details(error: BaseException) -> str:
    """Write what is known about the error into a new file; returns where, in words."""
    name = time.strftime("%Y%m%d-%H%M%S") + f"-{os.getpid()}.txt"
    for directory in _directories():
        # The disk may be full, and memory short: then the next directory, or none.
        with suppress(Exception):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(directory / name, flags, 0o600), "w", errors="backslashreplace") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S %z')} {sys.argv!r} Python {sys.version}\n")
                file.writelines(traceback.format_exception(error))
            for old in sorted(directory.glob("[0-9]*-[0-9]*-[0-9]*.txt"))[:-_KEPT]:
                old.unlink()
            return f"the details are in {directory / name}"
    return "the details could not be written anywhere"


def _directories() -> Iterator[Path]:
    """Where details may go, best first: all of them belong to this user alone."""
    if os.geteuid() == 0:
        yield ROOTS_DIRECTORY
    else:
        with suppress(RuntimeError):
            state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
            yield Path(state) / "netboot-appliance"
    import tempfile  # noqa: PLC0415 - it takes long to load, and is hardly ever needed

    with suppress(OSError):
        yield Path(tempfile.mkdtemp(prefix="netboot-appliance-"))


def _close_output() -> None:
    """Python writes what is left at its end, and complains if it cannot: let it write to nowhere then."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
