"""What is known of a release beside its manifest: whether Debian has updates for it, and how its boot test went.

A release never changes, so each of these is a file of JSON beside the releases, `IMAGES/.notes/RELEASE.KIND`; `update`
is about the latest run of `image update`. Root writes them, everybody may read them. One that is damaged counts as not
there: all of them can be found out again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from image.updates import PackageUpdate
from services.linux import atomic_file

_DIRECTORY = ".notes"
_CHECK, _TEST, _RUN = "check", "test", "update"
_LARGEST = 1 << 20
_MOST = 10_000
_OF_A_RELEASE = re.compile(rf"(.+)\.({_CHECK}|{_TEST})")


@dataclass(frozen=True, slots=True)
class UpdateCheck:
    """What a look at the archive has found at `at`, in seconds since the epoch."""

    at: float
    updates: tuple[PackageUpdate, ...]

    @property
    def security(self) -> int:
        """How many of the updates are of security."""
        return sum(each.security for each in self.updates)


@dataclass(frozen=True, slots=True)
class BootTest:
    """A boot of a release in an emulated PC, at `at`. `why` it failed, in words; empty if it passed. `stages` came
    after so many seconds. `log` is where its console is kept."""

    at: float
    why: str
    firmware: str
    accelerator: str
    stages: tuple[tuple[str, float], ...]
    log: str

    @property
    def passed(self) -> bool:
        """Whether the live system came up and said so."""
        return not self.why


@dataclass(frozen=True, slots=True)
class UpdateRun:
    """How the latest run of `image update` ended, at `at`: after which stage, with which release, and in words what it
    did, or why it `failed` and what to do."""

    at: float
    stage: str
    release: str
    failed: bool
    words: str
    hint: str = ""


def keep_check(images: Path, ident: str, check: UpdateCheck) -> None:
    """Keep what a look at the archive has found for this release; raises OSError."""
    _write(images, f"{ident}.{_CHECK}", asdict(check))


def check_of(images: Path, ident: str) -> UpdateCheck | None:
    """The latest look at the archive for this release."""
    match _read(images, f"{ident}.{_CHECK}"):
        case {"at": float(at), "updates": list(found)} if len(found) <= _MOST:
            updates = [_update(each) for each in found]
            return UpdateCheck(at, tuple(each for each in updates if each))
    return None


def keep_test(images: Path, ident: str, test: BootTest) -> None:
    """Keep how the test of this release went; raises OSError."""
    _write(images, f"{ident}.{_TEST}", asdict(test))


def test_of(images: Path, ident: str) -> BootTest | None:
    """The latest test of this release."""
    match _read(images, f"{ident}.{_TEST}"):
        case {
            "at": float(at),
            "why": str(why),
            "firmware": str(firmware),
            "accelerator": str(accelerator),
            "stages": list(stages),
            "log": str(log),
        }:
            reached = tuple((str(each[0]), float(each[1])) for each in stages if _is_stage(each))
            return BootTest(at, why, firmware, accelerator, reached, log)
    return None


def keep_run(images: Path, run: UpdateRun) -> None:
    """Keep how a run of `image update` ended; raises OSError."""
    _write(images, _RUN, asdict(run))


def latest_run(images: Path) -> UpdateRun | None:
    """How the latest run of `image update` ended."""
    match _read(images, _RUN):
        case {
            "at": float(at),
            "stage": str(stage),
            "release": str(ident),
            "failed": bool(failed),
            "words": str(words),
            "hint": str(hint),
        }:
            return UpdateRun(at, stage, ident, failed, words, hint)
    return None


def _update(each: object) -> PackageUpdate | None:
    match each:
        case {"name": str(name), "installed": str(old), "candidate": str(new), "security": bool(security)}:
            return PackageUpdate(name, old, new, security)
    return None


def _is_stage(each: object) -> bool:
    match each:
        case [str(), int() | float()]:
            return True
    return False


def _write(images: Path, name: str, values: Mapping[str, Any]) -> None:
    directory = images / _DIRECTORY
    directory.mkdir(mode=0o755, exist_ok=True)
    atomic_file.write(directory / name, json.dumps(values).encode())
    for path in directory.iterdir():
        if (found := _OF_A_RELEASE.fullmatch(path.name)) and not (images / found[1]).exists():
            path.unlink(missing_ok=True)


def _read(images: Path, name: str) -> Any:
    try:
        with (images / _DIRECTORY / name).open("rb") as file:
            return json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
