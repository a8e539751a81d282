"""`image`: the live system that the PCs boot."""

from datetime import datetime
from typing import Annotated

import typer

from appliance.cli import image_build, image_contents, image_diff, image_log, image_prune
from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images.todays_recipe import CURE, outdated
from appliance.view.facts import gather_releases
from appliance.view.images import ReleaseDetails, ReleaseView, release_details, release_views
from appliance.view.words import moment, size
from image import release
from image.release import ReleaseError

app = typer.Typer(
    name="image",
    help="Build and manage the live system that the PCs boot.",
    epilog="PCs boot a new release at their next power-on; running PCs keep the one they have.",
    no_args_is_help=True,
)
app.command("build", epilog="Example: sudo netboot-appliance image build")(image_build.build)
app.command("log", epilog="Examples: netboot-appliance image log; netboot-appliance image log --follow")(image_log.log)
app.command("prune", epilog="Example: sudo netboot-appliance image prune --keep 3 --dry-run")(image_prune.prune)
app.command("ls", epilog="Examples: netboot-appliance image ls /etc; netboot-appliance image ls previous / -R --json")(
    image_contents.ls
)
app.command("cat", epilog="Example: netboot-appliance image cat /etc/os-release")(image_contents.cat)
app.command("diff", epilog="Examples: netboot-appliance image diff previous; netboot-appliance image diff A B --json")(
    image_diff.diff
)
app.command("sbom", epilog="Example: netboot-appliance image sbom > live-system.spdx.json")(image_contents.bill)
_ID = typer.Argument(metavar="ID", help="A release from `image list`.", show_default=False)


@app.command("list", epilog="Example: netboot-appliance image list")
def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the releases, newest first."""
    found = gather_releases(load(context.obj).images)
    releases = release_views(found)
    if as_json:
        show_json(releases)
    else:
        rows = [(each.id, each.state, _built(each), each.kernel, size(each.size)) for each in releases]
        none = "No release yet. Build one: netboot-appliance image build"
        show_table(("release", "", "built", "kernel", "size"), rows, none)
    for error in found.broken:
        say(f"warning: {error}; {error.hint}", err=True)


@app.command(
    epilog="Examples: netboot-appliance image show; netboot-appliance image show 20261123-150102-1a2b3c4d --json"
)
def show(
    context: typer.Context,
    ident: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="A release from `image list`. Default: the active one.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show a release, and check that its files are as they were built (sha256)."""
    config = load(context.obj)
    try:
        found = release.read(config.images, ident) if ident else release.current(config.images)
    except ReleaseError as error:
        raise _user_error(error) from None
    if found is None:
        raise UserError("no release is active", "build one: netboot-appliance image build")
    shown = release_details(
        found, gather_releases(config.images).states, release.verify(found), outdated(config, found)
    )
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
    say(f"built         {moment(datetime.fromisoformat(found.created).timestamp())}")
    say(f"distribution  {shown.distribution} {shown.architecture}, kernel {found.kernel}")
    say(f"directory     {found.path}")
    for file in shown.files:
        say(f"  {file.name:26} {size(file.size):>9}  {file.sha256}")
    if shown.outdated:
        say(f"recipe        not today's: {shown.outdated}")
        if found.state == "active":
            say(f"              do: {CURE}")
    for problem in shown.problems:
        say(f"damaged: {problem}", err=True)


@app.command(epilog="Example: sudo netboot-appliance image activate 20261123-150102-1a2b3c4d")
def activate(context: typer.Context, ident: Annotated[str, _ID]) -> None:
    """Activate a release."""
    config = load(context.obj)
    try:
        say(f"active: {release.activate(config.images, ident).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


@app.command(epilog="Example: sudo netboot-appliance image rollback")
def rollback(context: typer.Context) -> None:
    """Go back to the release that was active before."""
    config = load(context.obj)
    try:
        say(f"active: {release.rollback(config.images).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


def _built(each: ReleaseView) -> str:
    return f"{datetime.fromisoformat(each.created).astimezone():%Y-%m-%d %H:%M}"


def _user_error(error: ReleaseError) -> UserError:
    return UserError(str(error), error.hint)
