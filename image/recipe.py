"""What a live image is made of, as a value. Knows nothing of live-build."""

import re
from dataclasses import dataclass

BOINC_UID = BOINC_GID = 731
"""The owner of every state directory: the same number in every image and on the server."""

KERNELS = ("amd64", "cloud-amd64", "rt-amd64")

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """A recipe that can be built; raises ValueError with a message for people when it cannot.

    `kernel` is Debian's flavour: `amd64` drives real computers, `cloud-amd64` only virtual ones (it has no e1000).
    `packages` are installed beside those of the live system; `firmware` adds the network cards' non-free firmware.
    """

    distribution: str = "bookworm"
    architecture: str = "amd64"
    kernel: str = "amd64"
    packages: tuple[str, ...] = ()
    firmware: bool = False

    def __post_init__(self) -> None:
        if self.distribution != "bookworm":
            raise ValueError(f"the distribution {self.distribution!r} is not supported: the live system is bookworm")
        if self.architecture != "amd64":
            raise ValueError(f"the architecture {self.architecture!r} is not supported: the live system is amd64")
        if self.kernel not in KERNELS:
            raise ValueError(f"there is no kernel flavour {self.kernel!r}: choose one of {', '.join(KERNELS)}")
        for package in self.packages:
            if not _PACKAGE.fullmatch(package):
                raise ValueError(f"{package!r} is not the name of a Debian package")
        if len(set(self.packages)) != len(self.packages):
            raise ValueError("a package is named twice")
