"""NFS-Ganesha's process: finds the one that reads our exports, and has it read them again.

It is found by its pid file, checked by its command line, and must include our file in its configuration; ganesha.conf
itself is never changed. Every function blocks.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from services.nfs.backend import GANESHA_PROGRAM, NfsError

_DEFAULT_CONFIGURATION = "/etc/ganesha/ganesha.conf"
_INCLUDE = re.compile(r"^\s*%(include|dir)\s+(?:\"([^\"]*)\"|(\S+))", re.MULTILINE)
_INCLUDE_LIMIT = 100
_START = "start it: systemctl start nfs-ganesha"


def require_ganesha(pid_file: Path, own_file: Path) -> int:
    """Return the process id of the NFS-Ganesha that reads `own_file`; raises NfsError saying what is wrong."""
    with _process(pid_file, own_file) as (number, _):
        return number


def reload(pid_file: Path, own_file: Path) -> None:
    """Have NFS-Ganesha read its exports again; raises NfsError.

    It does so a moment after the signal, and reports errors to its own log only.
    """
    with _process(pid_file, own_file) as (number, descriptor):
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGHUP)
        except ProcessLookupError:
            raise NfsError(f"NFS-Ganesha (process {number}) ended just now", _START) from None
        except PermissionError as error:
            raise NfsError(
                f"may not signal NFS-Ganesha (process {number}): {error.strerror}", "run it as root"
            ) from error


@contextlib.contextmanager
def _process(pid_file: Path, own_file: Path) -> Iterator[tuple[int, int]]:
    """Process id and pidfd of the NFS-Ganesha that reads `own_file`; raises NfsError.

    The descriptor refers to this very process, so the process that was checked is the one that is signalled.
    """
    try:
        number = int(pid_file.read_text())
    except FileNotFoundError:
        raise NfsError(f"NFS-Ganesha is not running: there is no {pid_file}", _START) from None
    except (OSError, ValueError) as error:
        raise NfsError(f"{pid_file} does not name NFS-Ganesha's process: {error}", _START) from error
    not_running = f"NFS-Ganesha is not running: {pid_file} names process {number}, which is"
    try:
        descriptor = os.pidfd_open(number)
    except (OSError, ValueError, OverflowError):
        raise NfsError(f"{not_running} gone", _START) from None
    try:
        try:
            arguments = _arguments(number)
            if Path(arguments[0]).name != GANESHA_PROGRAM:
                raise NfsError(f"{not_running} another program", _START)
            _require_included(_configuration(number, arguments), own_file)
        except (FileNotFoundError, ProcessLookupError):
            raise NfsError(f"{not_running} gone", _START) from None
        except OSError as error:
            raise NfsError(f"cannot inspect NFS-Ganesha (process {number}): {error}", "run it as root") from error
        yield number, descriptor
    finally:
        os.close(descriptor)


def _arguments(number: int) -> list[str]:
    return Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def _configuration(number: int, arguments: list[str]) -> Path:
    """The configuration file that an NFS-Ganesha with these arguments reads."""
    name = _DEFAULT_CONFIGURATION
    for index, argument in enumerate(arguments):
        if argument == "-f" and index + 1 < len(arguments):
            name = arguments[index + 1]
        elif argument.startswith("-f") and len(argument) > len("-f"):
            name = argument.removeprefix("-f")
    # Look up the working directory only for a relative name: that takes the privileges of the process (ptrace(2)).
    return Path(name) if name.startswith("/") else Path(os.readlink(f"/proc/{number}/cwd")) / name


def _require_included(configuration: Path, own_file: Path) -> None:
    """Raise NfsError, with the line to add, unless `configuration` includes `own_file`, however deeply."""
    wanted = own_file.resolve()
    waiting, seen = [configuration], set[Path]()
    while waiting and len(seen) < _INCLUDE_LIMIT:
        path = waiting.pop()
        if path.resolve() == wanted:
            return
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        with contextlib.suppress(OSError):
            for kind, quoted, bare in _INCLUDE.findall(path.read_text(errors="replace")):
                target = path.parent / (quoted or bare)
                waiting += target.iterdir() if kind == "dir" else [target]
    raise NfsError(
        f"NFS-Ganesha does not read our exports: {configuration} has no %include of {own_file}",
        f'add this line to {configuration} and restart nfs-ganesha: %include "{own_file}"',
    )
