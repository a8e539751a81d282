"""What the page asks of root about images, as JSON: build, stop, activate, roll back. PURE codec.

The request comes from a process that root does not trust: `decode` accepts exactly what `encode` writes. It names no
path and no option of a build; those come from the configuration as root reads it.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum

from appliance.config.menu import release_of
from appliance.root_requests.answer import decode_request, encode_words


class ImageVerb(StrEnum):
    """What root can do. UPDATE: take Debian's updates, REBUILD: build although this recipe was built before, STOP: end
    the build that is at work."""

    BUILD = "build"
    UPDATE = "update"
    REBUILD = "rebuild"
    STOP = "stop"
    ACTIVATE = "activate"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`release` is for ACTIVATE only. `once` makes two requests for the same differ."""

    verb: ImageVerb
    release: str = ""
    once: str = ""


def encode(request: ImageRequest) -> bytes:
    """The request."""
    return encode_words(asdict(request))


def decode(content: bytes) -> ImageRequest:
    """Read a request; raises ValueError for anything that `encode` does not write."""
    verb, release, once = decode_request(content, "verb", "release")
    request = ImageRequest(ImageVerb(verb), release, once)
    named = release_of(f"image:{release}") is not None
    if (request.verb is ImageVerb.ACTIVATE) != named or (release and not named):
        raise ValueError("it names a release where none belongs, or none where one does")
    return request
