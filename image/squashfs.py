"""Reads a squashfs 4.0 file system without mounting it: its whole tree, and the content of its files. PURE.

Only what live-build makes here: little-endian, compressed by zstd. Layout: Documentation/filesystems/squashfs.rst and
fs/squashfs/squashfs_fs.h of Linux. docs/adr/0027-a-reader-of-squashfs.md says why not
unsquashfs. What its bytes are: squashfs_bytes.py.

The file may be damaged, or made to harm: whatever it says is checked, and memory and time are bounded.
"""

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from image.squashfs_bytes import Cursor, Decompress, Read, SquashfsBytes, SquashfsError, bounded, text

MOST_FILES = 500_000
"""Names in one file system. A live system has about 15,000."""

DEEPEST = 200
"""Directories in one another."""

OPAQUE = ("trusted.overlay.opaque", b"y")
"""The extended attribute of a directory that hides what the layers below have in its place."""

_SUPERBLOCK = struct.Struct("<5I6H8Q")
_MAGIC, _ZSTD, _NONE = 0x73717368, 6, 0xFFFFFFFFFFFFFFFF
_PLAIN_BLOCK = 1 << 24
_NO_FRAGMENT = _NO_ATTRIBUTES = 0xFFFFFFFF
_INODE = struct.Struct("<4H2I")
_DIRECTORY, _LONG_DIRECTORY = struct.Struct("<2I2HI"), struct.Struct("<4I2HI")
_FILE, _LONG_FILE = struct.Struct("<4I"), struct.Struct("<3Q4I")
_TWO, _THREE, _ONE = struct.Struct("<2I"), struct.Struct("<3I"), struct.Struct("<I")
_HEADING, _ENTRY = struct.Struct("<3I"), struct.Struct("<HhHH")
_POINTER, _FRAGMENT = struct.Struct("<Q"), struct.Struct("<QII")
_ATTRIBUTE = struct.Struct("<2H")
_PREFIXES = ("user.", "trusted.", "security.")
_KINDS = "d-lbcps"
_MOST_ATTRIBUTES, _LONGEST_VALUE = 100, 1 << 16
_REMEMBERED_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class FileContent:
    """Where the content of a regular file is; bytes."""

    image: "Squashfs"
    start: int
    size: int
    blocks: int
    sizes_at: tuple[int, int]
    fragment: tuple[int, int] | None

    def chunks(self) -> Iterator[bytes]:
        """The content, piece by piece; raises SquashfsError."""
        for number in range(self.blocks):
            yield self.image.block(self, number)
        if self.fragment is not None:
            yield self.image.tail(self)

    def is_same_as(self, other: "FileContent") -> bool:
        """Whether two files hold the same; raises SquashfsError. Blocks that were stored alike are not unpacked."""
        if self.size != other.size:
            return False
        if (self.image.block_size, self.blocks) != (other.image.block_size, other.blocks):
            return self._digest() == other._digest()
        for number in range(self.blocks):
            alike = self.image.stored(self, number) == other.image.stored(other, number)
            if not alike and self.image.block(self, number) != other.image.block(other, number):
                return False
        return self.fragment is None or self.image.tail(self) == other.image.tail(other)

    def _digest(self) -> bytes:
        found = hashlib.sha256()
        for chunk in self.chunks():
            found.update(chunk)
        return found.digest()


@dataclass(slots=True)
class Node:
    """A file of any kind. `kind` is the letter that ls shows: one of -, d, l, b, c, p, s. `modified` is in seconds
    since the epoch, `size` in bytes. Names are text; bytes in them that are not UTF-8 are lone surrogates."""

    kind: str
    mode: int
    uid: int
    gid: int
    modified: int
    size: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    attributes: tuple[tuple[str, bytes], ...] = ()
    content: FileContent | None = None
    children: dict[str, "Node"] = field(default_factory=dict)

    @property
    def is_whiteout(self) -> bool:
        """Whether it only says that a file of the layers below is gone."""
        return self.kind == "c" and self.device == (0, 0)

    @property
    def is_opaque(self) -> bool:
        """Whether it hides what the layers below have in its place."""
        return OPAQUE in self.attributes


class Squashfs:
    """One file system. Each method raises SquashfsError."""

    def __init__(self, read: Read, decompress: Decompress) -> None:
        self._bytes = SquashfsBytes(read, decompress)
        self._fragments: OrderedDict[int, bytes] = OrderedDict()
        self._sizes: tuple[FileContent | None, tuple[int, ...], list[int]] = (None, (), [])
        self._known_attributes: dict[int, tuple[tuple[str, bytes], ...]] = {}
        values = _SUPERBLOCK.unpack(self._bytes.exactly(0, _SUPERBLOCK.size))
        magic, _, _, self.block_size, self._fragment_count, compression = values[:6]
        self._id_count, major = values[8], values[9]
        self._root, _, self._id_table, self._attribute_table = values[11:15]
        self._inode_table, self._directory_table, self._fragment_table, _ = values[15:]
        if magic != _MAGIC or major != 4:
            raise SquashfsError("it is no squashfs 4.0")
        if compression != _ZSTD:
            raise SquashfsError("it is not compressed by zstd")
        if self.block_size not in [1 << bits for bits in range(12, 21)]:
            raise SquashfsError(f"its blocks cannot have {self.block_size} bytes")
        self._ids = [_ONE.unpack(self._bytes.entry(self._id_table, n, _ONE.size))[0] for n in range(self._id_count)]

    def tree(self) -> Node:
        """Its root directory, with all that is below it."""
        root, listing = self._inode(self._root)
        seen, files = {self._root}, 0
        waiting = [(root, listing, 0)]
        while waiting:
            parent, listing, depth = waiting.pop()
            for name, reference in self._listed(listing):
                files += 1
                if files > MOST_FILES:
                    raise SquashfsError(f"it has more than {MOST_FILES:,} files")
                if depth >= DEEPEST:
                    raise SquashfsError(f"it has more than {DEEPEST} directories in one another")
                node, inside = self._inode(reference)
                if name in parent.children or name in ("", ".", "..") or "/" in name or "\0" in name:
                    raise SquashfsError(f"a directory has a file of the name {name!r}, or has it twice")
                parent.children[name] = node
                if node.kind == "d":
                    if reference in seen:
                        raise SquashfsError("a directory is in two places")
                    seen.add(reference)
                    waiting.append((node, inside, depth + 1))
        return root

    def stored(self, content: FileContent, number: int) -> tuple[int, bytes]:
        """A block as it lies in the file: how, and its bytes."""
        position, word = self._place(content, number)
        return word, self._bytes.exactly(position, self._stored_length(word))

    def block(self, content: FileContent, number: int) -> bytes:
        """A block of a file."""
        position, word = self._place(content, number)
        length = min(self.block_size, content.size - number * self.block_size)
        return self._unpacked(position, word, length)

    def tail(self, content: FileContent) -> bytes:
        """The end of a file that shares a block with the ends of others."""
        assert content.fragment is not None
        index, offset = content.fragment
        length = content.size - content.blocks * self.block_size
        found = self._fragment(index)[offset : offset + length]
        if len(found) != length:
            raise SquashfsError("the end of a file is not where it should be")
        return found

    def _place(self, content: FileContent, number: int) -> tuple[int, int]:
        """The position of a block, and the word that says how it is stored."""
        if self._sizes[0] is not content:
            taken = Cursor(self._bytes, *content.sizes_at).take(4 * content.blocks)
            words = struct.unpack(f"<{content.blocks}I", taken)
            places, position = [], content.start
            for word in words:
                places.append(position)
                position += self._stored_length(word)
            self._sizes = (content, words, places)
        return self._sizes[2][number], self._sizes[1][number]

    def _stored_length(self, word: int) -> int:
        length = word & (_PLAIN_BLOCK - 1)
        if length > self.block_size:
            raise SquashfsError("a block is longer than a block")
        return length

    def _unpacked(self, position: int, word: int, length: int | None) -> bytes:
        """A block that must have this length, if one is given. A word of 0 stands for zeros."""
        if word == 0:
            return bytes(length or 0)
        found = self._bytes.exactly(position, self._stored_length(word))
        if not word & _PLAIN_BLOCK:
            found = self._bytes.unpacked(found, self.block_size)
        if length is not None and len(found) != length:
            raise SquashfsError(f"a block has {len(found)} bytes instead of {length}")
        return found

    def _fragment(self, index: int) -> bytes:
        if index in self._fragments:
            self._fragments.move_to_end(index)
            return self._fragments[index]
        if index >= self._fragment_count:
            raise SquashfsError(f"it has no fragment {index}")
        position, word, _ = _FRAGMENT.unpack(self._bytes.entry(self._fragment_table, index, _FRAGMENT.size))
        self._fragments[index] = found = self._unpacked(position, word, None)
        if len(self._fragments) * self.block_size > _REMEMBERED_BYTES:
            self._fragments.popitem(last=False)
        return found

    def _inode(self, reference: int) -> tuple[Node, tuple[int, int, int]]:
        """The inode, and of a directory where its listing is: block, offset and bytes."""
        cursor = self._bytes.cursor(self._inode_table, reference)
        kind, mode, uid, gid, modified, _ = cursor.unpack(_INODE)
        if not 1 <= kind <= 14 or max(uid, gid) >= self._id_count:
            raise SquashfsError("an inode is damaged")
        node = Node(_KINDS[(kind - 1) % 7], mode & 0o7777, self._ids[uid], self._ids[gid], modified)
        listing = (0, 0, 0)
        attributes = _NO_ATTRIBUTES
        match kind:
            case 1:
                block, _, length, offset, _ = cursor.unpack(_DIRECTORY)
                listing = (block, offset, length)
            case 8:
                _, length, block, _, _, offset, attributes = cursor.unpack(_LONG_DIRECTORY)
                listing = (block, offset, length)
            case 2:
                start, fragment, offset, node.size = cursor.unpack(_FILE)
                node.content = self._content(cursor, start, node.size, fragment, offset)
            case 9:
                start, node.size, _, _, fragment, offset, attributes = cursor.unpack(_LONG_FILE)
                node.content = self._content(cursor, start, node.size, fragment, offset)
            case 3 | 10:
                _, node.size = cursor.unpack(_TWO)
                node.target = text(cursor.take(bounded(node.size, _LONGEST_VALUE)))
                attributes = cursor.unpack(_ONE)[0] if kind == 10 else attributes
            case 4 | 5 | 11 | 12:
                _, device = cursor.unpack(_TWO)
                node.device = (device & 0xFFF00) >> 8, device & 0xFF | (device >> 12) & 0xFFF00
                attributes = cursor.unpack(_ONE)[0] if kind > 7 else attributes
            case 13 | 14:
                _, attributes = cursor.unpack(_TWO)
        node.attributes = self._attributes(attributes)
        return node, listing

    def _content(self, cursor: Cursor, start: int, size: int, fragment: int, offset: int) -> FileContent:
        whole = fragment == _NO_FRAGMENT
        blocks = -(-size // self.block_size) if whole else size // self.block_size
        return FileContent(self, start, size, blocks, cursor.position, None if whole else (fragment, offset))

    def _listed(self, listing: tuple[int, int, int]) -> Iterator[tuple[str, int]]:
        """The names in a directory, each with the reference of its inode. A listing counts three bytes too many."""
        block, offset, left = listing
        cursor = Cursor(self._bytes, self._directory_table + block, offset)
        while left > 3:
            more, inodes, _ = cursor.unpack(_HEADING)
            left -= _HEADING.size
            for _ in range(bounded(more, 255) + 1):
                at, _, _, length = cursor.unpack(_ENTRY)
                yield text(cursor.take(bounded(length, 255) + 1)), inodes << 16 | at
                left -= _ENTRY.size + length + 1

    def _attributes(self, index: int) -> tuple[tuple[str, bytes], ...]:
        """The extended attributes with this number, in the order of their names."""
        if index == _NO_ATTRIBUTES or self._attribute_table == _NONE:
            return ()
        if index not in self._known_attributes:
            start, _, _ = _FRAGMENT.unpack(self._bytes.exactly(self._attribute_table, _FRAGMENT.size))
            table = self._attribute_table + _FRAGMENT.size
            reference, count, _ = _FRAGMENT.unpack(self._bytes.entry(table, index, _FRAGMENT.size))
            cursor = self._bytes.cursor(start, reference)
            found = [self._attribute(cursor, start) for _ in range(bounded(count, _MOST_ATTRIBUTES))]
            self._known_attributes[index] = tuple(sorted(found))
        return self._known_attributes[index]

    def _attribute(self, cursor: Cursor, start: int) -> tuple[str, bytes]:
        kind, length = cursor.unpack(_ATTRIBUTE)
        name = _PREFIXES[bounded(kind & 0xFF, 2)] + text(cursor.take(bounded(length, 255)))
        value = cursor.take(bounded(cursor.unpack(_ONE)[0], _LONGEST_VALUE))
        if kind & 0x100:
            # Only a reference: the value was stored before.
            if len(value) != _POINTER.size:
                raise SquashfsError("an extended attribute is damaged")
            (reference,) = _POINTER.unpack(value)
            elsewhere = self._bytes.cursor(start, reference)
            value = elsewhere.take(bounded(elsewhere.unpack(_ONE)[0], _LONGEST_VALUE))
        return name, value
