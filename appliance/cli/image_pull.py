"""`image pull` and `image push`: releases from one box to many, over any web server."""

import time
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say, show_json
from appliance.config.file import load
from appliance.errors import UserError
from appliance.exports.volumes import mount_images
from appliance.view.image_keys import PulledView, PushedView
from appliance.view.words import size
from image.pull import PullProgress
from image.pull import pull as pull_release
from image.push import push as push_release
from image.release import ReleaseError

_EVERY = 2.0
"""Seconds between lines about one file."""


def pull(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="Where they are: https://, http:// or file:///.", show_default=False),
    ],
    ident: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A release. Default: the newest there.", show_default=False)
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Take a release that another box has built and laid out (image push). It is not activated.

    Its manifest must be signed by a key that is trusted here (image key trust FILE), and each file be as it says. Only
    what is missing is fetched: Ctrl-C or a lost connection costs nothing, the same command goes on from there.
    """
    config = load(context.obj)
    # Without systemd nothing has mounted them since the machine started.
    mount_images(config)
    try:
        done = pull_release(config.images, url, config.key_ring, ident, _PullLines().show)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    except KeyboardInterrupt:
        raise UserError("interrupted", "what is here is kept: the same command goes on from there", code=130) from None
    if as_json:
        found = done.release
        show_json(PulledView(found.id, found.size, done.fetched, done.resumed, done.linked, done.key, done.new))
        return
    ident = done.release.id
    if not done.new:
        say(f"{ident} is here already, signed by the key {done.key}")
        return
    earlier = f", {size(done.resumed)} by an earlier call" if done.resumed else ""
    say(
        f"pulled: {ident} ({size(done.fetched)} fetched{earlier}, {size(done.linked)} were here)",
        f"signed by the key {done.key}",
        f"activate it: sudo netboot-appliance image activate {ident}",
    )


def push(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory that a web server shows.", show_default=False)
    ],
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Lay out a release for other boxes (image pull): index.json, and releases/ID with its files, as plain files.

    It must be signed. Releases that were laid out before stay; delete their directories when no box needs them.
    """
    config = load(context.obj)
    ident = chosen(config.images, ident).id
    try:
        done = push_release(config.images, ident, directory, config.key_ring)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    if as_json:
        show_json(PushedView(ident, done.release.size, done.key, done.new, done.offered))
    else:
        say(
            f"{ident} ({size(done.release.size)}) is {'laid out' if done.new else 'there already'} in {directory},"
            f" signed by the key {done.key}; releases there: {done.offered}"
        )


class _PullLines:
    """Shows how far a pull is, on standard error: a line for each file, and more while a large one comes."""

    def __init__(self) -> None:
        self._name, self._next = "", 0.0

    def show(self, progress: PullProgress) -> None:
        now = time.monotonic()
        if progress.name == self._name and now < self._next:
            return
        self._name, self._next = progress.name, now + _EVERY
        part = 100 * progress.done // progress.total if progress.total else 100
        say(f"{part:3d} % of {size(progress.total)}  {progress.name}", err=True)
