"""What the page asks of root about images, as JSON: build, stop, activate, roll back. PURE codec.

The request comes from a process that root does not trust: `decode` accepts exactly what `encode` writes. It names no
path and no option of a build; those come from the configuration as root reads it.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum

from appliance.config.menu import release_of
from appliance.root_requests.answer import decode_request, encode_words
from image.names import is_name


class ImageVerb(StrEnum):
    """What root can do. UPDATE: bring Debian's updates to the PCs as the timer does, for all images; REBUILD: build
    although this recipe was built before; STOP: end the build that is at work."""

    BUILD = "build"
    UPDATE = "update"
    REBUILD = "rebuild"
    STOP = "stop"
    ACTIVATE = "activate"
    ROLLBACK = "rollback"


_OF_NO_IMAGE = (ImageVerb.UPDATE, ImageVerb.STOP, ImageVerb.ACTIVATE)


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`release` is for ACTIVATE only; `image` for BUILD, REBUILD and ROLLBACK: the one to build (empty: all) or
    to roll back (empty: the default one). `once` makes two requests for the same differ."""

    verb: ImageVerb
    release: str = ""
    once: str = ""
    image: str = ""


def encode(request: ImageRequest) -> bytes:
    """The request."""
    return encode_words(asdict(request))


def decode(content: bytes) -> ImageRequest:
    """Read a request; raises ValueError for anything that `encode` does not write."""
    verb, release, image, once = decode_request(content, "verb", "release", "image")
    request = ImageRequest(ImageVerb(verb), release, once, image)
    named = release_of(f"image:{release}") is not None
    if (request.verb is ImageVerb.ACTIVATE) != named or (release and not named):
        raise ValueError("it names a release where none belongs, or none where one does")
    if image and (request.verb in _OF_NO_IMAGE or not is_name(image)):
        raise ValueError("it names an image where none belongs, or by something that is no name")
    return request
