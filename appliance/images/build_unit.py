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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from appliance.config.file import DEFAULT_PATH
from appliance.images import build_order
from appliance.images.build_order import BuildOrder
from appliance.images.build_output import OUTPUT, OutputFile, read_output
from appliance.images.build_record import BuildRecord
from image import release
from image.progress import STAGES, BuildError, Progress
from image.release import Release, ReleaseError
from services.linux import programs
from services.linux.programs import ProgramError

UNIT = "netboot-appliance-image.service"
UPDATE_UNIT = "netboot-appliance-rebuild.service"
"""Runs `image update`, which asks UNIT to build."""
DIRECTORY = Path("/run/netboot-appliance-image")
SYSTEMD = Path("/run/systemd/system")
"""Exists if systemd is running this machine: sd_booted(3)."""

_PROGRESS = "progress"
_REQUEST = "request"
_READ_EVERY = 0.1
"""Seconds."""

_AT_WORK = ("activating", "deactivating")
"""If `systemctl stop` cancels the start, our systemctl returns at once, but the unit still has to clean up."""

_DAMAGED = (OSError, ValueError, TypeError, LookupError, RecursionError)

_STOPPED = "stopped"
"""The stage of an error that is none: somebody stopped the build."""

_LARGEST_PROGRESS = 1 << 18
"""Bytes that are looked at, from the end: a build reports some hundred steps, of a hundred bytes each."""

_SYSTEMD_SECONDS = 25.0
"""As long as systemctl itself waits for an answer of systemd's: sd-bus, 25 s."""

Report = Callable[[Progress], None]
Hear = Callable[[str], None]
Build = Callable[[BuildOrder, Report, Hear], Sequence[Release]]
"""A build that is ordered; it reports its progress, and passes on each line that its programs print."""


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


def _busy(unit: str = UNIT) -> bool:
    return _properties("ActiveState", unit=unit)["ActiveState"] in _AT_WORK


def last_failure() -> tuple[str, str, str] | None:
    """Which run of the unit was the last one, what went wrong in it, and what to do; None if nothing did, or if it was
    stopped. Reads what the run has written; systemd is not asked."""
    with contextlib.suppress(*_DAMAGED):
        first, *_, last = _progress_lines()
        error = _decode_error(json.loads(last)["error"])
        if error.stage != _STOPPED:
            return str(json.loads(first)["invocation"]), str(error), error.hint
    return None


def latest() -> BuildRecord:
    """The latest build, which may have begun just now. For anybody: systemd is asked, too."""
    state = _properties("ActiveState", "InvocationID")
    busy = state["ActiveState"] in _AT_WORK
    run = _invocation()
    if busy and state["InvocationID"] not in ("", run):
        # It has written nothing yet; what is there is by the run before.
        return BuildRecord(state["InvocationID"], busy)
    return BuildRecord(run, busy, _progress_lines(), read_output(DIRECTORY))


def marks() -> object:
    """Something that differs from before once a run of the unit has written anything. Cheap."""
    found = []
    for path in (DIRECTORY / _PROGRESS, DIRECTORY / OUTPUT):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return found


def _progress_lines() -> list[str]:
    """The first line of what the latest run has reported, and the latest ones."""
    try:
        with (DIRECTORY / _PROGRESS).open("rb") as file:
            first = file.readline(_LARGEST_PROGRESS)
            rest = max(file.tell(), os.fstat(file.fileno()).st_size - _LARGEST_PROGRESS)
            file.seek(rest)
            lines = file.read(_LARGEST_PROGRESS).decode(errors="replace").splitlines()
    except OSError:
        return []
    return [first.decode(errors="replace").rstrip(), *(lines if rest == len(first) else lines[1:])]


# The end that asks for a build


def follow(images: Path, order: BuildOrder, report: Report) -> list[Release]:
    """Start the unit, or join its current build, and return a release of each image that it built. Raises BuildError as
    the build itself would.

    Any other exception, such as KeyboardInterrupt, ends this call but not the build.
    """
    state = _properties("ActiveState", "InvocationID")
    if state["ActiveState"] == "activating":
        is_ours = partial(operator.eq, state["InvocationID"])
    else:
        _write_request(order)
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
        case {"releases": idents}:
            try:
                return [release.read(images, ident) for ident in idents]
            except ReleaseError as error:
                raise BuildError("publish", str(error), error.hint) from error
        case {"error": error}:
            raise _decode_error(error)
    raise BuildError(
        "checks", f"{UNIT} ended without a result: {stderr or 'no reason given'}", f"see: journalctl -u {UNIT} -n 30"
    )


def begin(order: BuildOrder) -> str:
    """Start the unit, and return at once, in words what happens; raises BuildError. A build that is under way goes
    on."""
    if _busy():
        return "a build is under way already"
    _write_request(order)
    _ask_systemd("start")
    return "the build has begun"


def begin_update() -> str:
    """Start the unit that the timer starts, and return at once, in words what happens; raises BuildError."""
    if _busy():
        return "a build is under way already"
    if _busy(UPDATE_UNIT):
        return "an update is under way already"
    _ask_systemd("start", UPDATE_UNIT)
    return "the update has begun"


def stop() -> str:
    """Have systemd stop the unit, and return at once, in words what happens; raises BuildError."""
    if not _busy():
        return "no build is under way"
    _ask_systemd("stop")
    return "the build is being stopped"


def _ask_systemd(what: str, unit: str = UNIT) -> None:
    try:
        programs.output(("systemctl", what, "--no-block", "--no-ask-password", unit), seconds=_SYSTEMD_SECONDS)
    except ProgramError as error:
        raise BuildError("checks", str(error), f"by hand: {error.paste}") from error


def _outcome(lines: Iterator[dict[str, Any]], report: Report) -> dict[str, Any]:
    """Report all progress; return the line with the result, or an empty one if there is none."""
    for line in lines:
        match line:
            case {"progress": progress}:
                report(Progress(**progress))
            case {"releases": _} | {"error": _}:
                return line
    return {}


def _properties(*properties: str, unit: str = UNIT) -> dict[str, str]:
    """Properties of a unit; empty if systemd cannot be asked."""
    options = [f"--property={name}" for name in properties]
    try:
        shown = programs.output(("systemctl", "show", *options, unit), seconds=_SYSTEMD_SECONDS)
    except ProgramError:
        shown = ""
    lines = dict(line.partition("=")[::2] for line in shown.splitlines())
    return {name: lines.get(name, "") for name in properties}


def _write_request(order: BuildOrder) -> None:
    try:
        DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        (DIRECTORY / _REQUEST).write_text(build_order.encode(order))
    except OSError as error:
        raise BuildError("checks", f"cannot write to {DIRECTORY}: {error.strerror}", "check /run") from error


def _invocation() -> str:
    """Which run of the unit wrote the progress file; empty if there is none."""
    with contextlib.suppress(*_DAMAGED), (DIRECTORY / _PROGRESS).open() as file:
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


def record(build: Build, report: Report) -> Sequence[Release]:
    """Run the build that was asked for, and pass its progress to `report` and to followers; raises what `build` raises.

    Outside the unit it just builds.
    """
    directory, invocation = os.environ.get("RUNTIME_DIRECTORY"), os.environ.get("INVOCATION_ID")
    if not directory or not invocation:
        return build(BuildOrder(), report, lambda _: None)
    order = _take_request(Path(directory) / _REQUEST)
    unfinished = Path(directory) / f".{_PROGRESS}"
    with contextlib.closing(OutputFile(Path(directory))) as output, unfinished.open("w", buffering=1) as file:

        def write(**line: Any) -> None:
            file.write(f"{json.dumps(line)}\n")

        def write_and_report(progress: Progress) -> None:
            write(progress=asdict(progress))
            report(progress)

        def write_error(error: BuildError) -> None:
            write(error=_encode_error(error), ended=time.time())

        write(invocation=invocation, began=time.time(), stages=len(STAGES))
        # A new file, so that followers of the previous build keep theirs.
        unfinished.rename(Path(directory) / _PROGRESS)
        try:
            made = build(order, write_and_report, output.hear)
        except BuildError as error:
            write_error(error)
            raise
        except ReleaseError as error:
            write_error(BuildError("publish", str(error), error.hint))
            raise
        except SystemExit:
            write_error(BuildError(_STOPPED, "the build was stopped", "build again: netboot-appliance image build"))
            raise
        write(releases=[each.id for each in made], ended=time.time())
    return made


def _take_request(request: Path) -> BuildOrder:
    """What the unit was asked for; each request is used once."""
    with contextlib.suppress(OSError, ValueError):
        text = request.read_text()
        request.unlink()
        return build_order.decode(text)
    return BuildOrder()


def _encode_error(error: BuildError) -> dict[str, Any]:
    return {
        "stage": error.stage,
        "message": str(error),
        "hint": error.hint,
        "log": str(error.log) if error.log else "",
        "tail": error.tail,
        "paste": error.paste,
    }
