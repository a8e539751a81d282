"""Root's helper for images: reads the page's request, checks it, does it, and answers.

netboot-appliance-image-request.service runs `python -m appliance.images.root_helper`. It trusts nothing in the request:
a control process that was taken over can build what root configured, and choose among the releases that there are.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from appliance import last_resort
from appliance.config import images
from appliance.config.file import Config, load, locate
from appliance.errors import UserError
from appliance.images import build_unit
from appliance.images.build_order import BuildOrder
from appliance.images.image_request import ImageRequest, ImageVerb, decode
from appliance.images.request_files import DESK
from appliance.root_requests.desk import Desk, refused
from image import activation
from image.activation import CheckedRelease
from image.build import Rebuild
from image.names import DEFAULT
from image.progress import BuildError
from image.release import ReleaseError

_REBUILD = {
    ImageVerb.BUILD: Rebuild.NEVER,
    ImageVerb.REBUILD: Rebuild.ALWAYS,
}


def serve_requests(configuration: Path, at: Desk = DESK) -> None:
    """Answer the request, and again if it has changed meanwhile; raises UserError if the last one failed."""

    def carry_out(content: bytes, _: Callable[[], None]) -> str:
        return _do(configuration, content)

    at.serve(carry_out)


def main() -> NoReturn:
    """Run once; an error goes to the journal as well as into the answer."""
    last_resort.run(_run_once)


def _run_once() -> int:
    serve_requests(locate(None))
    return 0


def _do(configuration: Path, content: bytes) -> str:
    try:
        request = decode(content)
    except ValueError as error:
        raise refused(str(error)) from error
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
        case ImageVerb.UPDATE:
            return build_unit.begin_update()
        case _:
            names = (request.image,) if request.image else ()
            for name in names:
                images.check(config, name, to_build=True)
            return build_unit.begin(BuildOrder(_REBUILD[request.verb], names))


def _active(found: CheckedRelease) -> str:
    return f"active: {found.release.id}{f'; warning: {found.warning}' if found.warning else ''}"


if __name__ == "__main__":
    main()
