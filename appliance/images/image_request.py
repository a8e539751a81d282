"""What the page asks of root about images, and the answer, as JSON: build, stop, activate, roll back. PURE codec.

The request comes from a process that root does not trust: `decode` accepts exactly what `encode` writes. It names no
path and no option of a build; those come from the configuration as root reads it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from appliance.config.menu import release_of
from image.names import is_name

LARGEST = 4096
"""Bytes of a request."""

LARGEST_ANSWER = 1 << 15
"""Bytes of an answer."""

LONGEST_WORDS = 1000
"""Characters of an error or a hint: JSON takes up to twelve bytes for one."""

_VERSION = 2
_LONGEST_ONCE = 64


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
    """`release` is for ACTIVATE only; `image` for all others but STOP: the one to build (empty: all) or to roll back
    (empty: the default one). `once` makes two requests for the same differ."""

    verb: ImageVerb
    release: str = ""
    once: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """What became of the request with this digest: `done` in words, or an error with its hint."""

    request: str
    done: str = ""
    error: str = ""
    hint: str = ""


def digest(content: bytes) -> str:
    """What a request is called in its answer."""
    return hashlib.sha256(content).hexdigest()


def encode(request: ImageRequest) -> bytes:
    """The request."""
    return json.dumps({"version": _VERSION, **asdict(request)}).encode()


def decode(content: bytes) -> ImageRequest:
    """Read a request; raises ValueError for anything that `encode` does not write."""
    verb, release, once, image = _words(content, LARGEST, "verb", "release", "once", "image")
    if len(once) > _LONGEST_ONCE:
        raise ValueError("`once` is too long")
    request = ImageRequest(ImageVerb(verb), release, once, image)
    named = release_of(f"image:{release}") is not None
    if (request.verb is ImageVerb.ACTIVATE) != named or (release and not named):
        raise ValueError("it names a release where none belongs, or none where one does")
    if image and (request.verb in (ImageVerb.ACTIVATE, ImageVerb.STOP) or not is_name(image)):
        raise ValueError("it names an image where none belongs, or by something that is no name")
    return request


def encode_answer(answer: ImageAnswer) -> bytes:
    """The answer."""
    return json.dumps({"version": _VERSION, **asdict(answer)}).encode()


def decode_answer(content: bytes) -> ImageAnswer:
    """Read an answer; raises ValueError for anything that `encode_answer` does not write."""
    return ImageAnswer(*_words(content, LARGEST_ANSWER, "request", "done", "error", "hint"))


def _words(content: bytes, largest: int, *names: str) -> list[str]:
    """The texts of a JSON object that has exactly these, beside the version."""
    if len(content) > largest:
        raise ValueError(f"it is longer than {largest} bytes")
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(found, dict) or set(found) != {"version", *names} or type(found["version"]) is not int:
        raise ValueError(f"it is not an object of {', '.join(names)}")
    if found["version"] != _VERSION:
        raise ValueError("another version wrote it: restart netboot-appliance-control")
    if any(type(found[name]) is not str for name in names):
        raise ValueError("one of its fields is no text")
    return [found[name] for name in names]
