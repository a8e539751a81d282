"""The latest lines that the programs of a build print, in a file of bounded size, for whoever follows it.

The build runs as root, and its log is in a directory that is root's alone. This file, beside the progress in /run, is
a copy for everybody (build_record.py has what a line is). One that has grown too long is replaced by one that begins
with its latest lines.
"""

import contextlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from appliance.images.build_record import OutputLine, decode, encode, harmless, is_meter

MOST_LINES = 500
"""That are kept. A build prints some 2,000."""

OUTPUT = "output"
"""The name of the file, in the directory of the unit."""

_LARGEST = 2 << 20
"""Bytes that are read: twice MOST_LINES, of the longest characters, are less."""


class OutputFile:
    """The file as the build writes it. A build never fails because of it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / OUTPUT
        self._latest: deque[str] = deque(maxlen=MOST_LINES)
        self._number = 0
        self._written = 0
        self._file: IO[str] | None = None
        self._begin_file()

    def hear(self, line: str) -> None:
        """Add a line: foreign text."""
        if is_meter(line):
            return
        self._number += 1
        self._latest.append(encode(OutputLine(self._number, harmless(line))))
        if self._file is None or self._written >= 2 * MOST_LINES:
            self._begin_file()
        else:
            self._write([self._latest[-1]])

    def close(self) -> None:
        """No line more. What was written stays."""
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _begin_file(self) -> None:
        # A new file, so that nobody reads a line twice, or half of one.
        self.close()
        unfinished = self._path.with_name(f".{OUTPUT}")
        with contextlib.suppress(OSError):
            self._file = unfinished.open("w", encoding="utf-8")
            self._written = 0
            self._write(self._latest)
            unfinished.rename(self._path)

    def _write(self, lines: Iterable[str]) -> None:
        if self._file is None:
            return
        try:
            for line in lines:
                self._file.write(f"{line}\n")
                self._written += 1
            self._file.flush()
        except OSError:
            self.close()


def read_output(directory: Path) -> list[OutputLine]:
    """The latest lines of the latest build, MOST_LINES at most. What cannot be read is left out."""
    found: deque[OutputLine] = deque(maxlen=MOST_LINES)
    try:
        with (directory / OUTPUT).open("rb") as file:
            content = file.read(_LARGEST)
    except OSError:
        return []
    for line in content.decode(errors="replace").split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            found.append(decode(line))
    return list(found)
