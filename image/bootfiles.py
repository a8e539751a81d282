"""Copies boot loaders, from Debian's packages or the administrator's own, to where TFTP and HTTP serve them.

What a loader fetches next comes with it: GRUB with shim, the modules with PXELINUX.
"""

import contextlib
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Write = Callable[[Path, bytes], None]


@dataclass(frozen=True, slots=True)
class Packaged:
    """A file of a Debian package."""

    path: Path
    package: str


_MODULES = ("ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32", "reboot.c32")
SHIM = ("shimx64.efi", "grubx64.efi")
"""The loaders that Secure Boot accepts, under the names that Debian's shim was built with."""

MEMTEST = ("memtest", "memtest.efi")
"""Debian's memtest86+ for BIOS and for UEFI. Without .bin, which would mean another file type to PXELINUX."""

PACKAGED: Mapping[str, Packaged] = {
    **{name: Packaged(Path("/usr/lib/ipxe") / name, "ipxe") for name in ("undionly.kpxe", "snponly.efi", "ipxe.efi")},
    "shimx64.efi": Packaged(Path("/usr/lib/shim/shimx64.efi.signed"), "shim-signed"),
    "grubx64.efi": Packaged(Path("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"), "grub-efi-amd64-signed"),
    **{name: Packaged(Path("/usr/lib/PXELINUX") / name, "pxelinux") for name in ("pxelinux.0", "lpxelinux.0")},
    "memtest": Packaged(Path("/boot/memtest86+x64.bin"), "memtest86+"),
    "memtest.efi": Packaged(Path("/boot/memtest86+x64.efi"), "memtest86+"),
    **{name: Packaged(Path("/usr/lib/syslinux/modules/bios") / name, "syslinux-common") for name in _MODULES},
}
_FOLLOWERS = {"shimx64.efi": ("grubx64.efi",), "pxelinux.0": _MODULES, "lpxelinux.0": _MODULES}


class BootFileError(Exception):
    """A boot file cannot be installed; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def with_followers(names: Iterable[str]) -> tuple[str, ...]:
    """The loaders `names` and what they fetch next, each once."""
    return tuple(dict.fromkeys(file for name in names for file in (name, *_FOLLOWERS.get(name, ()))))


def original(name: str, own: Path, packaged: Mapping[str, Packaged] = PACKAGED) -> bytes:
    """The content of a boot file, from the directory `own` or else from a package; raises BootFileError."""
    known = packaged.get(name)
    for path in (own / name, known.path) if known else (own / name,):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BootFileError(
                f"cannot read the boot file {path}: {error.strerror}",
                f"the server does not run as root: chmod a+rX {path.parent} {path}",
            ) from error
    raise BootFileError(
        f"the boot file {name} is neither in {own} nor in {known.path.parent if known else 'a package'}",
        f"install it: apt-get install {known.package}"
        if known
        else 'put it there, readable by everyone, or name another one in [boot.loaders] ("" for none)',
    )


def install(
    root: Path, names: Sequence[str], own: Path, packaged: Mapping[str, Packaged] = PACKAGED, *, write: Write
) -> tuple[Path, ...]:
    """Copy the boot files, and what they fetch next, into `root` if they differ; return all paths.

    `write(path, content)` puts a file in place in one step, readable for everyone, and raises OSError.

    The shim chain and memtest are copied too if they are installed (`has_shim`, `has_memtest`). Raises BootFileError;
    if a file cannot be read, nothing has been changed.
    """
    contents = {name: original(name, own, packaged) for name in with_followers(names)}
    for optional in (SHIM, MEMTEST):
        with contextlib.suppress(BootFileError):  # no configuration names it
            contents |= {name: original(name, own, packaged) for name in optional}
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, content in contents.items():
            _place(root / name, content, write)
    except OSError as error:
        raise BootFileError(
            f"cannot write the boot files to {root}: {error.strerror}",
            f"check the disk and who owns {root}; under systemd: systemd-tmpfiles --create",
        ) from error
    return tuple(root / name for name in contents)


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
