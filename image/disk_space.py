"""How much room a build needs on its disks, by what the last one left there. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FIRST = {
    "bootstrap": 400_000_000,
    "packages": 1_200_000_000,
    "extras": 300_000_000,
    "system": 500_000_000,
    "files": 200_000_000,
}
"""Bytes of each step's result before there was one: about twice those of an image without packages of its own."""
FIRST_RELEASE = 500_000_000
"""Bytes of a release before there was one."""

_BESIDE = 500_000_000
"""Bytes for what programs write meanwhile and remove again, and for the packages that are kept."""
_GROWTH = 1.2


@dataclass(frozen=True, slots=True)
class BuildDisk:
    """A directory that a build writes to: the number of its file system, and the bytes that are free there."""

    directory: str
    device: int
    free: int


def work_bytes(making: Sequence[str], kept: Mapping[str, int]) -> int:
    """The bytes that making these steps takes at most, in their order. `kept` has the bytes of the results that are
    there: each new result is written beside the old one, which then makes room."""
    used = most = 0
    for step in making:
        size = kept.get(step, FIRST[step])
        most = max(most, used + size)
        used += size - kept.get(step, 0)
    return int(most * _GROWTH) + _BESIDE


def release_bytes(latest: int | None) -> int:
    """The bytes of the next release, by those of the latest one, if there is one."""
    return FIRST_RELEASE if latest is None else int(latest * _GROWTH)


def shortage(work: BuildDisk, in_work: int, images: BuildDisk, in_images: int) -> str:
    """What is missing for so many bytes in each, in words; empty if there is room."""
    if work.device == images.device:
        return _missing(work, in_work + in_images)
    return "; ".join(each for each in (_missing(work, in_work), _missing(images, in_images)) if each)


def _missing(disk: BuildDisk, needed: int) -> str:
    if disk.free >= needed:
        return ""
    return f"{disk.directory} has {disk.free / 1e9:.2f} GB free, and {needed / 1e9:.2f} GB are needed"
