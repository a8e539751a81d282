"""Which release a verb means: an id, `current` or `previous`."""

from pathlib import Path
from typing import Any

import typer

from appliance.config.file import load, locate
from appliance.errors import UserError
from image import release
from image.release import Release, ReleaseError

ACTIVE, PREVIOUS = "current", "previous"


def _idents(incomplete: str) -> list[str]:
    """What may follow at a Tab. Whatever is wrong, the shell gets none."""
    try:
        found = release.releases(load(locate(None)).images).releases
    except (UserError, OSError):
        return []
    known = [*(each.id for each in found), *((ACTIVE, PREVIOUS) if found else ())]
    return [each for each in known if each.startswith(incomplete)]


def argument(words: str, metavar: str = "[ID]") -> Any:
    """An argument that names a release; `words` are its help."""
    return typer.Argument(metavar=metavar, help=words, show_default=False, autocompletion=_idents)


def chosen(images: Path, ident: str | None) -> Release:
    """The release with this id; the active one without. Raises UserError."""
    try:
        if ident == PREVIOUS:
            found, hint = release.previous(images), "list the releases: netboot-appliance image list"
        elif ident in (None, ACTIVE):
            found, hint = release.current(images), "build one: netboot-appliance image build"
        else:
            return release.read(images, ident or "")
    except ReleaseError as error:
        raise UserError(str(error), error.hint) from None
    if found is None:
        raise UserError("there is no previous release" if ident == PREVIOUS else "no release is active", hint)
    return found
