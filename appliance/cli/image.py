"""`image`: the live system that the PCs boot."""

import time
from datetime import datetime
from typing import Annotated

import typer

from appliance.cli import (
    image_build,
    image_canary,
    image_check,
    image_contents,
    image_diff,
    image_key,
    image_log,
    image_mount,
    image_prune,
    image_pull,
    image_rebuild,
    image_recipe,
    image_test,
    image_update,
    image_verify,
)
from appliance.cli.arguments import JSON, image_names
from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say, show_json, show_table
from appliance.config import images
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.images.todays_recipe import cure, outdated
from appliance.registry.database import Registry
from appliance.view.images import ReleaseDetails, ReleaseView, release_details, release_views
from appliance.view.releases import Releases, gather_releases
from appliance.view.trials import gather_all_releases
from appliance.view.words import counted, moment, size
from image import activation, release
from image.names import DEFAULT
from image.release import ReleaseError

app = typer.Typer(
    name="image",
    help="Build and manage the live system that the PCs boot.",
    epilog="PCs boot a new release at their next power-on; running PCs keep the one they have.",
    no_args_is_help=True,
)
app.command(
    "build",
    epilog="Examples: sudo netboot-appliance image build; sudo netboot-appliance image build lab --json",
)(image_build.build)
app.command(
    "log",
    epilog="Examples: netboot-appliance image log --follow; sudo netboot-appliance image log 20261123-150102-1a2b3c4d",
)(image_log.log)
app.command(
    "check", epilog="Examples: netboot-appliance image check; sudo netboot-appliance image check previous --json"
)(image_check.check)
app.command(
    "test", epilog="Examples: sudo netboot-appliance image test; sudo netboot-appliance image test ID --firmware bios"
)(image_test.boot)
app.command(
    "update", epilog="Examples: sudo netboot-appliance image update; sudo netboot-appliance image update --json"
)(image_update.update)
app.command("prune", epilog="Example: sudo netboot-appliance image prune --keep 3 --dry-run")(image_prune.prune)
app.command("ls", epilog="Examples: netboot-appliance image ls /etc; netboot-appliance image ls previous / -R --json")(
    image_contents.ls
)
app.command("cat", epilog="Example: netboot-appliance image cat /etc/os-release")(image_contents.cat)
app.command("diff", epilog="Examples: netboot-appliance image diff previous; netboot-appliance image diff A B --json")(
    image_diff.diff
)
app.command("mount", epilog="Examples: sudo netboot-appliance image mount; sudo netboot-appliance image mount ID /mnt")(
    image_mount.mount
)
app.command("shell", epilog="Example: sudo netboot-appliance image shell")(image_mount.shell)
app.command("sbom", epilog="Example: netboot-appliance image sbom > live-system.spdx.json")(image_contents.bill)
app.command("rebuild", epilog="Example: sudo netboot-appliance image rebuild current --verify")(image_rebuild.rebuild)
app.command("verify", epilog="Examples: netboot-appliance image verify; netboot-appliance image verify --all --json")(
    image_verify.verify
)
app.command("sign", epilog="Example: sudo netboot-appliance image sign current --key /media/usb/image.key")(
    image_verify.sign
)
app.command("pull", epilog="Example: sudo netboot-appliance image pull https://builder.example.org/images")(
    image_pull.pull
)
app.command("push", epilog="Examples: sudo netboot-appliance image push /srv/www/images; image push /mnt/usb previous")(
    image_pull.push
)
app.add_typer(image_canary.app)
app.add_typer(image_key.app)
app.add_typer(image_recipe.app)


@app.command("list", epilog="Example: netboot-appliance image list")
def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the releases, newest first."""
    config = load(context.obj)
    found = _releases(config)
    releases = release_views(found)
    if as_json:
        show_json(releases)
    else:
        rows = [
            (
                each.id,
                each.image,
                each.state,
                _built(each),
                each.kernel,
                size(each.size),
                _number(each.packages),
                _number(each.pcs),
                each.tested,
                each.recipe,
            )
            for each in releases
        ]
        none = "No release yet. Build one: netboot-appliance image build"
        show_table(("release", "image", "", "built", "kernel", "size", "packages", "PCs", "test", "recipe"), rows, none)
    for error in found.broken:
        say(f"warning: {error}; {error.hint}", err=True)


def _releases(config: Config) -> Releases:
    """The releases; who may not read the registry is not told of a canary."""
    try:
        if config.registry.exists():
            with Registry(config.registry) as registry:
                return gather_all_releases(config, registry)
    except (UserError, OSError):
        pass
    return gather_releases(config)


@app.command(
    epilog="Examples: netboot-appliance image show; netboot-appliance image show 20261123-150102-1a2b3c4d --json"
)
def show(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`; of another image `current.NAME`.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show a release, and check that its files are as they were built (sha256)."""
    config = load(context.obj)
    found = chosen(config.images, ident)
    shown = release_details(found, gather_releases(config), release.verify(found), outdated(config, found), time.time())
    if as_json:
        show_json(shown)
    else:
        _show(shown)
    if shown.problems:
        raise UserError(
            f"release {found.id} is damaged", "build it again: netboot-appliance image build --force", code=1
        )
    if not as_json:
        say("all files are as they were built")


def _show(shown: ReleaseDetails) -> None:
    found = shown.release
    say(f"release       {found.id}{f' ({found.state})' if found.state else ''}")
    say(f"image         {found.image}")
    say(f"recipe        {found.recipe}{f'; not of today: {shown.outdated}' if shown.outdated else ''}")
    if shown.outdated and found.state == "active":
        say(f"              do: {cure(found.image)}")
    say(f"built         {moment(datetime.fromisoformat(found.created).timestamp())}")
    say(f"distribution  {shown.distribution} {shown.architecture}, kernel {found.kernel}")
    for archive in shown.archives:
        say(f"archive       {archive.suite} of {archive.date}")
    layers = counted(len(found.layers), "layer", "layers")
    say(f"live system   {_number(found.packages)} packages, {layers} ({size(sum(each.size for each in found.layers))})")
    if found.pcs:
        say(f"PCs           {counted(found.pcs, 'PC', 'PCs')} had it at the latest boot")
    if shown.check:
        say(f"updates       {shown.check.words}")
    if shown.test:
        say(f"test          {shown.test.words}")
    say(f"directory     {found.path}")
    for file in shown.files:
        say(f"  {file.name:26} {size(file.size):>9}  {file.sha256}")
    for problem in shown.problems:
        say(f"damaged: {problem}", err=True)


@app.command(
    epilog="Examples: sudo netboot-appliance image activate 20261123-150102-1a2b3c4d; sudo netboot-appliance image"
    " activate 20261123-150102-1a2b3c4d --canary 1-per-label --within 2h"
)
def activate(
    context: typer.Context,
    ident: Annotated[str, argument("A release from `image list`, or `previous`.", "ID")],
    canary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHO",
            help="Only for these PCs, until it is proven: a MAC address, a range, a label, or 1-per-label. May be"
            " repeated.",
        ),
    ] = None,
    within: Annotated[
        str, typer.Option(metavar="TIME", help="From the first PC that boots it: 30m, 2h or 1d. [default: 1h]")
    ] = "",
    share: Annotated[
        int, typer.Option(min=1, max=100, metavar="PERCENT", help="How many of those must compute.")
    ] = 100,
    prove: Annotated[
        str, typer.Option(metavar="tasks=N", help="They must also return N tasks without an error. [within: 1d]")
    ] = "",
) -> None:
    """Activate a release, for all PCs of its image or first for a few.

    With --canary only those PCs boot it. It becomes the active one when they compute with it, and is taken back by
    itself otherwise: see `image canary`.
    """
    config = load(context.obj)
    try:
        ident = chosen(config.images, ident).id
        if canary:
            image_canary.begin(config, ident, canary, within, share, prove)
            return
        if within or prove or share != 100:
            raise UserError("--within, --share and --prove are for --canary", "nothing was changed")
        say(f"active: {image_canary.activate(config, ident).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


@app.command(epilog="Examples: sudo netboot-appliance image rollback; sudo netboot-appliance image rollback lab")
def rollback(
    context: typer.Context,
    image: Annotated[
        str,
        typer.Argument(metavar="[IMAGE]", help="Of which image.", show_default=False, autocompletion=image_names),
    ] = DEFAULT,
) -> None:
    """Go back to the release of an image that was active before. Without a name: of boinc."""
    config = load(context.obj)
    images.check(config, image)
    try:
        say(f"active: {image_canary.activate(config, activation.before(config.images, image).id).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _built(each: ReleaseView) -> str:
    return f"{datetime.fromisoformat(each.created).astimezone():%Y-%m-%d %H:%M}"


def _user_error(error: ReleaseError) -> UserError:
    return UserError(str(error), error.hint)
