"""What a live image is made of, as a value. Knows nothing of live-build. PURE."""

import re
from dataclasses import dataclass

BOINC_UID = BOINC_GID = 731
"""The owner of all state directories: the same number in every image and on the server."""

KERNELS = ("amd64", "cloud-amd64", "rt-amd64")

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """A valid recipe. Raises ValueError with a message that begins with the field's name.

    `kernel` is Debian's flavour: `amd64` drives real computers, `cloud-amd64` only virtual ones (it has no e1000).
    `packages` are installed in addition to those of the live system. `firmware` adds the network cards' non-free
    firmware.
    """

    distribution: str = "bookworm"
    architecture: str = "amd64"
    kernel: str = "amd64"
    packages: tuple[str, ...] = ()
    firmware: bool = False

    def __post_init__(self) -> None:
        if self.distribution != "bookworm":
            raise ValueError(f"distribution: {self.distribution!r} is not supported, only bookworm")
        if self.architecture != "amd64":
            raise ValueError(f"architecture: {self.architecture!r} is not supported, only amd64")
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel: {self.kernel!r} is not a kernel flavour: choose one of {', '.join(KERNELS)}")
        for package in self.packages:
            if not _PACKAGE.fullmatch(package):
                raise ValueError(f"packages: {package!r} is not the name of a Debian package")
        if len(set(self.packages)) != len(self.packages):
            raise ValueError("packages: a package appears twice")
