"""Building images in a systemd unit: both ends of one protocol, kept in one file because neither makes sense alone.

netboot-appliance-image.service builds, and writes its progress and outcome to its runtime directory, one JSON object
per line (`record`). Whoever wants a build starts the unit and reads those lines (`follow`); leaving does not stop the
build. Prints nothing.
"""

import contextlib
import json
import operator
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from appliance.config.file import DEFAULT_PATH
from image import release
from image.build import Rebuild
from image.progress import BuildError, Progress
from image.release import Release, ReleaseError
from services.linux import programs
from services.linux.programs import ProgramError

UNIT = "netboot-appliance-image.service"
DIRECTORY = Path("/run/netboot-appliance-image")
SYSTEMD = Path("/run/systemd/system")
"""Exists if systemd is running this machine: sd_booted(3)."""

_PROGRESS = "progress"
_REQUEST = "request"
_READ_EVERY = 0.1
"""Seconds."""

_LARGEST_PROGRESS = 16 << 20
"""Characters of all that one build reports."""

_STOPPED = "stopped"
"""The stage of an error that is none: somebody stopped the build."""

_LARGEST_PROGRESS = 1 << 20
"""Characters that are shown of a build: it writes some hundred lines."""

_SYSTEMD_SECONDS = 25.0
"""As long as systemctl itself waits for an answer of systemd's: sd-bus, 25 s."""

Report = Callable[[Progress], None]


def available(configuration: Path) -> bool:
    """Whether the unit can build this configuration: systemd has it, root asks, and it is the default file."""
    return (
        os.geteuid() == 0
        and configuration == DEFAULT_PATH
        and SYSTEMD.is_dir()
        and _properties("LoadState")["LoadState"] == "loaded"
    )


def running() -> bool:
    """Whether the unit is building right now."""
    return _properties("ActiveState")["ActiveState"] == "activating"


def _busy() -> bool:
    # If `systemctl stop` cancels the start, our systemctl returns at once, but the unit still has to clean up.
    return _properties("ActiveState")["ActiveState"] in ("activating", "deactivating")


def last_failure() -> tuple[str, str, str] | None:
    """Which run of the unit was the last one, what went wrong in it, and what to do; None if nothing did, or if it was
    stopped. Reads what the run has written; systemd is not asked."""
    damaged = (OSError, ValueError, TypeError, LookupError, RecursionError)
    with contextlib.suppress(*damaged), (DIRECTORY / _PROGRESS).open() as file:
        first, *lines = file.read(_LARGEST_PROGRESS).splitlines()
        error = _decode_error(json.loads(lines[-1])["error"])
        if error.stage != _STOPPED:
            return str(json.loads(first)["invocation"]), str(error), error.hint
    return None


# The end that asks for a build


def follow(images: Path, rebuild: Rebuild, report: Report) -> Release:
    """Start the unit, or join its current build, and return the release; raises BuildError as the build itself would.

    Any other exception, such as KeyboardInterrupt, ends this call but not the build.
    """
    state = _properties("ActiveState", "InvocationID")
    if state["ActiveState"] == "activating":
        is_ours = partial(operator.eq, state["InvocationID"])
    else:
        _write_request(rebuild)
        is_ours = partial(operator.ne, _invocation())
    # If the unit is already building, this waits for it too.
    starting = ("systemctl", "start", "--no-ask-password", UNIT)
    with programs.start(starting) as starter:
        try:
            outcome = _outcome(_lines(is_ours, lambda: starter.poll() is not None and not _busy()), report)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            starter.terminate()
            where = DIRECTORY / _PROGRESS
            raise BuildError("checks", f"{where} is damaged", f"the build goes on: journalctl -fu {UNIT}") from error
        except BaseException:
            starter.terminate()
            raise
        assert starter.stderr is not None
        stderr = starter.stderr.readline().strip()
    match outcome:
        case {"release": ident}:
            try:
                return release.read(images, ident)
            except ReleaseError as error:
                raise BuildError("publish", str(error), error.hint) from error
        case {"error": error}:
            raise _decode_error(error)
    raise BuildError(
        "checks", f"{UNIT} ended without a result: {stderr or 'no reason given'}", f"see: journalctl -u {UNIT} -n 30"
    )


def begin(rebuild: Rebuild) -> str:
    """Start the unit and return at once, in words what happens; raises BuildError. A build that is under way goes
    on."""
    if _busy():
        return "a build is under way already"
    _write_request(rebuild)
    try:
        programs.output(("systemctl", "start", "--no-block", "--no-ask-password", UNIT), seconds=_SYSTEMD_SECONDS)
    except ProgramError as error:
        raise BuildError("checks", str(error), f"by hand: {error.paste}") from error
    return "the build has begun"


def last_lines() -> tuple[bool, list[str]]:
    """Whether the unit is at work, and what the latest build wrote: one JSON object on each line. For anybody."""
    busy = _busy()
    try:
        with (DIRECTORY / _PROGRESS).open(errors="replace") as file:
            return busy, file.read(_LARGEST_PROGRESS).splitlines()
    except OSError:
        return busy, []


def _outcome(lines: Iterator[dict[str, Any]], report: Report) -> dict[str, Any]:
    """Report all progress; return the line with the result, or an empty one if there is none."""
    for line in lines:
        match line:
            case {"progress": progress}:
                report(Progress(**progress))
            case {"release": _} | {"error": _}:
                return line
    return {}


def _properties(*properties: str) -> dict[str, str]:
    """Properties of the unit; empty if systemd cannot be asked."""
    options = [f"--property={name}" for name in properties]
    try:
        shown = programs.output(("systemctl", "show", *options, UNIT), seconds=_SYSTEMD_SECONDS)
    except ProgramError:
        shown = ""
    lines = dict(line.partition("=")[::2] for line in shown.splitlines())
    return {name: lines.get(name, "") for name in properties}


def _write_request(rebuild: Rebuild) -> None:
    try:
        DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        (DIRECTORY / _REQUEST).write_text(rebuild.value)
    except OSError as error:
        raise BuildError("checks", f"cannot write to {DIRECTORY}: {error.strerror}", "check /run") from error


def _invocation() -> str:
    """Which run of the unit wrote the progress file; empty if there is none."""
    damaged = (OSError, ValueError, TypeError, LookupError, RecursionError)
    with contextlib.suppress(*damaged), (DIRECTORY / _PROGRESS).open() as file:
        return str(json.loads(file.readline())["invocation"])
    return ""


def _lines(is_ours: Callable[[str], bool], ended: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """All lines that our run of the unit writes, until it has ended."""
    with contextlib.ExitStack() as stack:
        file, partial_line = None, ""
        while True:
            # Ask first whether it has ended: then everything it wrote is read below.
            last = ended()
            if file is None and (invocation := _invocation()) and is_ours(invocation):
                file = stack.enter_context((DIRECTORY / _PROGRESS).open())
            while file and (text := file.readline()):
                partial_line += text
                if partial_line.endswith("\n"):
                    yield json.loads(partial_line)
                    partial_line = ""
            if last:
                return
            time.sleep(_READ_EVERY)


def _decode_error(error: Mapping[str, Any]) -> BuildError:
    log = Path(error["log"]) if error["log"] else None
    return BuildError(
        error["stage"], error["message"], error["hint"], log=log, tail=error["tail"], paste=error["paste"]
    )


# The end that builds, in the unit


def record(build: Callable[[Rebuild, Report], Release], report: Report) -> Release:
    """Run the build that was asked for, and pass its progress to `report` and to followers; raises what `build` raises.

    Outside the unit it just builds.
    """
    directory, invocation = os.environ.get("RUNTIME_DIRECTORY"), os.environ.get("INVOCATION_ID")
    if not directory or not invocation:
        return build(Rebuild.NEVER, report)
    rebuild = _take_request(Path(directory) / _REQUEST)
    unfinished = Path(directory) / f".{_PROGRESS}"
    with unfinished.open("w", buffering=1) as file:

        def write(**line: Any) -> None:
            file.write(f"{json.dumps(line)}\n")

        def write_and_report(progress: Progress) -> None:
            write(progress=asdict(progress))
            report(progress)

        write(invocation=invocation)
        # A new file, so that followers of the previous build keep theirs.
        unfinished.rename(Path(directory) / _PROGRESS)
        try:
            made = build(rebuild, write_and_report)
        except BuildError as error:
            write(error=_encode_error(error))
            raise
        except ReleaseError as error:
            write(error=_encode_error(BuildError("publish", str(error), error.hint)))
            raise
        except SystemExit:
            write(
                error=_encode_error(
                    BuildError(_STOPPED, "the build was stopped", "build again: netboot-appliance image build")
                )
            )
            raise
        write(release=made.id)
    return made


def _take_request(request: Path) -> Rebuild:
    """What the unit was asked for; each request is used once."""
    with contextlib.suppress(OSError, ValueError):
        text = request.read_text()
        request.unlink()
        return Rebuild(text)
    return Rebuild.NEVER


def _encode_error(error: BuildError) -> dict[str, Any]:
    return {
        "stage": error.stage,
        "message": str(error),
        "hint": error.hint,
        "log": str(error.log) if error.log else "",
        "tail": error.tail,
        "paste": error.paste,
    }
