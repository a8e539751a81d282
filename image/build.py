"""Builds a release: a flat list of stages. The one place that runs live-build.

The stages of live-build run one by one, so that progress and failures have a name. The work directory keeps caches
between builds; a release appears in the directory of images complete or not at all.
"""

import fcntl
import os
import platform
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import NoReturn

from image import checks, command, livebuild, mirrors, release
from image.recipe import ImageRecipe
from image.release import Release, ReleaseError

STAGES = ("checks", "config", "bootstrap", "chroot", "binary", "collect", "publish")

TREE = Path(__file__).with_name("tree")
APT = Path("/etc/apt")

_STEP = re.compile(r"(?:[PI]: )(.+)|((?:Unpacking|Setting up|update-initramfs:) .+)")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a build is: stage `number` of len(STAGES), what it does just now, seconds since the build began."""

    stage: str
    number: int
    step: str
    elapsed: float


class When(Enum):
    """When a recipe that was built already is built again."""

    NEVER = "never"
    UPDATED = "updated"
    """When a package is another than in the active release; it takes all but the packing to know."""
    ALWAYS = "always"


class BuildError(Exception):
    """A build ended without a release; nothing that is served has changed.

    `hint` says what to do; `log`, `tail` and `paste` (a command to repeat by hand) are empty before any program ran.
    """

    def __init__(
        self, stage: str, message: str, hint: str, *, log: Path | None = None, tail: Sequence[str] = (), paste: str = ""
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.hint = hint
        self.log = log
        self.tail = tuple(tail)
        self.paste = paste


def built(recipe: ImageRecipe, images: Path) -> Release | None:
    """Return the newest release of exactly this recipe and this live system, if there is one."""
    digest = livebuild.digest(recipe, read_tree())
    return next((each for each in release.releases(images).releases if each.digest == digest), None)


def build(
    recipe: ImageRecipe, work: Path, images: Path, report: Callable[[Progress], None], again: When = When.NEVER
) -> Release:
    """Build a release and activate it; return an earlier one of the same recipe where `again` says so.

    Raises BuildError. KeyboardInterrupt and SIGTERM end the build cleanly and are raised again, SIGTERM as SystemExit.
    """
    if again is When.NEVER and (done := built(recipe, images)):
        return done if _active(images) else release.activate(images, done.id)
    work, images = work.absolute(), images.absolute()
    began = time.monotonic()
    stage = STAGES[0]

    def tell(step: str) -> None:
        report(Progress(stage, STAGES.index(stage) + 1, step, time.monotonic() - began))

    tell("looking for what is needed")
    obstacles = checks.problems(work, images, user=os.geteuid())
    if obstacles:
        raise BuildError(stage, "; ".join(what for what, _ in obstacles), "; ".join(hint for _, hint in obstacles))
    sources = mirrors_of_this_machine(recipe.distribution)
    tree = read_tree()
    digest = livebuild.digest(recipe, tree)
    created = datetime.now(UTC).replace(microsecond=0)
    live, stamp = work / "live", work / "bootstrap-key"
    key = livebuild.bootstrap_key(recipe, sources)
    (work / "logs").mkdir(parents=True, exist_ok=True)
    log_path = work / "logs" / f"{release.name(created, digest)}.log"

    with _locked(work) as lock, _sigterm_raises(), log_path.open("w", encoding="utf-8") as log:

        def lb(*arguments: str) -> None:
            command.run(
                ("lb", *arguments), cwd=live, log=log, on_line=lambda line: _tell_step(line, tell), keep_open=(lock,)
            )

        try:
            stage = "config"
            tell("writing live-build's configuration")
            _prepare(live, keep_bootstrap=stamp.is_file() and stamp.read_text() == key)
            _write_tree(live / "config", livebuild.config_tree(recipe, tree))
            lb("config", *livebuild.arguments(recipe, sources))

            stage = "bootstrap"
            tell("installing the smallest Debian")
            # live-build writes its cache even when it used it: one that was being written is no longer whole.
            stamp.unlink(missing_ok=True)
            lb("bootstrap")
            stamp.write_text(key)

            stage = "chroot"
            tell("installing the live system")
            lb("chroot")
            if again is When.UPDATED and (same := _same(images, digest, live / "chroot.packages.live")):
                tell("no package has changed")
                _prepare(live, keep_bootstrap=True)
                return same

            stage = "binary"
            tell("packing the live system")
            lb("binary")

            stage = "collect"
            tell("copying and summing the files")
            kernel, made = _made(live)
            done = release.publish(images, made, created, recipe, digest, kernel)

            stage = "publish"
            tell("activating the release")
            release.activate(images, done.id)
            _prepare(live, keep_bootstrap=True)
        except command.CommandError as error:
            raise BuildError(
                stage,
                f"the build failed in the stage {stage}: {error}",
                _hint(error.tail),
                log=log_path,
                tail=error.tail,
                paste=error.paste,
            ) from error
        except (OSError, ReleaseError) as error:
            raise BuildError(
                stage,
                f"the build failed in the stage {stage}: {error}",
                "check the disk and the log, then build again",
                log=log_path,
            ) from error
    tell("done")
    return done


def read_tree() -> dict[str, bytes]:
    """Return the files of image/tree by relative path."""
    return {str(path.relative_to(TREE)): path.read_bytes() for path in sorted(TREE.rglob("*")) if path.is_file()}


def mirrors_of_this_machine(distribution: str) -> mirrors.Mirrors:
    """Return the Debian archive that apt uses here; raises BuildError when its sources name none."""
    try:
        files = (APT / "sources.list", *sorted((APT / "sources.list.d").glob("*")))
        sources = [
            source
            for path in files
            if path.suffix in (".list", ".sources") and path.is_file()
            for source in mirrors.parse(path.read_text(errors="replace"), deb822=path.suffix == ".sources")
        ]
        proxy = mirrors.parse_proxy(command.output(("apt-config", "dump", "Acquire::http::Proxy")))
        return mirrors.choose(sources, distribution, _suite() or distribution, proxy)
    except mirrors.MirrorError as error:
        raise BuildError("checks", str(error), error.hint) from error
    except (OSError, command.CommandError) as error:
        raise BuildError("checks", f"apt's sources cannot be read: {error}", "check /etc/apt and apt-config") from error


def _suite() -> str:
    """The Debian release that this machine is, such as `trixie`; empty when it is none."""
    about = platform.freedesktop_os_release()
    return about.get("VERSION_CODENAME", "") if about.get("ID") == "debian" else ""


@contextmanager
def _locked(work: Path) -> Iterator[int]:
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


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _prepare(live: Path, *, keep_bootstrap: bool) -> None:
    """Empty the directory of live-build but for its caches; a cached first stage only when it is known to be whole."""
    mounted = checks.mounts_below(live, Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    if mounted:
        raise OSError(f"{mounted[0]} is mounted there, by hand perhaps: umount --recursive {mounted[0]}")
    live.mkdir(parents=True, exist_ok=True)
    for path in live.iterdir():
        if path.name != "cache":
            _remove(path)
    if not keep_bootstrap:
        _remove(live / "cache" / "bootstrap")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_tree(config: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(livebuild.mode(content))
    # live-build copies the permissions of directories too, and the umask is the caller's.
    for directory in (path for path in config.rglob("*") if path.is_dir()):
        directory.chmod(0o755)


def _tell_step(line: str, tell: Callable[[str], None]) -> None:
    if match := _STEP.match(line):
        tell(match[1] or match[2])


def _hint(tail: Sequence[str]) -> str:
    text = "\n".join(tail)
    if re.search(
        r"Temporary failure resolving|Could not (?:resolve|connect)|Unable to connect|Failed getting release", text
    ):
        return "the Debian mirror cannot be reached: check the network and /etc/apt/sources.list, then build again"
    if "Unable to locate package" in text:
        return "the recipe names a package that Debian does not have: check its packages"
    if "No space left on device" in text:
        return "the disk is full: make room, then build again"
    return "the log tells more; the command repeats the failed step"


def _made(live: Path) -> tuple[str, dict[str, Path]]:
    """Return the kernel's version, and what live-build made for each file of a release."""
    kernels = sorted((live / "binary" / "live").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise OSError(f"live-build made {len(kernels)} kernels instead of one")
    version = kernels[0].name.removeprefix("vmlinuz-")
    return version, {
        release.KERNEL: kernels[0],
        release.INITRD: kernels[0].with_name(f"initrd.img-{version}"),
        release.SQUASHFS: kernels[0].with_name("filesystem.squashfs"),
        release.PACKAGES: live / "chroot.packages.live",
    }


def _active(images: Path) -> Release | None:
    try:
        return release.current(images)
    except ReleaseError:
        return None


def _same(images: Path, digest: str, packages: Path) -> Release | None:
    """Return the active release if it is of this recipe and these packages, and still what was built."""
    active = _active(images)
    if active is None or active.digest != digest or release.verify(active):
        return None
    return active if (active.path / release.PACKAGES).read_bytes() == packages.read_bytes() else None
