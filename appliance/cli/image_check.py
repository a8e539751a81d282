"""`image check`: whether Debian has updates for the packages of a release."""

import time
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import update_check
from appliance.view.image_checks import check_view

UPDATES = 3
"""Exit code: there are updates."""


def check(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Look in Debian's archive for newer versions of a release's packages: those of security first.

    An update is one of security if a newer version comes from the security suite; the archive's indices do not name
    advisories (DSA). The archive is the one that images are built from; the repositories of the image's recipe are
    looked at, too. Without root the result is not kept for `status`, the doctor and the page. Changes no release:
    `image update` does.

    Exit code: 0 if all packages are up to date, 3 if there are updates, 1 if the archive cannot be asked.
    """
    config = load(context.obj)
    release = chosen(config.images, ident)
    found = update_check.check(config, release)
    try:
        update_check.keep(config, release, found)
    except UserError as error:
        say(f"warning: {error.message}; {error.hint}", err=True)
    shown = check_view(release.id, found, time.time())
    if as_json:
        show_json(shown)
    else:
        rows = [
            (each.name, each.installed, each.candidate, "security" if each.security else "") for each in found.updates
        ]
        if rows:
            show_table(("package", "installed", "candidate", ""), rows, "")
        say(f"{release.id}: {shown.words}")
    if found.updates:
        raise typer.Exit(UPDATES)
