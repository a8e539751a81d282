"""Whether a release is what `image build` would make today, of this configuration and by this version; if not, why not.

Compares recipes. Whether Debian has newer packages is another question, for `image update`.
"""

from appliance.config import images
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images.recipe import wanted
from image.build import digest_today
from image.names import DEFAULT
from image.recipe import changes
from image.release import Release


def cure(image: str = DEFAULT) -> str:
    """What builds an image as the configuration says, or takes it if it is there already, and makes it active."""
    return f"sudo netboot-appliance image build{'' if image == DEFAULT else f' {image}'}"


def outdated(config: Config, active: Release | None) -> str:
    """Why the active release is not of today's recipe, in words; empty if it is, if there is none, or if the
    configuration or the administrator's files cannot be read. Takes some ms; reads only those of their files that were
    changed since (appliance/images/known_digests.py)."""
    if active is None or not config.written:
        return ""
    try:
        if active.image != DEFAULT and not images.directory(config, active.image).is_dir():
            return f"there is no directory {images.directory(config, active.image)}, so nothing builds it"
    except PermissionError:
        return ""
    try:
        recipe, added = wanted(config, active.image)
    except UserError as error:
        return _told(error)
    if active.digest == digest_today(recipe, added):
        return ""
    named = [
        f"[image] {name} is {new}, and it was built with {old}" for name, old, new in changes(active.recipe, recipe)
    ]
    if active.added != added.digest:
        named.append(f"what is in {images.directory(config, active.image)} was changed")
    return "; ".join(named) or "another version of netboot-appliance built it"


def unusable(config: Config, image: str = DEFAULT) -> str:
    """Why an image cannot be made of today's recipe, in words; empty if it can be."""
    try:
        wanted(config, image)
    except UserError as error:
        return _told(error)
    return ""


def _told(error: UserError) -> str:
    # Some files may be root's alone: then only root is told.
    return "" if _is_forbidden(error) else error.message


def _is_forbidden(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, PermissionError) or _is_forbidden(error.__cause__))
