"""The files through which the server and root's helper talk: each writes into its own directory below /run.

The server's user owns the directory of the request and can put anything there, even while root reads: see
`read_request`. The files survive a crash of their writer, but need not survive a power cut.
`appliance.exports.request` knows what is in them.
"""

import os
from pathlib import Path

from appliance.errors import UserError
from appliance.exports.request import LARGEST, ExportAnswer, decode_answer
from services.linux import foreign_file
from services.linux.foreign_file import ForeignFileError

ENVIRONMENT = "RUNTIME_DIRECTORY"
"""systemd passes a service's runtime directory in this variable: systemd.exec(5), RuntimeDirectory=."""

_ANSWERS = Path("/run/netboot-appliance-exports")
_SUFFIX = "-exports"
_ANSWER = "result.json"


def request_file(directory: Path) -> Path:
    """The path of the request, given the server's directory."""
    return directory / "exports.json"


def answer_file(directory: Path) -> Path:
    """The path of the answer, given the server's directory."""
    return directory.with_name(directory.name + _SUFFIX) / _ANSWER


def directories() -> tuple[Path, Path]:
    """The server's directory and root's own, from the environment of root's helper."""
    answers = Path(os.environ.get(ENVIRONMENT) or _ANSWERS)
    return answers.with_name(answers.name.removesuffix(_SUFFIX)), answers


def read_request(path: Path) -> bytes | None:
    """The bytes of the request, None if there is none; raises UserError unless its directory's owner made it."""
    try:
        return foreign_file.read(path, LARGEST)
    except ForeignFileError as error:
        raise refused(str(error)) from error


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
