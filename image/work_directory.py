"""The directory in which images are built: its lock, and `live`, where live-build works and keeps its caches."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from image import bootfiles, livebuild, release
from image.progress import BuildError

_UNPACKED = "netboot-loaders"
"""Where the hook `0050-loaders.hook.chroot` unpacks them, in the live system, and where they are kept in `live`."""


@contextmanager
def locked(work: Path) -> Iterator[int]:
    """Keep other builds out of `work`; yields the lock's file descriptor. Raises BuildError when one is running."""
    descriptor = os.open(work / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
            raise BuildError(
                "checks",
                f"another build is running in {work} (process {holder})",
                f"wait for it, or end it: kill {holder}",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield descriptor
    finally:
        os.close(descriptor)


def empty(live: Path, *, keep_bootstrap: bool) -> None:
    """Empty live-build's directory except for its caches. Keep the cached first stage only if it is known to be whole.

    Raises OSError, also when something is mounted there.
    """
    mounted = mounts_below(live, Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    if mounted:
        raise OSError(f"{mounted[0]} is mounted there, perhaps by hand: umount --recursive {mounted[0]}")
    live.mkdir(parents=True, exist_ok=True)
    for path in live.iterdir():
        if path.name != "cache":
            _remove(path)
    if not keep_bootstrap:
        _remove(live / "cache" / "bootstrap")


def mounts_below(directory: Path, mountinfo: str) -> tuple[str, ...]:
    """Return the mount points below a directory, sorted; `mountinfo` is the text of /proc/self/mountinfo."""
    points = (line.split()[4] for line in mountinfo.splitlines())
    return tuple(sorted(point for point in points if point.startswith(f"{directory}/")))


def write_config(live: Path, files: Mapping[str, bytes]) -> None:
    """Write live-build's config tree. Raises OSError."""
    config = live / "config"
    for name, content in files.items():
        path = config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(livebuild.mode(content))
    # live-build copies the permissions of directories too, and the caller may have any umask.
    for directory in (path for path in config.rglob("*") if path.is_dir()):
        directory.chmod(0o755)


def packages(live: Path) -> Path:
    """The list of packages in the live system, with their versions; it is there after the stage chroot."""
    return live / "chroot.packages.live"


def take_out(live: Path) -> None:
    """Move out of the live system what a release has beside it: microcode, if there is some, and the packages of the
    boot loaders, which a hook has unpacked. Their versions go into the list of packages, since a new one makes another
    release. Raises OSError."""
    microcode = live / "chroot" / "boot" / release.MICROCODE
    if microcode.exists():
        microcode.rename(live / release.MICROCODE)
    (live / "chroot" / _UNPACKED).rename(live / _UNPACKED)
    listed = packages(live).read_text().splitlines() + (live / _UNPACKED / "versions").read_text().splitlines()
    packages(live).write_text("".join(f"{line}\n" for line in sorted(set(listed))))


def built_files(live: Path) -> tuple[str, dict[str, Path]]:
    """Return the kernel's version, and the path of each file of a release as it was built. Raises OSError."""
    loaders = bootfiles.packaged(live / _UNPACKED)
    missing = [name for name, file in bootfiles.PACKAGED.items() if file.everywhere and name not in loaders]
    if missing:
        raise OSError(f"Debian's packages have no {', '.join(missing)}")
    kernels = sorted((live / "binary" / "live").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise OSError(f"live-build made {len(kernels)} kernels instead of one")
    version = kernels[0].name.removeprefix("vmlinuz-")
    microcode = live / release.MICROCODE
    return version, {
        release.KERNEL: kernels[0],
        release.INITRD: kernels[0].with_name(f"initrd.img-{version}"),
        release.SQUASHFS: kernels[0].with_name("filesystem.squashfs"),
        release.PACKAGES: packages(live),
        **({release.MICROCODE: microcode} if microcode.exists() else {}),
        **{f"{bootfiles.DIRECTORY}/{name}": path for name, path in loaders.items()},
    }


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
