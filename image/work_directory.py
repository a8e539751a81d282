"""The directory in which images are built: its lock, and `live`, where live-build works and keeps its packages."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from image import bootfiles, build_logs, livebuild, release, steps
from image.progress import BuildError

_DURATIONS = "durations.json"
_FIELD = re.compile(r"^(Codename|Suite|Date): (.{1,80})$", re.MULTILINE)
_LOCK = "lock"
# What other commands put there, perhaps before the first build; and what a file system of its own has.
_OURS = re.compile(r"lists|again|tests|\.?digests-.*|lost\+found")


def claim(work: Path) -> None:
    """Make the directory if it is not there; raises BuildError, and touches nothing, if it is not one of ours: what a
    build leaves there, the next one removes. A lock file says that it is ours."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        if not (work / _LOCK).exists() and any(not _OURS.fullmatch(name) for name in os.listdir(work)):
            raise _foreign(f"{work} has files that no build has made", f"move them away: mv {work} {work}.old")
        for path in (work / name for name in ("live", "steps", build_logs.DIRECTORY)):
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise _foreign(f"{path} is not a directory", "remove it, or choose another [server] data")
            if path.exists() and path.stat().st_uid != os.geteuid():
                raise _foreign(f"{path} belongs to somebody else", f"see: ls -ld {path}; move it away")
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        # The directory itself may be a link to a larger disk.
        mounted = mounts_below(work.resolve(), mountinfo)
    except OSError as error:
        raise _foreign(f"{work} cannot be used: {error.strerror}", "check the disk and [server] data") from error
    if mounted:
        what = f"something is mounted on {mounted[0]}, perhaps by hand"
        raise _foreign(what, f"umount --recursive {mounted[0]}")


def _foreign(what: str, hint: str) -> BuildError:
    return BuildError("checks", what, hint)


@contextmanager
def locked(work: Path) -> Iterator[int]:
    """Keep other builds out of `work`; yields the lock's file descriptor. Raises BuildError when one is running."""
    descriptor = os.open(work / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
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


def empty(live: Path) -> None:
    """Empty live-build's directory except for its cache of packages. Raises OSError."""
    live.mkdir(parents=True, exist_ok=True)
    for path in live.iterdir():
        if path.name != "cache":
            remove(path)
    # Earlier versions kept the first stage there.
    remove(live / "cache" / "bootstrap")
    remove(live.with_name("bootstrap-key"))


def durations(work: Path) -> dict[str, float]:
    """Return how many seconds each stage took when it was last worked at, as far as that is known."""
    try:
        return {str(name): float(took) for name, took in json.loads((work / _DURATIONS).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return {}


def note_durations(work: Path, took: Mapping[str, float]) -> None:
    """Keep that for the next build. Raises OSError."""
    (work / _DURATIONS).write_text(json.dumps({name: round(seconds, 1) for name, seconds in took.items()}))


def mounts_below(directory: Path, mountinfo: str) -> tuple[str, ...]:
    """Return the mount points below a directory, sorted; `mountinfo` is the text of /proc/self/mountinfo."""
    points = (line.split()[4] for line in mountinfo.splitlines())
    return tuple(sorted(point for point in points if point.startswith(f"{directory}/")))


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files for live-build into a directory that is perhaps not there yet. Raises OSError."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(livebuild.mode(content))
    # live-build copies the permissions of directories too, and the caller may have any umask.
    for below in (path for path in directory.rglob("*") if path.is_dir()):
        below.chmod(0o755)


def packages(beside: Path, loaders: Path) -> bytes:
    """Return the list of packages in the live system and of those of the boot loaders, with their versions: a new
    loader makes another release, too. Raises OSError."""
    versions = loaders / steps.LOADERS / "versions"
    listed = (beside / steps.PACKAGES).read_text() + (versions.read_text() if versions.exists() else "")
    return "".join(f"{line}\n" for line in sorted(set(listed.splitlines()))).encode()


def newest(trees: Iterable[Path]) -> int:
    """Return when the newest file was made that one of Debian's packages in `trees` has brought, in seconds since 1970:
    the same for everybody who installs these packages."""
    found = 0
    for tree in trees:
        for sums in (tree / "var/lib/dpkg/info").glob("*.md5sums"):
            for line in sums.read_text(errors="replace").splitlines():
                with contextlib.suppress(OSError):  # it was left out, or is in the tree below
                    found = max(found, int((tree / line.partition("  ")[2]).lstat().st_mtime))
    return found


def archives(trees: Iterable[Path]) -> tuple[release.ArchiveState, ...]:
    """Return the state of each archive as apt last saw it in `trees`, the lowest first; by suite. Raises OSError."""
    lists = {path.name: path for tree in trees for path in (tree / "var/lib/apt/lists").glob("*_InRelease")}
    found = []
    for path in lists.values():
        content = path.read_bytes()
        fields = dict(_FIELD.findall(content.decode(errors="replace")))
        suite = fields.get("Codename") or fields.get("Suite") or path.name
        found.append(release.ArchiveState(suite, fields.get("Date", ""), hashlib.sha256(content).hexdigest()))
    return tuple(sorted(found, key=lambda each: (each.suite, each.sha256)))


def built_files(besides: Sequence[Path], loaders: Path) -> tuple[str, dict[str, Path]]:
    """Return the kernel's version, and the path of each file of a release as it was built, less the list of packages.
    `besides` is where the steps that make such files have put them, the latest last, `loaders` where that of the
    packages has. Raises OSError."""
    system = besides[-1]
    found = bootfiles.packaged(loaders / steps.LOADERS)
    missing = [name for name, file in bootfiles.PACKAGED.items() if file.everywhere and name not in found]
    if missing:
        raise OSError(f"Debian's packages have no {', '.join(missing)}")
    kernels = sorted(system.glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise OSError(f"live-build made {len(kernels)} kernels instead of one")
    version = kernels[0].name.removeprefix("vmlinuz-")
    microcode = system / release.MICROCODE
    return version, {
        release.KERNEL: kernels[0],
        release.INITRD: system / f"initrd.img-{version}",
        **{f"live/{path.name}": path for beside in besides for path in sorted(beside.glob("*.squashfs"))},
        **({release.MICROCODE: microcode} if microcode.exists() else {}),
        **{f"{bootfiles.DIRECTORY}/{name}": path for name, path in found.items()},
    }


def disk_bytes(directory: Path) -> int:
    """Return the bytes that a directory takes on its disk."""
    found = (Path(top) / name for top, directories, files in os.walk(directory) for name in (*directories, *files))
    return sum(path.lstat().st_blocks * 512 for path in found)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory, if it is there; links are not followed. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
