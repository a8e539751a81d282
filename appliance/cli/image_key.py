"""`image key`: the key that signs this box's releases, and the keys of others that it trusts."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, confirmed
from appliance.cli.output import say, show_json, show_table, show_text
from appliance.config.file import load
from appliance.errors import UserError
from appliance.view.image_keys import KeyView
from image import plain_files, signature
from image.release import ReleaseError
from image.signature import PublicKey

app = typer.Typer(name="key", help="The keys that sign releases, and those that are trusted.", no_args_is_help=True)

_LARGEST = 1 << 14


@app.command(epilog="Example: sudo netboot-appliance image key new")
def new(
    context: typer.Context,
    replace: Annotated[bool, typer.Option("--replace", help="In place of the one that there is.")] = False,
) -> None:
    """Make the key that signs the releases that this box builds. The first build does that by itself.

    With --replace the key before stays trusted, for the releases that it has signed: see `image key forget`.
    """
    ring = load(context.obj).key_ring
    try:
        made = signature.make(ring, replace=replace)
    except ReleaseError as error:
        raise _user_error(error) from None
    say(f"new key: {made.id}")
    say(f"the private key is in {ring.private}: keep a copy where only you can read it")


@app.command(epilog="Example: netboot-appliance image key show > builder.pub")
def show(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Print the public key of this box, for other boxes: image key trust FILE."""
    ring = load(context.obj).key_ring
    try:
        found = signature.own(ring)
    except ReleaseError as error:
        raise _user_error(error) from None
    if found is None:
        raise UserError("this box has no key", "make one: sudo netboot-appliance image key new", code=1)
    if as_json:
        show_json(_view(found, own=True))
    else:
        show_text(found.pem)
        say(f"its id: {found.id}", err=True)


@app.command("list", epilog="Example: netboot-appliance image key list")
def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the keys whose signatures count here."""
    ring = load(context.obj).key_ring
    try:
        mine = signature.own(ring)
        found = [_view(each, own=each == mine) for each in signature.trusted(ring)]
    except ReleaseError as error:
        raise _user_error(error) from None
    if as_json:
        show_json(found)
        return
    rows = [(each.id, "of this box" if each.own else "trusted") for each in found]
    show_table(("key", ""), rows, "No key yet. The first build makes one; or: netboot-appliance image key trust FILE")


@app.command(epilog="Example: sudo netboot-appliance image key trust builder.pub")
def trust(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A public key (PEM).", show_default=False)],
) -> None:
    """Trust a public key: releases that it has signed can be pulled and activated.

    Whoever has the private key decides what all PCs run. Compare its id with what its owner sees.
    """
    ring = load(context.obj).key_ring
    try:
        content = plain_files.read(file, _LARGEST)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot read {file}: {reason}; nothing was changed", "name a public key in PEM form") from None
    try:
        say(f"trusted: {signature.trust(ring, content).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


@app.command(epilog="Example: sudo netboot-appliance image key forget 0b25b3c4d1e9f8a7")
def forget(
    context: typer.Context,
    ident: Annotated[
        str, typer.Argument(metavar="ID", help="The beginning of its id, 8 digits or more.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before this box's own key is deleted.")] = False,
) -> None:
    """Trust a key no longer: what it has signed cannot be activated. PCs keep what they boot now.

    If it is the key of this box, its private key is deleted as well.
    """
    ring = load(context.obj).key_ring
    try:
        if signature.find(ring, ident) == signature.own(ring) and not yes:
            confirmed("delete the private key of this box, with which it signs its releases")
        say(f"no longer trusted: {signature.forget(ring, ident).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


def _view(key: PublicKey, *, own: bool) -> KeyView:
    return KeyView(key.id, own, key.pem)


def _user_error(error: ReleaseError) -> UserError:
    return UserError(str(error), error.hint, code=1)
