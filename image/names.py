"""The names of images, and of the links that say which release of each is active. PURE.

Releases of all images are in one directory. The links of the default image are `current` and `previous`, as they were
when there was no other one; those of the image `lab` are `current.lab` and `previous.lab`: docs/adr/0034.
"""

import difflib
import re
from collections.abc import Collection

DEFAULT = "boinc"
"""The image that is always there, for all PCs whose range names no other one."""

CURRENT, PREVIOUS = "current", "previous"

# A letter first: no release has such a name.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_LINK = re.compile(rf"{CURRENT}(?:\.({_NAME.pattern}))?")


def is_name(text: str) -> bool:
    """Whether an image can have this name."""
    return _NAME.fullmatch(text) is not None and text not in (CURRENT, PREVIOUS)


def check_name(text: str) -> str:
    """The name of an image; raises ValueError."""
    if not is_name(text):
        raise ValueError(
            f"{text!r} cannot be the name of an image: write up to 31 lower case letters, digits and dashes, a letter"
            f" first, and not {CURRENT} or {PREVIOUS}"
        )
    return text


def link(which: str, image: str) -> str:
    """The name of a link of this image; `which` is CURRENT or PREVIOUS."""
    return which if image == DEFAULT else f"{which}.{image}"


def image_of_link(file: str) -> str | None:
    """The image whose active release a link with this name would say; None for all other names."""
    found = _LINK.fullmatch(file)
    image = (found[1] or DEFAULT) if found else ""
    return image if is_name(image) and link(CURRENT, image) == file else None


def unknown(text: str, images: Collection[str]) -> tuple[str, str]:
    """The message and the hint for an image that is not one of these."""
    close = difflib.get_close_matches(text, images, 3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(images)}"
    return f"there is no image {text!r}", hint
