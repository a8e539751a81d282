"""Boot loaders: which there are, where Debian has them, and how those that are served get in place.

A release holds the loaders of its Debian below `loaders` (image/build.py puts them there). The administrator's own come
first. What a loader fetches next comes with it: GRUB with shim, the modules with PXELINUX, iPXE with its own shim.
"""

import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Write = Callable[[Path, bytes], None]

DIRECTORY = "loaders"
"""Where a release has them."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A file of a Debian package, and its path in there. `everywhere`: Debian 12 and 13 both have it."""

    package: str
    path: str
    everywhere: bool = True


_MODULES = ("ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32", "reboot.c32")
SHIM = ("shimx64.efi", "grubx64.efi")
"""The loaders that Secure Boot accepts, under the names that Debian's shim was built with."""

MEMTEST = ("memtest", "memtest.efi")
"""Debian's memtest86+ for BIOS and for UEFI. Without .bin, which would mean another file type to PXELINUX."""

PACKAGED: Mapping[str, Packaged] = {
    **{name: Packaged("ipxe", f"usr/lib/ipxe/{name}") for name in ("undionly.kpxe", "snponly.efi", "ipxe.efi")},
    "ipxe-arm64.efi": Packaged("ipxe", "usr/lib/ipxe/ipxe-arm64.efi", everywhere=False),
    "shimx64.efi": Packaged("shim-signed", "usr/lib/shim/shimx64.efi.signed"),
    "grubx64.efi": Packaged("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"),
    **{name: Packaged("pxelinux", f"usr/lib/PXELINUX/{name}") for name in ("pxelinux.0", "lpxelinux.0")},
    **{name: Packaged("syslinux-common", f"usr/lib/syslinux/modules/bios/{name}") for name in _MODULES},
    "memtest": Packaged("memtest86+", "boot/memtest86+x64.bin"),
    "memtest.efi": Packaged("memtest86+", "boot/memtest86+x64.efi"),
}
PACKAGES = tuple(dict.fromkeys(file.package for file in PACKAGED.values()))
"""The Debian packages that a build takes them from."""

# iPXE's own shims take "-shimx64" out of their name, and load the file of that name from beside themselves.
_IPXE_SHIM = re.compile(r"(ipxe|snponly)-shimx64\.efi")
_FOLLOWERS = {"shimx64.efi": ("grubx64.efi",), "pxelinux.0": _MODULES, "lpxelinux.0": _MODULES}


class BootFileError(Exception):
    """A boot file cannot be installed; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def packaged(root: Path) -> dict[str, Path]:
    """The files of Debian's packages that are unpacked below `root`."""
    return {name: root / file.path for name, file in PACKAGED.items() if (root / file.path).is_file()}


def offered(release: Path | None, root: Path = Path("/")) -> dict[str, Path]:
    """Debian's boot files for a release: its own. One that was built before releases had them gets those of the
    packages on this machine (below `root`), and so does the machine without a release."""
    if release is not None and (release / DIRECTORY).is_dir():
        return {path.name: path for path in sorted((release / DIRECTORY).iterdir())}
    return packaged(root)


def is_ipxe_shim(name: str) -> bool:
    """Whether this is one of the shims that start iPXE under Secure Boot, which Microsoft has signed."""
    return _IPXE_SHIM.fullmatch(name) is not None


def with_followers(names: Iterable[str]) -> tuple[str, ...]:
    """The loaders `names` and what they fetch next, each once."""
    return tuple(dict.fromkeys(file for name in names for file in (name, *_followers(name))))


def _followers(name: str) -> tuple[str, ...]:
    if shim := _IPXE_SHIM.fullmatch(name):
        # Some firmware does not tell the shim its own name: then either of them asks for ipxe.efi (ipxe#1684).
        return tuple(dict.fromkeys((f"{shim[1]}.efi", "ipxe.efi")))
    return _FOLLOWERS.get(name, ())


def original(name: str, names: Sequence[str], own: Path, debian: Mapping[str, Path]) -> bytes | None:
    """The content of a boot file, from the directory `own`, or else from `debian` (`offered`). `names` are the loaders
    that are configured. None if only the image can have it and this one does not. Raises BootFileError."""
    for shim in filter(is_ipxe_shim, names):
        if name in (signed := _followers(shim)):
            # The shim accepts iPXE's own signature alone, so Debian's unsigned file of that name will not do.
            if (content := _read(own / signed[0])) is not None:
                return content
            raise BootFileError(
                f"the boot file {signed[0]} is not in {own}: {shim} starts only the signed one of its own release",
                "put it there, readable by everyone",
            )
    for path in (own / name, debian.get(name)):
        if path is not None and (content := _read(path)) is not None:
            return content
    if name in PACKAGED:
        return None
    raise BootFileError(
        f"the boot file {name} is neither in {own} nor in the image",
        'put it there, readable by everyone, or name another one in [boot.loaders] ("" for none)',
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BootFileError(
            f"cannot read the boot file {path}: {error.strerror}",
            f"the server does not run as root: chmod a+rX {path.parent} {path}",
        ) from error


def install(root: Path, names: Sequence[str], own: Path, debian: Mapping[str, Path], *, write: Write) -> None:
    """Copy the boot files `names`, what they fetch next, and the shim chain and memtest into `root` if they differ.

    `write(path, content)` puts a file in place in one step, readable for everyone, and raises OSError. A transfer under
    way continues with the file that it began. A file that this image lacks stays as it is. Raises BootFileError; if a
    file cannot be read, nothing has been changed.
    """
    contents = {name: original(name, names, own, debian) for name in with_followers((*names, *SHIM, *MEMTEST))}
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, content in contents.items():
            if content is not None:
                _place(root / name, content, write)
    except OSError as error:
        raise BootFileError(
            f"cannot write the boot files to {root}: {error.strerror}",
            f"check the disk and who owns {root}; under systemd: systemd-tmpfiles --create",
        ) from error


def has_shim(root: Path) -> bool:
    """Whether the shim chain is installed: loaders for firmware that refuses unsigned ones."""
    return all((root / name).is_file() for name in SHIM)


def has_memtest(root: Path) -> bool:
    """Whether memtest is installed."""
    return all((root / name).is_file() for name in MEMTEST)


def _place(path: Path, content: bytes, write: Write) -> None:
    # A file of another owner, from when the server ran as root, is replaced, because its mode cannot be changed.
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) == 0o644 and path.read_bytes() == content:
        return
    write(path, content)
