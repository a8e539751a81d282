"""Layers of a live system, made without root: the tar archives that sqfstar takes hold devices, owners, attributes."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from image import release
from image.release import Release
from image.squashfs import Node, Squashfs
from image.zstd import decompress
from tests.unit.debian import need
from tests.unit.image.test_release import publish


@dataclass(frozen=True)
class File:
    """A file to put into a layer."""

    content: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    owner: tuple[int, int] = (0, 0)
    target: str = ""
    device: tuple[int, int] = (0, 0)
    opaque: bool = False
    attributes: dict[str, str] = field(default_factory=dict)


def directory(mode: int = 0o755, *, opaque: bool = False) -> File:
    return File(mode=mode, kind=tarfile.DIRTYPE, opaque=opaque)


def link(target: str) -> File:
    return File(kind=tarfile.SYMTYPE, target=target)


WHITEOUT = File(kind=tarfile.CHRTYPE)


def make(path: Path, files: Mapping[str, File], *options: str, compression: str = "zstd") -> Path:
    """Make a layer. Its directories are those of `files`, and those that these are in."""
    need("sqfstar")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, file in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.type = len(file.content), file.mode, file.kind
            entry.uid, entry.gid = file.owner
            entry.linkname, (entry.devmajor, entry.devminor) = file.target, file.device
            entry.mtime = 1_700_000_000
            attributes = file.attributes | ({"trusted.overlay.opaque": "y"} if file.opaque else {})
            entry.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in attributes.items()}
            tar.addfile(entry, io.BytesIO(file.content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    command = ("sqfstar", "-comp", compression, "-quiet", "-no-progress", *options, str(path))
    subprocess.run(command, input=archive.getvalue(), check=True, capture_output=True)
    return path


def read(path: Path) -> Node:
    content = path.read_bytes()
    return Squashfs(lambda position, length: content[position : position + length], decompress).tree()


def publish_layers(
    images: Path, ident: str, *layers: Mapping[str, File], packages: str = "boinc-client 7.20.5\n"
) -> Release:
    """A release whose live system is made of these, base first; in place of one of that name, if there is one."""
    shutil.rmtree(images / ident, ignore_errors=True)
    made = publish(images, ident)
    names = [release.SQUASHFS, *(f"live/layer{number}.squashfs" for number in range(1, len(layers)))]
    for name, files in zip(names, layers, strict=True):
        make(made.path / name, files)
    (made.path / release.PACKAGES).write_text(packages)
    described = {name: release.describe(made.path / name) for name in dict.fromkeys([*made.files, *names])}
    whole = Release(made.path, made.created, made.recipe, made.digest, made.kernel, described)
    (made.path / release.MANIFEST).write_bytes(release.render_manifest(whole))
    return whole
