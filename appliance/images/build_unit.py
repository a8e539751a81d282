"""Building by systemd: the two ends of netboot-appliance-image.service.

The unit builds, and writes what it does and how it ends to its runtime directory, one JSON object a line (`record`).
Whoever wants a build starts the unit and reads along (`follow`); leaving ends the reading only. Neither shows anything.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.config.file import DEFAULT_PATH
from image import release
from image.build import When
from image.progress import BuildError, Progress
from image.release import Release, ReleaseError
from services.linux import programs
from services.linux.programs import ProgramError

UNIT = "netboot-appliance-image.service"
DIRECTORY = Path("/run/netboot-appliance-image")
SYSTEMD = Path("/run/systemd/system")
"""It exists where systemd is in charge: sd_booted(3)."""

_PROGRESS = "progress"
_REQUEST = "request"
_READ_EVERY = 0.1
"""Seconds."""

_SYSTEMD_SECONDS = 25.0
"""As long as systemctl itself waits for an answer of systemd's: sd-bus, 25 s."""

Report = Callable[[Progress], None]


def available(configuration: Path) -> bool:
    """Whether a build of this configuration is the unit's: root asks, systemd has the unit, which reads the default."""
    return (
        os.geteuid() == 0
        and configuration == DEFAULT_PATH
        and SYSTEMD.is_dir()
        and _shown("LoadState")["LoadState"] == "loaded"
    )


def running() -> bool:
    """Whether the unit builds right now."""
    return _shown("ActiveState")["ActiveState"] == "activating"


def _busy() -> bool:
    # A start that somebody's `systemctl stop` cancels is over at once, and the unit only when it has cleaned up.
    return _shown("ActiveState")["ActiveState"] in ("activating", "deactivating")


# The end that asks


def follow(images: Path, again: When, report: Report) -> Release:
    """Start the unit, or join the build it is at, and return the release; raises BuildError as the build itself would.

    An exception that comes from elsewhere, such as KeyboardInterrupt, ends this call and not the build.
    """
    state = _shown("ActiveState", "InvocationID")
    if state["ActiveState"] == "activating":
        is_ours = state["InvocationID"].__eq__
    else:
        _ask(again)
        is_ours = _invocation().__ne__
    # For a unit that is at it already, systemd waits just the same.
    starting = ("systemctl", "start", "--no-ask-password", UNIT)
    with programs.start(starting) as starter:
        try:
            outcome = _outcome(_lines(is_ours, lambda: starter.poll() is not None and not _busy()), report)
        except BaseException:
            starter.terminate()
            raise
        assert starter.stderr is not None
        said = starter.stderr.readline().strip()
    match outcome:
        case {"release": ident}:
            try:
                return release.read(images, ident)
            except ReleaseError as error:
                raise BuildError("publish", str(error), error.hint) from error
        case {"error": error}:
            raise _revived(error)
    raise BuildError(
        "checks", f"{UNIT} ended and did not say how: {said or 'no reason given'}", f"look: journalctl -u {UNIT} -n 30"
    )


def _outcome(lines: Iterator[dict[str, Any]], report: Report) -> dict[str, Any]:
    """Report all progress; return the line that is of something else, or an empty one."""
    for line in lines:
        match line:
            case {"progress": progress}:
                report(Progress(**progress))
            case {"release": _} | {"error": _}:
                return line
    return {}


def _shown(*properties: str) -> dict[str, str]:
    """What systemd says about the unit; empty values where it cannot be asked."""
    options = [f"--property={name}" for name in properties]
    try:
        shown = programs.output(("systemctl", "show", *options, UNIT), seconds=_SYSTEMD_SECONDS)
    except ProgramError:
        shown = ""
    lines = dict(line.partition("=")[::2] for line in shown.splitlines())
    return {name: lines.get(name, "") for name in properties}


def _ask(again: When) -> None:
    try:
        DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        (DIRECTORY / _REQUEST).write_text(again.value)
    except OSError as error:
        raise BuildError("checks", f"{DIRECTORY} cannot be written: {error.strerror}", "check /run") from error


def _invocation() -> str:
    """Which run of the unit the file of progress is of."""
    with contextlib.suppress(OSError, ValueError), (DIRECTORY / _PROGRESS).open() as file:
        return str(json.loads(file.readline())["invocation"])
    return ""


def _lines(is_ours: Callable[[str], bool], ended: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """All that the run of the unit writes, until it has ended."""
    with contextlib.ExitStack() as stack:
        file, begun = None, ""
        while True:
            # In this order: what was written before the end is read after it.
            last = ended()
            if file is None and (invocation := _invocation()) and is_ours(invocation):
                file = stack.enter_context((DIRECTORY / _PROGRESS).open())
            while file and (text := file.readline()):
                begun += text
                if begun.endswith("\n"):
                    yield json.loads(begun)
                    begun = ""
            if last:
                return
            time.sleep(_READ_EVERY)


def _revived(error: Mapping[str, Any]) -> BuildError:
    log = Path(error["log"]) if error["log"] else None
    return BuildError(
        error["stage"], error["message"], error["hint"], log=log, tail=error["tail"], paste=error["paste"]
    )


# The unit's end


def record(build: Callable[[When, Report], Release], report: Report) -> Release:
    """Do the build that was asked for, telling `report`, and all who follow, of it; raises what `build` raises.

    Outside of the unit nobody asks and nobody follows.
    """
    directory, invocation = os.environ.get("RUNTIME_DIRECTORY"), os.environ.get("INVOCATION_ID")
    if not directory or not invocation:
        return build(When.NEVER, report)
    again = _asked(Path(directory) / _REQUEST)
    unfinished = Path(directory) / f".{_PROGRESS}"
    with unfinished.open("w", buffering=1) as file:

        def write(**line: Any) -> None:
            file.write(f"{json.dumps(line)}\n")

        def both(progress: Progress) -> None:
            write(progress=asdict(progress))
            report(progress)

        write(invocation=invocation)
        # A new file, so that followers of the last build keep theirs.
        unfinished.rename(Path(directory) / _PROGRESS)
        try:
            made = build(again, both)
        except BuildError as error:
            write(error=_plain(error))
            raise
        except ReleaseError as error:
            write(error=_plain(BuildError("publish", str(error), error.hint)))
            raise
        except SystemExit:
            write(
                error=_plain(
                    BuildError("stopped", "the build was stopped", "build again: netboot-appliance image build")
                )
            )
            raise
        write(release=made.id)
    return made


def _asked(request: Path) -> When:
    """What the unit was asked for; each request counts once."""
    with contextlib.suppress(OSError, ValueError):
        text = request.read_text()
        request.unlink()
        return When(text)
    return When.NEVER


def _plain(error: BuildError) -> dict[str, Any]:
    return {
        "stage": error.stage,
        "message": str(error),
        "hint": error.hint,
        "log": str(error.log) if error.log else "",
        "tail": error.tail,
        "paste": error.paste,
    }
