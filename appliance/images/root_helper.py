"""Root's helper for images: reads the page's request, checks it, does it, and answers.

netboot-appliance-image-request.service runs `python -m appliance.images.root_helper`. It trusts nothing in the request:
a control process that was taken over can build what root configured, and choose among the releases that there are.
"""

from pathlib import Path
from typing import NoReturn

from appliance import last_resort
from appliance.config import images
from appliance.config.file import Config, load, locate
from appliance.errors import UserError
from appliance.images import build_unit
from appliance.images.image_request import (
    LARGEST,
    LONGEST_WORDS,
    ImageAnswer,
    ImageRequest,
    ImageVerb,
    decode,
    digest,
    encode_answer,
)
from appliance.images.request_files import CONTROL, ROOT, answer_file, read_answer, request_file
from image import activation
from image.activation import CheckedRelease
from image.build import Rebuild
from image.names import DEFAULT
from image.progress import BuildError
from image.release import ReleaseError
from services.linux import atomic_file, foreign_file
from services.linux.foreign_file import ForeignFileError

_REBUILD = {
    ImageVerb.BUILD: Rebuild.NEVER,
    ImageVerb.UPDATE: Rebuild.UPDATED,
    ImageVerb.REBUILD: Rebuild.ALWAYS,
}


def serve_requests(configuration: Path, control: Path = CONTROL, root: Path = ROOT) -> None:
    """Answer the request, and again if it has changed meanwhile; raises UserError if the last one failed.

    A request that was answered already is done: systemd may start this twice for one change of the file.
    """
    before = read_answer(answer_file(root))
    answered = before.request if before else ""
    failure: UserError | None = None
    while (content := _read(request_file(control))) is not None and digest(content) != answered:
        answered, failure = digest(content), None
        try:
            answer = ImageAnswer(answered, done=_do(configuration, content))
        except UserError as error:
            failure = error
            answer = ImageAnswer(answered, error=error.message[:LONGEST_WORDS], hint=error.hint[:LONGEST_WORDS])
        atomic_file.write(answer_file(root), encode_answer(answer), durable=False)
    if failure:
        raise failure


def main() -> NoReturn:
    """Run once; an error goes to the journal as well as into the answer."""
    last_resort.run(_run_once)


def _run_once() -> int:
    serve_requests(locate(None))
    return 0


def _read(path: Path) -> bytes | None:
    try:
        return foreign_file.read(path, LARGEST)
    except ForeignFileError as error:
        raise _refused(str(error)) from error


def _do(configuration: Path, content: bytes) -> str:
    try:
        request = decode(content)
    except ValueError as error:
        raise _refused(str(error)) from error
    config = load(configuration)
    try:
        return _carry_out(config, request)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from error
    except BuildError as error:
        raise UserError(str(error), error.hint, code=1) from error


def _carry_out(config: Config, request: ImageRequest) -> str:
    match request.verb:
        case ImageVerb.ACTIVATE:
            return _active(activation.activate(config.images, request.release, config.key_ring))
        case ImageVerb.ROLLBACK:
            return _active(activation.rollback(config.images, config.key_ring, request.image or DEFAULT))
        case ImageVerb.STOP:
            return build_unit.stop()
        case _:
            names = (request.image,) if request.image else ()
            for name in names:
                images.check(config, name, to_build=True)
            return build_unit.begin(_REBUILD[request.verb], names)


def _active(found: CheckedRelease) -> str:
    return f"active: {found.release.id}{f'; warning: {found.warning}' if found.warning else ''}"


def _refused(reason: str) -> UserError:
    return UserError(
        f"the page's request is refused: {reason}",
        "nothing was changed; find out who wrote it: journalctl -u netboot-appliance-control",
        code=1,
    )


if __name__ == "__main__":
    main()
