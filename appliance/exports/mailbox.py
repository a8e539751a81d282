"""The files through which the server and root's helper talk: each writes into its own directory below /run.

The server's user owns the directory of the request and can put anything there, even while root reads: see
`read_request`. The files survive a crash of their writer, but need not survive a power cut.
`appliance.exports.request` knows what is in them.
"""

import contextlib
import os
import stat
from pathlib import Path

from appliance.errors import UserError
from appliance.exports.request import LARGEST, ExportAnswer, decode_answer

ENVIRONMENT = "RUNTIME_DIRECTORY"
"""systemd passes a service's runtime directory in this variable: systemd.exec(5), RuntimeDirectory=."""

_ANSWERS = Path("/run/netboot-appliance-exports")
_SUFFIX = "-exports"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: opening a FIFO must not wait


def request_file(directory: Path) -> Path:
    """The path of the request, given the server's directory."""
    return directory / "exports.json"


def answer_file(directory: Path) -> Path:
    """The path of the answer, given the server's directory."""
    return directory.with_name(directory.name + _SUFFIX) / "result.json"


def directories() -> tuple[Path, Path]:
    """The server's directory and root's own, from the environment of root's helper."""
    answers = Path(os.environ.get(ENVIRONMENT) or _ANSWERS)
    return answers.with_name(answers.name.removesuffix(_SUFFIX)), answers


def read_request(path: Path) -> bytes | None:
    """The bytes of the request, None if there is none; raises UserError unless its directory's owner made it.

    Follows no link, never waits, and reads a limited size, once: what the writer does to the file afterwards changes
    nothing. Checking the owner keeps out hard links to other users' files.
    """
    with contextlib.ExitStack() as opened:
        try:
            directory = os.open(path.parent, _DIRECTORY)
            opened.callback(os.close, directory)
            descriptor = os.open(path.name, _READ, dir_fd=directory)
            opened.callback(os.close, descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused(f"{path}: {error.strerror or error}") from error
        owner, status = os.fstat(directory).st_uid, os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refused(f"{path} is not a regular file")
        if status.st_uid != owner:
            raise refused(f"{path} belongs to user {status.st_uid}, its directory to {owner}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise refused(f"{path} is longer than {LARGEST} bytes")
    return content


def read_answer(path: Path) -> ExportAnswer | None:
    """The latest answer of root's helper, None before the first."""
    try:
        return decode_answer(path.read_bytes())
    except (OSError, ValueError):
        return None


def refused(reason: str) -> UserError:
    """The error for a request that an honest server does not write."""
    return UserError(
        f"the server's request is refused: {reason}",
        "nothing was changed; restart the server, and find out who wrote this: journalctl -u netboot-appliance",
        code=1,
    )
