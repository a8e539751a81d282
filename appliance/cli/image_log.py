"""`image log`: the latest build that systemd ran, as the page shows it."""

import time
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_bytes, show_json
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import build_unit
from appliance.view.build import BuildView, build_view
from image import build_logs
from services.spans import span

_PACE = 0.5
"""Seconds between two looks."""


def log(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="[BUILD]", help="Show the whole log of this build, for root.", show_default=False),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what it prints until it ends.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show the latest build: how far it is, what its programs have printed last, and how it ended.

    For any user, and whoever has begun it. It starts nothing; Ctrl-C ends only this command. The whole logs of the
    latest 50 builds are kept as well, also of those that failed: named as the releases that they were to make.
    """
    if name:
        _show_whole(load(context.obj).server.data / "build", name)
        return
    build = _look()
    if as_json:
        show_json(build)
        return
    if build is None:
        say("No build yet. Begin one: netboot-appliance image build")
        return
    stage, line = _show_new(build, "", 0)
    while follow and build.running:
        time.sleep(_PACE)
        found = _look()
        if found is None or found.run != build.run:
            break
        build = found
        stage, line = _show_new(build, stage, line)
    _show_end(build)


def _show_whole(work: Path, name: str) -> None:
    try:
        show_bytes(build_logs.read(work, name))
    except FileNotFoundError:
        try:
            known = build_logs.names(work)[:5]
        except FileNotFoundError:
            known = []
        except OSError as error:
            raise _unreadable(work, error) from error
        latest = f"the latest are: {', '.join(known)}" if known else "no build has left one yet"
        raise UserError(f"there is no log of a build {name!r} in {work}", latest) from None
    except OSError as error:
        raise _unreadable(work, error) from error


def _unreadable(work: Path, error: OSError) -> UserError:
    return UserError(f"the logs of builds in {work} cannot be read: {error.strerror}", "run it with sudo")


def _look() -> BuildView | None:
    return build_view(build_unit.latest(), time.time())


def _show_new(build: BuildView, stage: str, line: int) -> tuple[str, int]:
    """Show what is new since the line of this number, and the stage if it is another; return both as they are now."""
    new = [each for each in build.lines if each.number > line]
    if new and (missed := new[0].number - line - 1):
        say(f"  | … {missed:,} {'line is' if missed == 1 else 'lines are'} left out")
    for each in new:
        say(f"  | {each.text}")
    if build.running and build.number and build.stage != stage:
        left = f" (about {span(build.left)} left)" if build.left else ""
        say(f"{span(build.elapsed)}{left}  {build.number}/{build.stages} {build.stage}: {build.step}")
    return build.stage, new[-1].number if new else line


def _show_end(build: BuildView) -> None:
    if build.running:
        return
    if build.error:
        raise UserError(build.error, build.hint, code=1)
    say(f"made: {build.release} ({span(build.elapsed)})")
