"""What is in a release: the files of its live system, read without root and without mounting it, and its packages."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from image import file_tree, zstd
from image.release import PACKAGES, Release, ReleaseError
from image.squashfs import Node, Squashfs
from image.squashfs_bytes import SquashfsError

_LONGEST_LIST = 4 << 20


@contextmanager
def opened(release: Release) -> Iterator[Node]:
    """The root of the live system as PCs see it, layers merged. Its files can be read while this is open.

    Raises ReleaseError, for what is found to be damaged meanwhile, too.
    """
    try:
        with ExitStack() as files:
            yield file_tree.merge([_tree(files, release.path / name) for name in release.layers])
    except SquashfsError as error:
        raise ReleaseError(
            f"the live system of {release.id} cannot be read: {error}",
            f"see whether its files are damaged: netboot-appliance image show {release.id}",
        ) from error


def _tree(files: ExitStack, path: Path) -> Node:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SquashfsError(f"{path.name}: {error.strerror}") from error
    files.callback(os.close, descriptor)

    def read(position: int, length: int) -> bytes:
        try:
            return os.pread(descriptor, length, position)
        except OSError as error:
            raise SquashfsError(f"{path.name}: {error.strerror}") from error

    try:
        return Squashfs(read, zstd.decompress).tree()
    except SquashfsError as error:
        raise SquashfsError(f"{path.name}: {error}") from error


def packages(release: Release) -> dict[str, str]:
    """The versions of its packages by their names, of libraries with the architecture (`libc6:amd64`); raises
    ReleaseError."""
    try:
        with (release.path / PACKAGES).open(errors="replace") as file:
            lines = file.read(_LONGEST_LIST).splitlines()
    except OSError as error:
        raise ReleaseError(f"the packages of {release.id} cannot be read: {error.strerror}", "run with sudo") from error
    return {words[0]: words[1] for line in lines if len(words := line.split()) == 2}
