"""The files through which the page and root's helper for images talk: each writes into its own directory below /run.

netboot-appliance-image-request.path watches the page's. Without systemd nobody does, and the page says so.
"""

import os
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from appliance.config.file import DEFAULT_PATH
from appliance.errors import UserError
from appliance.images.build_unit import SYSTEMD
from appliance.images.image_request import (
    LARGEST_ANSWER,
    ImageAnswer,
    ImageRequest,
    ImageVerb,
    decode_answer,
    digest,
    encode,
)
from services.linux import atomic_file

ENVIRONMENT = "RUNTIME_DIRECTORY"
CONTROL = Path("/run/netboot-appliance-control")
"""The directory of the control process, which is not root."""

ROOT = Path("/run/netboot-appliance-image-request")
"""That of root's helper."""

_WAIT_SECONDS = 15.0
_AGAIN_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_TURN_SECONDS = 2.0
_ASKING = threading.Lock()


def request_file(directory: Path) -> Path:
    """The path of the request, given the directory of the control process."""
    return directory / "image.json"


def answer_file(directory: Path) -> Path:
    """The path of the answer, given the directory of root's helper."""
    return directory / "result.json"


def available(configuration: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether root's helper can be asked: systemd runs this process, with the default configuration."""
    return environment.get(ENVIRONMENT) == str(CONTROL) and configuration == DEFAULT_PATH and SYSTEMD.is_dir()


def ask(verb: ImageVerb, release: str = "", control: Path = CONTROL, root: Path = ROOT, image: str = "") -> ImageAnswer:
    """Ask root's helper, and return its answer. Blocks for up to 15 s; raises UserError if there is none. One thread
    asks at a time: there is one file for requests. Others do not wait long, or they would hold up all pages."""
    if not _ASKING.acquire(timeout=_TURN_SECONDS):
        raise UserError("root's helper is being asked for something else", "try again in a moment", code=1)
    try:
        return _ask(ImageRequest(verb, release, secrets.token_hex(8), image), control, root)
    finally:
        _ASKING.release()


def _ask(request: ImageRequest, control: Path, root: Path) -> ImageAnswer:
    content = encode(request)
    begun = written = time.monotonic()
    _write(control, content)
    while (now := time.monotonic()) < begun + _WAIT_SECONDS:
        if now >= written + _AGAIN_SECONDS:
            # systemd does not look while root's helper runs. A request is carried out once, however often it comes.
            _write(control, content)
            written = now
        answer = read_answer(answer_file(root))
        if answer is not None and answer.request == digest(content):
            return answer
        time.sleep(_LOOK_SECONDS)
    raise UserError(
        "root's helper does not answer", "see: systemctl status netboot-appliance-image-request.path", code=1
    )


def _write(control: Path, content: bytes) -> None:
    try:
        atomic_file.write(request_file(control), content, durable=False)
    except OSError as error:
        raise UserError(f"cannot write to {control}: {error.strerror}", "check /run", code=1) from error


def read_answer(path: Path) -> ImageAnswer | None:
    """The latest answer, None before the first."""
    try:
        with path.open("rb") as file:
            return decode_answer(file.read(LARGEST_ANSWER + 1))
    except (OSError, ValueError):
        return None
