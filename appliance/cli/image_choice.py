"""Which release a verb means: an id, `current` or `previous`; of another image `current.NAME` or `previous.NAME`."""

from pathlib import Path
from typing import Any

import typer

from appliance.config.file import load, locate
from appliance.errors import UserError
from image import release
from image.names import CURRENT, DEFAULT, PREVIOUS, is_name, link
from image.release import Release, ReleaseError


def _idents(incomplete: str) -> list[str]:
    """What may follow at a Tab. Whatever is wrong, the shell gets none."""
    try:
        images = load(locate(None)).images
        found, active = release.releases(images).releases, release.active_ids(images)
    except (UserError, ReleaseError, OSError):
        return []
    links = [link(which, image) for image in dict.fromkeys((DEFAULT, *active)) for which in (CURRENT, PREVIOUS)]
    known = [*(each.id for each in found), *(links if found else ())]
    return [each for each in known if each.startswith(incomplete)]


def argument(words: str, metavar: str = "[ID]") -> Any:
    """An argument that names a release; `words` are its help."""
    return typer.Argument(metavar=metavar, help=words, show_default=False, autocompletion=_idents)


def chosen(images: Path, ident: str | None) -> Release:
    """The release with this id; the active one of the default image without. Raises UserError."""
    which, _, named = (CURRENT if ident is None else ident).partition(".")
    image, of = named or DEFAULT, f" of the image {named}" if named else ""
    try:
        if which == PREVIOUS and is_name(image):
            found, hint = release.previous(images, image), "list the releases: netboot-appliance image list"
        elif which == CURRENT and is_name(image):
            found, hint = release.current(images, image), f"build one: netboot-appliance image build {named}".rstrip()
        else:
            return release.read(images, ident or "")
    except ReleaseError as error:
        raise UserError(str(error), error.hint) from None
    if found is None:
        raise UserError(f"there is no previous release{of}" if which == PREVIOUS else f"no release{of} is active", hint)
    return found
