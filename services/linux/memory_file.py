"""A file that is in memory alone, memfd_create(2): sent like any other, and gone with the process, whatever ends it."""

import os
import weakref

from services.linux.open_beneath import OpenFile


class MemoryFile:
    """A file with this content, for as long as somebody holds it or has it open. Raises OSError."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._fd = os.memfd_create("content", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)
        view = memoryview(content)
        while view:
            view = view[os.write(self._fd, view) :]

    def open(self) -> OpenFile:
        """The file, to be sent. Raises OSError."""
        fd = os.dup(self._fd)
        return OpenFile(fd, self.size, os.fstat(fd).st_mtime_ns)
