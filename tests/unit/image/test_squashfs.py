"""Reading squashfs files that squashfs-tools made, and damaged ones."""

import random
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from image import squashfs, squashfs_bytes
from image.file_tree import walk
from image.squashfs import Squashfs
from image.squashfs_bytes import SquashfsError
from image.zstd import ZstdError, decompress
from tests.unit.debian import need
from tests.unit.image.layers import File, directory, link, make, read

FILES = {
    "etc/passwd": File(b"root:x:0:0::/root:/bin/sh\n", 0o640, owner=(0, 42)),
    "usr/bin/sh": File(b"\x7fELF", 0o4755),
    "bin": link("usr/bin"),
    "dev/null": File(kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
    "dev/sda300": File(kind=tarfile.BLKTYPE, device=(259, 70_000)),
    "run/pipe": File(kind=tarfile.FIFOTYPE, mode=0o600),
    "empty": File(),
    "a\nb\x1b[31mé": File(b"name"),
    "var/lib": directory(0o1777, opaque=True),
    **{f"many/{number:04}": File(f"{number}".encode()) for number in range(600)},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("squashfs") / "x.squashfs", FILES)


def test_every_kind_of_file_is_read_as_it_was_packed(made: Path) -> None:
    found = dict(walk(read(made)))
    kinds = {tarfile.REGTYPE: "-", tarfile.SYMTYPE: "l", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b"}
    kinds |= {tarfile.FIFOTYPE: "p", tarfile.DIRTYPE: "d"}
    for name, file in FILES.items():
        node = found.pop(f"/{name}")
        assert (node.kind, (node.uid, node.gid), node.target) == (kinds[file.kind], file.owner, file.target)
        assert node.modified == 1_700_000_000
        assert node.kind == "l" or node.mode == file.mode
        assert node.device == (file.device if node.kind in "bc" else (0, 0))
        assert node.is_opaque == file.opaque
        if node.content:
            assert (node.size, b"".join(node.content.chunks())) == (len(file.content), file.content)
    # What is left is the directories that they are in.
    assert {name: node.kind for name, node in found.items()} == dict.fromkeys(
        ("/dev", "/etc", "/many", "/run", "/usr", "/usr/bin", "/var"), "d"
    )


def test_extended_attributes_are_read_also_where_they_are_stored_once_for_several(tmp_path: Path) -> None:
    long = {"user.long": "v" * 300}
    files = {"a": long, "b": long | {"user.b": "1"}, "c": {"security.capability": "cap"}, "d": {}, "e": long}
    root = read(make(tmp_path / "x", {name: File(attributes=each) for name, each in files.items()}))
    found = {name: {key: value.decode() for key, value in node.attributes} for name, node in root.children.items()}
    assert found == files


def test_it_lists_what_unsquashfs_lists(made: Path) -> None:
    need("unsquashfs")
    listed = subprocess.run(["unsquashfs", "-lc", "-d", "", made], capture_output=True, check=True).stdout.decode()
    ours = [path for path, node in walk(read(made)) if node.kind != "d" or not node.children]
    assert sorted(listed.strip("\n").split("\n")) == sorted("\n".join(ours).split("\n"))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ((), 0),
        ((), 1),
        ((), 131_072),
        ((), 131_073),
        ((), 1_000_000),
        (("-b", "4096"), 100_000),
        (("-no-fragments",), 300_000),
        (("-noD", "-noF", "-noI", "-noX"), 300_000),
    ],
)
def test_content_is_read_whatever_way_it_is_stored(tmp_path: Path, options: tuple[str, ...], size: int) -> None:
    noise = random.Random(1).randbytes(size // 2) + b"\0" * (size - size // 2)
    root = read(make(tmp_path / "x", {"noise": File(noise), "zeros": File(b"\0" * size)}, *options))
    for name, content in (("noise", noise), ("zeros", b"\0" * size)):
        where = root.children[name].content
        assert where is not None
        assert b"".join(where.chunks()) == content


def test_files_are_the_same_if_their_content_is_however_it_is_stored(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    other = content[:-1] + b"!"
    one = read(make(tmp_path / "1", {"a": File(content), "b": File(content[:200_000] + b"?" + content[200_001:])}))
    for options in ((), ("-b", "4096"), ("-no-fragments",), ("-noD",)):
        two = read(make(tmp_path / "2", {"x": File(b"shifts all"), "a": File(content), "b": File(other)}, *options))
        (a, b), (same, differs) = ([root.children[name].content for name in "ab"] for root in (one, two))
        assert a
        assert b
        assert same
        assert differs
        assert a.is_same_as(same)
        assert not a.is_same_as(differs)
        assert not b.is_same_as(same)


def test_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    path = make(tmp_path / "x", {"a": File(b"b")})
    content = path.read_bytes()
    gzip = make(tmp_path / "y", {"a": File(b"b")}, compression="gzip")
    for damaged, why in (
        (b"", "ends too early"),
        (content[:50], "ends too early"),
        (b"#!/bin/sh" + content, "no squashfs"),
        (gzip.read_bytes(), "not compressed by zstd"),
        (content[:12] + struct.pack("<I", 3000) + content[16:], "3000 bytes"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(SquashfsError, match=why):
            read(path)


def test_whatever_is_damaged_is_one_kind_of_error(made: Path) -> None:
    """Every table, cut and with random bytes in it; what is not noticed must still be a tree that can be walked."""
    whole = made.read_bytes()
    generator = random.Random(20261130)
    noticed = 0
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(generator.choice((1, 2, 8))):
            content[generator.randrange(4, len(content))] = generator.randrange(256)
        if generator.random() < 0.1:
            content = content[: generator.randrange(len(content))]
        frozen = bytes(content)
        try:
            root = Squashfs(lambda at, length, held=frozen: held[at : at + length], decompress).tree()  # type: ignore[misc]
            for _, node in walk(root):
                for _ in node.content.chunks() if node.content and node.size < 1 << 20 else ():
                    pass
        except SquashfsError:
            noticed += 1
    assert noticed > 50


def test_a_directory_in_itself_and_endless_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stored as they are, so that the entry of one directory can be made to name another one: that with its inode.
    path = make(tmp_path / "x", {"one/two": directory()}, "-noI", "-noD")
    content = path.read_bytes()
    inodes, directories = struct.unpack_from("<2Q", content, 64)
    at = content.index(b"two", directories) - 8
    (root,) = struct.unpack_from("<Q", content, 32)
    looped = bytearray(content)
    struct.pack_into("<H", looped, at, root & 0xFFFF)
    path.write_bytes(looped)
    with pytest.raises(SquashfsError, match="a directory is in two places"):
        read(path)
    deep = make(tmp_path / "y", {"/".join("d" * 12): directory()})
    monkeypatch.setattr(squashfs, "DEEPEST", 10)
    with pytest.raises(SquashfsError, match="more than 10 directories in one another"):
        read(deep)
    monkeypatch.setattr(squashfs, "DEEPEST", 12)
    monkeypatch.setattr(squashfs, "MOST_FILES", 11)
    with pytest.raises(SquashfsError, match="more than 11 files"):
        read(deep)
    monkeypatch.setattr(squashfs_bytes, "MOST_METADATA", 100)
    with pytest.raises(SquashfsError, match="longer than 100 bytes"):
        read(deep)
    assert inodes < directories


@pytest.mark.parametrize("name", [b"..", b"./", b"a\0"])
def test_names_that_lead_out_of_a_directory_are_refused(tmp_path: Path, name: bytes) -> None:
    path = make(tmp_path / "x", {"QQ": File(), "etc": directory()}, "-noD")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"QQ", name.ljust(2)))
    with pytest.raises(SquashfsError, match="a directory has a file of the name"):
        read(path)


def test_a_bomb_is_no_more_than_a_block() -> None:
    # A frame of RFC 8878 that says its size, 50 MB, and blocks of 128 KiB that are one byte each.
    blocks = [struct.pack("<I", (1 << 1 | 131_072 << 3))[:3] + b"x"] * 400
    packed = struct.pack("<IBI", 0xFD2FB528, 0xA0, 400 * 131_072) + b"".join(blocks)
    with pytest.raises(ZstdError, match="too small"):
        decompress(packed, 131_072)
    with pytest.raises(ZstdError, match="Unknown frame"):
        decompress(b"plain text, not packed at all", 131_072)
