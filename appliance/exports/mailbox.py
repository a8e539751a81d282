"""The files by which the server and root's part talk: each writes into a directory of its own below /run.

The server's user owns the directory of the request and may put anything there, also while root reads: see
`read_request`. They outlive the crash of their writer and no power cut: services.linux.atomic_file, not durable. What
they say is appliance.exports.request's.
"""

import contextlib
import os
import stat
from pathlib import Path

from appliance.errors import UserError
from appliance.exports.request import LARGEST, ExportAnswer, decode_answer

ENVIRONMENT = "RUNTIME_DIRECTORY"
"""Where systemd names the directory of a service: systemd.exec(5), RuntimeDirectory=."""

_ANSWERS = Path("/run/netboot-appliance-exports")
_SUFFIX = "-exports"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: opening a FIFO must not wait


def request_file(directory: Path) -> Path:
    """The request, by the server's directory."""
    return directory / "exports.json"


def answer_file(directory: Path) -> Path:
    """The answer, by the server's directory."""
    return directory.with_name(directory.name + _SUFFIX) / "result.json"


def directories() -> tuple[Path, Path]:
    """The server's directory and root's, by the environment of root's part."""
    answers = Path(os.environ.get(ENVIRONMENT) or _ANSWERS)
    return answers.with_name(answers.name.removesuffix(_SUFFIX)), answers


def read_request(path: Path) -> bytes | None:
    """The bytes of the request, None when there is none; raises UserError unless its directory's owner made it.

    Nothing here is followed, waited for or read without end, and it is read once: what the writer does to the file
    afterwards changes nothing. That the owner made it keeps hard links to other people's files out.
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
            raise _refused(path, error.strerror or str(error)) from error
        owner, status = os.fstat(directory).st_uid, os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path, "it is not a regular file")
        if status.st_uid != owner:
            raise _refused(path, f"it belongs to user {status.st_uid}, its directory to {owner}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise _refused(path, f"it is longer than {LARGEST} bytes")
    return content


def read_answer(path: Path) -> ExportAnswer | None:
    """The latest answer of root's part, None before the first."""
    try:
        return decode_answer(path.read_bytes())
    except (OSError, ValueError):
        return None


def _refused(path: Path, reason: str) -> UserError:
    return UserError(
        f"the request {path} is refused: {reason}",
        "nothing was changed; restart the server, and find out who wrote this: journalctl -u netboot-appliance",
        code=1,
    )
