"""`image mount` and `image shell`: a live system on this machine, without booting it."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say
from appliance.config.file import load
from appliance.errors import UserError
from image import throwaway
from image.release import Release, ReleaseError

_MOUNTS = Path("/run/netboot-appliance-mounts")


def mount(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help=f"Where, an empty directory. Default: {_MOUNTS}/ID.", show_default=False),
    ] = None,
) -> None:
    """Mount a live system read-only, all of its layers, and say how to undo it."""
    release = _release(context, ident)
    where = (directory or _MOUNTS / release.id).absolute()
    try:
        where.mkdir(parents=directory is None, exist_ok=True)
        if any(where.iterdir()):
            raise UserError(f"{where} is not empty, or something is mounted there", "name another directory")
    except OSError as error:
        raise UserError(f"nothing can be mounted on {where}: {error.strerror}", "name an empty directory") from None
    try:
        throwaway.mount(release, where)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    say(f"mounted: {where}", f"undo it: sudo umount {shlex.quote(str(where))}")


def shell(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
    network: Annotated[bool, typer.Option("--network", help="Let it use the network of this machine.")] = False,
) -> None:
    """Open a shell in a copy of a live system, as root. What it changes is thrown away when it ends.

    It sees none of this machine's files and processes, and no network without --network. Nothing is booted: no service
    runs in it. Its exit code is that of the shell.
    """
    release = _release(context, ident)
    if sys.stdin.isatty():
        say(f"a copy of {release.id}: nothing that you change is kept; `exit` ends it", err=True)
    try:
        raise typer.Exit(throwaway.shell(release, network=network))
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None


def _release(context: typer.Context, ident: str | None) -> Release:
    found = chosen(load(context.obj).images, ident)
    if os.geteuid() != 0:
        raise UserError("only root can mount a live system", "run it with sudo; image ls and image cat need no root")
    return found
