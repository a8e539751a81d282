"""What a live image is made of, as a value. Knows nothing of live-build. PURE."""

import re
from dataclasses import dataclass, fields
from typing import Literal

BOINC_UID = BOINC_GID = 731
"""The owner of all state directories: the same number in every image and on the server."""

DISTRIBUTIONS = ("trixie", "bookworm")
FIRMWARE = ("network", "all", "none")
KERNELS = ("amd64", "cloud-amd64", "rt-amd64")

Firmware = Literal["network", "all", "none", True, False]
"""True and False are what versions before 0.3 wrote, in configurations and manifests."""

_SNAPSHOT = re.compile(r"20\d{2}[01]\d[0-3]\dT[0-2]\d[0-5]\d[0-5]\dZ")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """A valid recipe. Raises ValueError with a message that begins with the field's name.

    `kernel` is Debian's flavour: `amd64` drives real computers, `cloud-amd64` only virtual ones (it has no e1000). With
    `backports` it is the newer one of the distribution's backports, and so are firmware and microcode. `packages` are
    installed in addition to those of the live system. `firmware`: "network" for what the drivers of network cards ask
    for, "all" for Debian's packages with such firmware as they are, and the drivers that need them; both with the
    microcode of processors; "none" for nothing that is not free. It is never a boolean once the recipe is made.
    `snapshot`: the moment whose state of the archive it is made from, such as 20261101T000000Z; empty: the latest.
    """

    distribution: str = "trixie"
    architecture: str = "amd64"
    kernel: str = "amd64"
    backports: bool = False
    packages: tuple[str, ...] = ()
    firmware: Firmware = "network"
    snapshot: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.firmware, bool):
            object.__setattr__(self, "firmware", "all" if self.firmware else "none")
        if self.firmware not in FIRMWARE:
            raise ValueError(f"firmware: {self.firmware!r} is not one of {', '.join(FIRMWARE)}")
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(
                f"distribution: {self.distribution!r} is not supported: choose one of {', '.join(DISTRIBUTIONS)}"
            )
        if self.architecture != "amd64":
            raise ValueError(f"architecture: {self.architecture!r} is not supported, only amd64")
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel: {self.kernel!r} is not a kernel flavour: choose one of {', '.join(KERNELS)}")
        if self.snapshot and not _SNAPSHOT.fullmatch(self.snapshot):
            raise ValueError(f"snapshot: {self.snapshot!r} is no moment such as 20261101T000000Z")
        for package in self.packages:
            if not is_package(package):
                raise ValueError(f"packages: {package!r} is not the name of a Debian package")
        if len(set(self.packages)) != len(self.packages):
            raise ValueError("packages: a package appears twice")


def is_package(name: str) -> bool:
    """Whether this can be the name of a Debian package."""
    return _PACKAGE.fullmatch(name) is not None


def changes(old: ImageRecipe, new: ImageRecipe) -> tuple[tuple[str, str, str], ...]:
    """The settings in which two recipes differ: their names, and both values as the configuration file has them."""
    both = ((each.name, getattr(old, each.name), getattr(new, each.name)) for each in fields(ImageRecipe))
    return tuple((name, _written(then), _written(now)) for name, then, now in both if then != now)


def _written(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(map(_written, value))}]"
    return f'"{value}"'
