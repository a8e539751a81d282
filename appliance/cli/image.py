"""`image`: the live system that the PCs boot."""

import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from appliance.cli.output import moment, show_json, show_table, size, span
from appliance.config import Config, load
from appliance.errors import UserError
from image import release
from image.build import STAGES, BuildError, Progress, build, built
from image.release import Release, ReleaseError

app = typer.Typer(
    help="The live system that the PCs boot, and its releases.",
    epilog="A new release is booted from the next power-on; running PCs keep the one they have.",
    no_args_is_help=True,
)
_JSON = typer.Option("--json", help="For scripts.")
_ID = typer.Argument(metavar="ID", help="A release, as in `image list`.", show_default=False)


@app.command("build", epilog="Example: sudo netboot-appliance image build")
def build_(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Also when this recipe has been built already.")] = False,
) -> None:
    """Build the live system with Debian's live-build and make it the active release. Takes some minutes."""
    config = load(context.obj)
    recipe = config.image.recipe
    if not force and (done := built(recipe, config.images)):
        typer.echo(f"release {done.id} was built from this recipe already (again: image build --force)")
    began = time.monotonic()
    try:
        with _Watcher() as watcher:
            release_ = build(recipe, config.server.data / "build", config.images, watcher.report, force)
    except BuildError as error:
        for line in error.tail:
            typer.echo(f"  | {line}", err=True)
        if error.paste:
            typer.echo(f"the failed command: {error.paste}", err=True)
        if error.log:
            typer.echo(f"the whole log: {error.log}", err=True)
        raise UserError(str(error), f"{error.hint}; the active release is unchanged", code=1) from None
    except ReleaseError as error:
        raise _user_error(error) from None
    except KeyboardInterrupt:
        raise UserError("the build was interrupted", "the active release is unchanged", code=130) from None
    active = release.current(config.images)
    if active and active.id == release_.id:
        typer.echo(f"active: {release_.id} ({size(release_.size)}, {span(time.monotonic() - began)})")
    else:
        typer.echo(f"not active: the active release is {active.id if active else 'none'}; image activate {release_.id}")


@app.command("list", epilog="Example: netboot-appliance image list")
def list_(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False
) -> None:
    """List the releases, the newest first."""
    config = load(context.obj)
    found = release.releases(config.images)
    marks = _marks(config)
    if as_json:
        show_json([_json(each, marks) for each in found.releases])
    else:
        rows = [
            (
                each.id,
                marks.get(each.id, ""),
                f"{each.created.astimezone():%Y-%m-%d %H:%M}",
                each.kernel,
                size(each.size),
            )
            for each in found.releases
        ]
        none = "No release yet. Make one with: netboot-appliance image build"
        show_table(("release", "", "built", "kernel", "size"), rows, none)
    for error in found.broken:
        typer.echo(f"warning: {error}; {error.hint}", err=True)


@app.command(epilog="Example: netboot-appliance image show 20261123-150102-1a2b3c4d")
def show(
    context: typer.Context,
    ident: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Default: the active release.", show_default=False)
    ] = None,
) -> None:
    """Show a release, and whether its files are what was built (sha256)."""
    config = load(context.obj)
    try:
        found = release.read(config.images, ident) if ident else release.current(config.images)
    except ReleaseError as error:
        raise _user_error(error) from None
    if found is None:
        raise UserError("no release is active", "make one with: netboot-appliance image build")
    mark = _marks(config).get(found.id)
    typer.echo(f"release       {found.id}{f' ({mark})' if mark else ''}")
    typer.echo(f"built         {moment(found.created.timestamp())}")
    typer.echo(f"distribution  {found.recipe.distribution} {found.recipe.architecture}, kernel {found.kernel}")
    typer.echo(f"directory     {found.path}")
    for name, file in found.files.items():
        typer.echo(f"  {name:26} {size(file.size):>9}  {file.sha256}")
    problems = release.verify(found)
    for problem in problems:
        typer.echo(f"damaged: {problem}", err=True)
    if problems:
        raise UserError(
            f"release {found.id} is damaged", "build it again: netboot-appliance image build --force", code=1
        )
    typer.echo("all files are what was built")


@app.command(epilog="Example: sudo netboot-appliance image activate 20261123-150102-1a2b3c4d")
def activate(context: typer.Context, ident: Annotated[str, _ID]) -> None:
    """Make a release the active one."""
    config = load(context.obj)
    try:
        typer.echo(f"active: {release.activate(config.images, ident).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


@app.command(epilog="Example: sudo netboot-appliance image rollback")
def rollback(context: typer.Context) -> None:
    """Go back to the release that was active before."""
    config = load(context.obj)
    try:
        typer.echo(f"active: {release.rollback(config.images).id}")
    except ReleaseError as error:
        raise _user_error(error) from None


class _Watcher:
    """Shows a build's progress: a moving line on a terminal, one line a stage elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status = self._console.status("") if sys.stderr.isatty() else None
        self._stage = ""

    def __enter__(self) -> "_Watcher":
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def report(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage = progress.stage
            line = f"{progress.elapsed:5.0f} s  {progress.number}/{len(STAGES)} {progress.stage}: {progress.step}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self._status:
            room = self._console.width - 24
            self._status.update(f"{progress.elapsed:.0f} s  {progress.stage}: {escape(progress.step[:room])}")


def _marks(config: Config) -> dict[str, str]:
    """Which release is active and which is the one to go back to."""
    marks = {}
    for mark, look in (("previous", release.previous), ("active", release.current)):
        try:
            found = look(config.images)
        except ReleaseError as error:
            typer.echo(f"warning: {error}; {error.hint}", err=True)
            continue
        if found:
            marks[found.id] = mark
    return marks


def _json(each: Release, marks: dict[str, str]) -> dict[str, Any]:
    return {
        "id": each.id,
        "state": marks.get(each.id, ""),
        "created": each.created.isoformat(),
        "kernel": each.kernel,
        "size": each.size,
        "digest": each.digest,
        "path": str(each.path),
    }


def _user_error(error: ReleaseError) -> UserError:
    return UserError(str(error), error.hint)
