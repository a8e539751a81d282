"""`image build`: builds here or follows systemd's unit, and shows the progress either way."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from appliance.cli.arguments import image_names
from appliance.cli.output import say, show_json_line
from appliance.config.file import load
from appliance.config.images import buildable
from appliance.errors import UserError
from appliance.exports.volumes import mount_images
from appliance.images.build_unit import UNIT
from appliance.images.requested_build import Builder, request
from appliance.view.words import size
from image import release
from image.build import Rebuild
from image.names import DEFAULT
from image.progress import STAGES, BuildError, Progress
from image.release import ReleaseError
from services.foreign_text import printable
from services.spans import span


def build(
    context: typer.Context,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE]...",
            help="Which images. Default: all, boinc first.",
            show_default=False,
            autocompletion=image_names,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even if this recipe has been built already.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Take Debian's updates: make a new release if a package has changed.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, for scripts: the progress, then the end.")
    ] = False,
    here: Annotated[bool, typer.Option("--here", hidden=True)] = False,
) -> None:
    """Build the live system with Debian's live-build and make it the active release. Takes several minutes.

    Each directory below /etc/netboot-appliance/images is an image; boinc is always one. What their recipes have in
    common is built once. An image that fails does not keep the others from being built.

    On a server, systemd's netboot-appliance-image.service does the build, and this command shows its progress: Ctrl-C
    or a lost connection leaves the build running, and the same command follows it again.
    """
    rebuild = Rebuild.ALWAYS if force else Rebuild.UPDATED if update else Rebuild.NEVER
    config = load(context.obj)
    if not here:
        # Without systemd nothing has mounted them since the machine started.
        mount_images(config)
    wanted = request(config, context.obj, rebuild, inside_unit=here, names=images or ())
    if wanted.joins:
        say(f"a build is running ({UNIT}): following it", err=True)
    if not as_json:
        for each in wanted.existing:
            say(f"release {each.id} was already built from this recipe (to build it again: image build --force)")
    try:
        with _ProgressLines() if as_json else BuildDisplay() as display:
            results = wanted.run(display.report)
    except BuildError as error:
        if as_json:
            show_json_line({"error": {"stage": error.stage, "message": str(error), "hint": error.hint}})
        show_failure(error)
        raise UserError(str(error), f"{error.hint}; the active release is unchanged", code=1) from None
    except ReleaseError as error:
        raise UserError(str(error), error.hint) from None
    except KeyboardInterrupt:
        if wanted.builder is Builder.UNIT:
            say(f"the build continues in {UNIT}", err=True)
            say("follow it again: netboot-appliance image build", err=True)
            say(f"stop it: systemctl stop {UNIT.removesuffix('.service')}", err=True)
            raise typer.Exit(130) from None
        raise UserError("the build was interrupted", "the active release is unchanged", code=130) from None
    for result in results:
        made = result.release
        image = "" if made.image == DEFAULT else f"image {made.image}: "
        active = release.active_id(config.images, made.image) == made.id
        if as_json:
            about = {"release": made.id, "image": made.image, "unchanged": result.unchanged, "active": active}
            show_json_line(about | {"size": made.size})
        elif result.unchanged:
            say(f"{image}no package has changed: release {made.id} stays active")
        elif not active:
            # It has followed a build of `image update`.
            say(f"{image}made, and not active: {made.id}; image update tries it first")
        else:
            say(f"{image}active: {made.id} ({size(made.size)}, {span(display.elapsed)})")
    missing = set(images or (buildable(config) if wanted.joins else ())) - {each.release.image for each in results}
    if missing:
        left = " ".join(sorted(missing))
        raise UserError(
            f"the build that was followed did not make {left}",
            f"do it now: netboot-appliance image build {left}",
            code=1,
        )


class _ProgressLines:
    """Prints each progress as a JSON object on a line of its own."""

    elapsed = 0.0

    def __enter__(self) -> "_ProgressLines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def report(self, progress: Progress) -> None:
        about = {
            name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(progress).items()
        }
        show_json_line({"progress": about})


class BuildDisplay:
    """Shows a build's progress: a moving line on a terminal, one line per stage elsewhere."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._console = Console(stderr=True)
        self._status = self._console.status("") if sys.stderr.isatty() else None
        self._stage = ("", "")

    def __enter__(self) -> "BuildDisplay":
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def report(self, progress: Progress) -> None:
        self.elapsed = progress.elapsed
        image = f"{progress.image}: " if progress.image else ""
        if (progress.image, progress.stage) != self._stage:
            self._stage = (progress.image, progress.stage)
            where = f"{image}{progress.number}/{len(STAGES)} {progress.stage}"
            line = f"{progress.elapsed:5.0f} s  {where}: {progress.step}"
            line += f" (about {span(progress.left)} left)" if progress.left else ""
            self._console.print(Text(printable(line)), soft_wrap=True)
        if self._status:
            left = f", about {span(progress.left)} left" if progress.left else ""
            left += _amount(progress)
            room = max(20, self._console.width - 24 - len(left))
            words = f"{progress.elapsed:.0f} s{left}  {image}{progress.stage}: {printable(progress.step, room)}"
            self._status.update(Text(words))


def _amount(progress: Progress) -> str:
    if progress.done is None:
        return ""
    return f", {size(progress.done)}" + (f" of {size(progress.total)}" if progress.total else "")


def show_failure(error: BuildError) -> None:
    """What the program that failed has said last, and where to find all of it."""
    for line in error.tail:
        say(f"  | {line}", err=True)
    if error.paste:
        say(f"the failed command: {error.paste}", err=True)
    if error.log:
        say(f"the whole log: {error.log}", err=True)
