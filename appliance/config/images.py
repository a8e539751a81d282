"""Which images there are: directories of the administrator beside the configuration file, and what was built of them.

Each directory `images/NAME` beside that file is an image; "boinc" is always one. image/customization.py says what may
be in it.
"""

from collections.abc import Collection
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from image.names import DEFAULT, check_name, is_name, unknown
from image.release import ReleaseError, active_id, active_ids

_NEW = "make one: a directory of that name in {directory}, then: sudo netboot-appliance image build {name}"


def directory(config: Config, image: str = DEFAULT) -> Path:
    """Where the administrator puts packages, files and hooks for an image."""
    return config.path.parent / "images" / image


def new_name(text: str) -> str:
    """What may be the name of another image; raises UserError."""
    try:
        return check_name(text)
    except ValueError as error:
        raise UserError(str(error), "nothing was changed") from None


def buildable(config: Config) -> tuple[str, ...]:
    """The images that can be built, the default one first."""
    try:
        found = sorted(each.name for each in directory(config).parent.iterdir() if is_name(each.name) and each.is_dir())
    except OSError:
        found = []
    return (DEFAULT, *(name for name in found if name != DEFAULT))


def known(config: Config) -> tuple[str, ...]:
    """The images that a range may name: those that can be built, and those with an active release."""
    try:
        active = active_ids(config.images)
    except ReleaseError:
        active = {}
    return tuple(dict.fromkeys((*buildable(config), *active)))


def retired(config: Config, named: Collection[str]) -> tuple[str, ...]:
    """The images with an active release that nobody builds any more, and that no range has `named`."""
    there = buildable(config)
    return tuple(name for name in known(config) if name not in there and name not in named)


def check(config: Config, name: str, *, to_build: bool = False) -> None:
    """Raises UserError unless there is such an image; `to_build`: unless it can be built."""
    images = buildable(config) if to_build else known(config)
    if name not in images:
        message, there = unknown(name, images)
        new = _NEW.format(directory=directory(config).parent, name=name) if is_name(name) else ""
        raise UserError(f"{message}; nothing was changed", "; or ".join(filter(None, (there, new))))


def nothing_to_boot(config: Config, image: str) -> tuple[str, str] | None:
    """Why PCs of a range that names this image boot nothing, and what to do; None if they boot, or if the range names
    none. Its release may still be damaged."""
    if not image:
        return None
    try:
        if active_id(config.images, image) is not None:
            return None
    except ReleaseError as error:
        return str(error), error.hint
    build = f"sudo netboot-appliance image build {image}"
    there = image in buildable(config)
    return (
        f"the image {image} has no active release, so its PCs boot nothing",
        build if there else f"make the directory {directory(config, image)}, then: {build}",
    )
