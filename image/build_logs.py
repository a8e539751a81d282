"""The logs of builds: each is named as the release that it is to make, and compressed when the next build begins."""

import contextlib
import gzip
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

DIRECTORY = "logs"
"""In the directory in which images are built."""

_MOST = 50
"""So many are kept, of about 30 kB each."""
_PLAIN, _PACKED = ".log", ".log.gz"
_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_CHUNK = 1 << 16
_LARGEST = 1 << 28
"""Bytes of a log that are read: a program may have written without an end."""


@contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """Open the log of a build; raises OSError. What a full disk does not take at its end is lost."""
    path.parent.mkdir(exist_ok=True)
    log = path.open("w", encoding="utf-8")
    try:
        yield log
    finally:
        with contextlib.suppress(OSError):
            log.close()


def compress(own: Path) -> None:
    """Compress the logs beside `own`, which are of earlier builds, and keep the latest of them. Raises OSError."""
    logs = own.parent
    for log in [each for each in logs.glob(f"*{_PLAIN}") if each != own]:
        with log.open("rb") as whole, gzip.open(log.with_suffix(".new"), "wb") as packed:
            shutil.copyfileobj(whole, packed)
        log.with_suffix(".new").rename(log.with_suffix(_PACKED))
        log.unlink()
    for old in sorted(logs.glob(f"*{_PACKED}"))[:-_MOST]:
        old.unlink()


def names(work: Path) -> list[str]:
    """The names of the builds that have a log, the latest first. Raises OSError."""
    found = {path.name.partition(".")[0] for path in (work / DIRECTORY).iterdir()}
    return sorted((each for each in found if _NAME.fullmatch(each)), reverse=True)


def read(work: Path, name: str) -> Iterator[bytes]:
    """The log of a build, in chunks: what programs have printed. Raises OSError, FileNotFoundError if there is none;
    of a compressed log that is damaged, what can be read."""
    if not _NAME.fullmatch(name):
        raise FileNotFoundError(name)
    with contextlib.ExitStack() as stack:
        file: IO[bytes] | gzip.GzipFile
        try:
            file = stack.enter_context((work / DIRECTORY / f"{name}{_PLAIN}").open("rb"))
        except FileNotFoundError:
            file = stack.enter_context(gzip.open(work / DIRECTORY / f"{name}{_PACKED}"))
        done = 0
        with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
            while done < _LARGEST and (chunk := file.read(_CHUNK)):
                done += len(chunk)
                yield chunk
