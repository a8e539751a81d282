"""The bytes of a squashfs: blocks of metadata, one after the other, and tables whose entries lie in such blocks. PURE.

What they mean is in squashfs.py. Everything is bounded: the file may be damaged, or made to harm.
"""

import struct
from collections.abc import Callable

MOST_METADATA = 128 << 20
"""Bytes of inodes, names and attributes. A live system has 1 MB."""

_BLOCK = 8192
_STORED = 0x8000
_POINTER = struct.Struct("<Q")

Read = Callable[[int, int], bytes]
"""The bytes of the file from a position on; fewer at its end."""
Decompress = Callable[[bytes, int], bytes]
"""The content of a compressed block, of a bounded length; raises an exception of its own."""


class SquashfsError(Exception):
    """The file is no squashfs that this can read, or it is damaged."""


class SquashfsBytes:
    """One file. Each method raises SquashfsError."""

    def __init__(self, read: Read, decompress: Decompress) -> None:
        self._read_at, self._decompress = read, decompress
        self._blocks: dict[int, tuple[bytes, int]] = {}
        self._total = 0

    def cursor(self, table: int, reference: int) -> "Cursor":
        """Where a reference into a table leads."""
        return Cursor(self, table + (reference >> 16), reference & 0xFFFF)

    def entry(self, table: int, number: int, size: int) -> bytes:
        """One of the entries of a table, which lie in blocks that a list of pointers names."""
        block, offset = divmod(number * size, _BLOCK)
        (position,) = _POINTER.unpack(self.exactly(table + block * _POINTER.size, _POINTER.size))
        return Cursor(self, position, offset).take(size)

    def block(self, position: int) -> tuple[bytes, int]:
        """The block of inodes, names or attributes at a position of the file, and where the next one is."""
        if position not in self._blocks:
            (word,) = struct.unpack("<H", self.exactly(position, 2))
            length = word & (_STORED - 1)
            if not 0 < length <= _BLOCK:
                raise SquashfsError("a block of metadata is damaged")
            found = self.exactly(position + 2, length)
            if not word & _STORED:
                found = self.unpacked(found, _BLOCK)
            self._total += len(found)
            if self._total > MOST_METADATA or not found:
                raise SquashfsError(f"its metadata are damaged, or longer than {MOST_METADATA:,} bytes")
            self._blocks[position] = found, position + 2 + length
        return self._blocks[position]

    def unpacked(self, packed: bytes, most: int) -> bytes:
        """The content of a compressed block."""
        try:
            return self._decompress(packed, most)
        except Exception as error:
            raise SquashfsError(f"a block cannot be unpacked: {error}") from error

    def exactly(self, position: int, length: int) -> bytes:
        """Bytes of the file."""
        # What no file can have, pread refuses with other errors.
        found = self._read_at(position, length) if position < 1 << 62 else b""
        if len(found) != length:
            raise SquashfsError("it ends too early")
        return found


class Cursor:
    """Reads on through blocks of metadata."""

    __slots__ = ("_at", "_data", "_next", "_source", "_start")

    def __init__(self, source: SquashfsBytes, position: int, offset: int) -> None:
        self._source, self._start, self._at = source, position, offset
        self._data, self._next = source.block(position)
        if offset > len(self._data):
            raise SquashfsError("a reference leads nowhere")

    @property
    def position(self) -> tuple[int, int]:
        """Where it is, for another one that reads on from here."""
        return self._start, self._at

    def take(self, length: int) -> bytes:
        """The next bytes."""
        end = self._at + length
        if end <= len(self._data):
            found = self._data[self._at : end]
            self._at = end
            return found
        pieces, missing = [self._data[self._at :]], end - len(self._data)
        while missing > 0:
            self._start = self._next
            self._data, self._next = self._source.block(self._start)
            self._at = min(missing, len(self._data))
            pieces.append(self._data[: self._at])
            missing -= self._at
        return b"".join(pieces)

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next values."""
        return layout.unpack(self.take(layout.size))


def bounded(number: int, most: int) -> int:
    """The number, if it is not larger."""
    if number > most:
        raise SquashfsError(f"it says {number:,} where {most:,} is the most there can be")
    return number


def text(name: bytes) -> str:
    """A name; bytes that are not UTF-8 are lone surrogates."""
    return name.decode("utf-8", "surrogateescape")
