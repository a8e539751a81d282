"""The overlays as archives, kept current in a thread: the event loop never reads a directory.

An overlay that is being changed is packed when two looks in a row find it the same. Until then, and while there is
something wrong with it, PCs get it as it was. The archives are in memory that only this process has (memfd_create(2)):
nothing is left behind, whatever ends it.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from appliance.errors import UserError
from appliance.live import overlay
from appliance.live.archive import RootFile, pack
from appliance.live.overlay import Overlay, OverlayChangedError
from services.linux.memory_file import MemoryFile

EVERY = 0.25
"""Seconds between two looks. After one that took long there are ten times as many."""
_SHARE = 10
MOST_TOGETHER = 128 << 20
"""Bytes of all archives."""
_TRIES = 3

log = structlog.get_logger("live")


@dataclass(frozen=True, slots=True)
class LiveArchive:
    """An archive for the root of PCs. `digest` is its SHA-256 in hexadecimal; `mark` that of the overlay, or empty."""

    file: MemoryFile
    digest: str
    mark: str = ""


def archive_of(files: Mapping[str, RootFile], mark: str = "") -> LiveArchive:
    """The archive of these files. Raises OSError."""
    content = pack(files)
    return LiveArchive(MemoryFile(content), hashlib.sha256(content).hexdigest(), mark)


class Overlays:
    """What PCs get now of each overlay that has files. `trouble`: what is wrong with the others, by their names."""

    def __init__(self) -> None:
        self.packed: dict[str, LiveArchive] = {}
        self.trouble: dict[str, UserError] = {}
        self._unsettled: dict[str, str] = {}
        self._refused: dict[str, tuple[str, int, UserError]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, wanted: Callable[[], tuple[Path, Iterable[str]]]) -> None:
        """Read all overlays, and keep them current from now on. `wanted` has their directory and their names."""
        self._turn(*wanted(), settled=True)
        self._thread = threading.Thread(target=self._run, args=(wanted,), name="overlays", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def turn(self, directory: Path, names: Iterable[str]) -> None:
        """Look once. Raises nothing."""
        self._turn(directory, names, settled=False)

    def _run(self, wanted: Callable[[], tuple[Path, Iterable[str]]]) -> None:
        wait = EVERY
        while not self._stop.wait(wait):
            begun = time.monotonic()
            self.turn(*wanted())
            wait = max(EVERY, _SHARE * (time.monotonic() - begun))

    def _turn(self, directory: Path, names: Iterable[str], *, settled: bool) -> None:
        wanted = tuple(names)
        # Replaced as a whole: the event loop reads it meanwhile.
        packed = {name: archive for name, archive in self.packed.items() if name in wanted}
        trouble: dict[str, UserError] = {}
        for name in wanted:
            try:
                self._look(directory / name, name, packed, settled=settled)
            except UserError as error:
                trouble[name] = error
            except OSError as error:
                trouble[name] = UserError(f"{directory / name}: {error.strerror}", "see what holds up this server")
            except Exception as error:
                log.exception("an overlay could not be read; trying again", overlay=name)
                trouble[name] = UserError(f"{directory / name}: {type(error).__name__}", "see the log")
        for name, wrong in trouble.items():
            if str(wrong) != str(self.trouble.get(name, "")):
                log.error("an overlay cannot be used; PCs get it as it was", error=wrong.message, do=wrong.hint)
        self.packed, self.trouble = packed, trouble

    def _look(self, directory: Path, name: str, packed: dict[str, LiveArchive], *, settled: bool) -> None:
        found = overlay.mark(directory)
        if found == (packed[name].mark if name in packed else ""):
            self._unsettled.pop(name, None)
            return
        if not settled and self._unsettled.get(name) != found:
            self._unsettled[name] = found
            return
        others = sum(each.file.size for other, each in packed.items() if other != name)
        if name in self._refused and self._refused[name][:2] == (found, others):
            raise self._refused[name][2]
        try:
            self._pack(directory, name, packed, MOST_TOGETHER - others)
        except UserError as error:
            # Not to be read again and again before something changes.
            self._refused[name] = found, others, error
            raise

    def _pack(self, directory: Path, name: str, packed: dict[str, LiveArchive], room: int) -> None:
        with suppress(OverlayChangedError):
            read = _read(directory)
            if not read.files:
                packed.pop(name, None)
                return
            archive = archive_of(read.files, read.mark)
            if archive.file.size > room:
                raise UserError(
                    f"{directory}: all overlays together have more than {MOST_TOGETHER >> 20} MiB",
                    "put large files into the image, or let a hook fetch them",
                )
            packed[name] = archive
            log.info("overlay", name=name, files=len(read.files), bytes=archive.file.size)


def _read(directory: Path) -> Overlay:
    """Read it, though somebody may be changing it; raises OverlayChangedError after some tries."""
    for _ in range(_TRIES - 1):
        with suppress(OverlayChangedError):
            return overlay.read(directory)
    return overlay.read(directory)
