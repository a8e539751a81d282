"""The file systems of the PCs' work and, with NFS-Ganesha, of the images: which there are, and when they are mounted.

Each is a sparse file `volumes/NAME.img`, mounted on `state/NAME` (or on `images`) while it is exported: see
docs/adr/0013-file-systems-of-their-own.md. It is made, or an existing directory is moved into it, when its directory is
exported next. Each step can be cut off: the next call here finishes or undoes it. Runs as root, where mounts are
everybody's: not in the sandbox of root's helper. Every function blocks, and holds a lock.
"""

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from image.recipe import BOINC_GID, BOINC_UID
from services.linux import atomic_file, tree_copy, volumes
from services.linux.programs import ProgramError

IMAGES = "images"
"""The name of the volume that holds the images; the others have the MAC address of a PC."""

AT_ONCE = 256 << 20
"""Bytes of a directory that is moved into its file system while the PC, and perhaps others, wait for their exports."""

_SPARE = 256 << 20  # bytes that a copy leaves free on the server's disk


@dataclass(frozen=True, slots=True)
class MountRequest:
    """What to do: mount these volumes, whose directories nobody uses yet; then unmount all PCs' volumes but those to
    `keep`, if that is not None."""

    mount: tuple[str, ...] = ()
    keep: tuple[str, ...] | None = None
    seconds: float = 40.0
    """After this time no further volume is mounted: whoever waits for those that are must get them."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Where everything of one volume is, by its name."""

    config: Config
    name: str

    @property
    def directory(self) -> Path:
        return self.config.images if self.name == IMAGES else self.config.state / self.name

    @property
    def real(self) -> Path:
        """The name of the directory in the table of mounts."""
        return Path(os.path.realpath(self.directory))

    @property
    def image(self) -> Path:
        return self.config.volumes / f"{self.name}.img"

    @property
    def new(self) -> Path:
        """The image before it is complete."""
        return self.config.volumes / f".new-{self.name}.img"

    @property
    def given_up(self) -> Path:
        """The image when its content is complete in `unpacked`."""
        return self.config.volumes / f".unpacked-{self.name}.img"

    @property
    def aside(self) -> Path:
        """Where an image is mounted while it is filled or emptied."""
        return Path(os.path.realpath(self.config.volumes)) / f".mount-{self.name}"

    @property
    def covered(self) -> Path:
        """A mark: what is in the directory, beneath the mount, is in the image, and is deleted."""
        return self.config.volumes / f".covered-{self.name}"

    @property
    def unpacked(self) -> Path:
        """The directory that takes the place of the image."""
        return self.directory.with_name(f".unpacked-{self.name}")

    @property
    def size(self) -> int:
        if self.name == IMAGES:
            found = os.statvfs(self.config.server.data)
            return found.f_blocks * found.f_frsize
        return self.config.nfs.state_limit * 10**9


def alone(config: Config) -> frozenset[str]:
    """The exported paths that are file systems of their own: ours, and those that the administrator mounted there."""
    table = volumes.mounts()
    # Mounts have the real name of a data directory that is a link.
    real = Path(os.path.realpath(config.server.data))
    below = [f"{config.state.name}/{Path(path).name}" for path in table]
    found = {str(config.server.data / each) for each in below if volumes.own_file_system(real / each, table)}
    # The images may be elsewhere, and `images` a link.
    images = volumes.own_file_system(Path(os.path.realpath(config.images)), table)
    return frozenset(found | {str(config.images)} if images else found)


def names(config: Config) -> frozenset[str]:
    """The volumes that exist, and those being made or given up: what is in their directories does not count."""
    with contextlib.suppress(OSError):
        images = (name.removesuffix(".img") for name in os.listdir(config.volumes) if name.endswith(".img"))
        return frozenset(re.sub(r"^\.(new|unpacked)-", "", name) for name in images)
    return frozenset()


def carry_out(config: Config, request: MountRequest) -> dict[str, str]:
    """Mount and unmount; returns why volumes could not be mounted, by their names. Raises UserError, OSError."""
    problems = {}
    deadline = time.monotonic() + request.seconds
    with locked(config):
        marks = (name for name in os.listdir(config.volumes) if name.startswith(".covered-"))
        cut_off = {name.removeprefix(".covered-") for name in marks}
        mounted = alone(config)
        for name in (*request.mount, *cut_off.difference(request.mount)):
            volume = Volume(config, name)
            try:
                with locked(config, name):
                    recover(volume)
                    if name in request.mount and str(volume.directory) not in mounted:
                        _require_turn(deadline)
                        _mount(volume)
            except (UserError, ProgramError, OSError) as error:
                problems[name] = error.message if isinstance(error, UserError) else str(error)
        if request.keep is not None:
            for name in sorted(names(config) - {IMAGES, *request.keep}):
                if str(Volume(config, name).directory) in mounted:
                    _detach(Volume(config, name))
    return {name: problem for name, problem in problems.items() if name in request.mount}


def mount_images(config: Config) -> None:
    """Mount the images if they are in a file system of their own; raises UserError, OSError."""
    if IMAGES not in names(config) or str(config.images) in alone(config):
        return
    if problem := carry_out(config, MountRequest(mount=(IMAGES,))).get(IMAGES):
        raise UserError(f"the images are not mounted: {problem}", "run with sudo", code=1)


def pack(config: Config, name: str) -> None:
    """Move a PC's directory, or the images, into a file system of its own and mount it; nobody may use it. Raises
    UserError, ProgramError, OSError: then the directory is as it was."""
    volume = Volume(config, name)
    with locked(config, name):
        recover(volume)
        _pack(volume)


def unpack(config: Config, name: str) -> None:
    """Turn a file system back into a plain directory; nobody may use it. Raises UserError, ProgramError, OSError."""
    volume = Volume(config, name)
    with locked(config, name):
        recover(volume)
        if not volume.image.exists():
            raise UserError(f"{volume.directory} is a plain directory already", "see: netboot-appliance state list")
        if str(volume.directory) in alone(config) and not volumes.unmount(volume.real):
            raise UserError(
                f"{volume.directory} is in use",
                "switch the PC off, then: systemctl stop netboot-appliance; netboot-appliance exports withdraw",
                code=1,
            )
        with _aside(volume, volume.image) as content:
            _require_room(config, tree_copy.occupied(content), volume.name)
            volume.unpacked.mkdir(mode=0o700)
            try:
                _copy(content, volume.unpacked)
            except BaseException:
                shutil.rmtree(volume.unpacked, ignore_errors=True)
                raise
        os.sync()
        volume.image.rename(volume.given_up)
        atomic_file.sync_directory(config.volumes)
        recover(volume)


def _mount(volume: Volume) -> None:
    empty = not volume.directory.exists() or not any(volume.directory.iterdir())
    if volume.image.exists():
        if not empty:
            raise UserError(
                f"{volume.directory} has files in it, but its work is in {volume.image}",
                "decide which to keep: move the files away, or the image",
                code=1,
            )
        volumes.grow(volume.image, volume.size)
        _attach(volume)
    elif empty:
        volumes.make(volume.new, volume.size)
        volume.new.rename(volume.image)
        try:
            _attach(volume)
        except BaseException:
            # Nothing is in it yet, and where nothing can be mounted it would only be in the way.
            volume.image.unlink()
            raise
    elif volume.name == IMAGES or tree_copy.occupied(volume.directory) <= AT_ONCE:
        _pack(volume)
    else:
        raise UserError(
            f"{volume.directory} is not a file system of its own yet, and too large to be moved in passing",
            f"while the PC is off: netboot-appliance state pack {volume.name}",
        )


def _attach(volume: Volume) -> None:
    """Mount it where it belongs, as its user's."""
    if not volume.directory.exists():
        volume.directory.mkdir(mode=0o700)
    directory = volume.real
    volumes.mount(volume.image, directory)
    with contextlib.suppress(FileNotFoundError, OSError):
        (directory / "lost+found").rmdir()
    if volume.name == IMAGES:
        directory.chmod(0o755)
    elif directory.stat().st_uid == 0:
        directory.chmod(0o700)
        os.chown(directory, BOINC_UID, BOINC_GID)


def _detach(volume: Volume) -> None:
    """Unmount it unless somebody uses it. One with nothing in it is deleted: made-up MAC addresses leave no others."""
    directory = volume.real
    empty = not os.listdir(directory)
    if volumes.unmount(directory) and empty:
        volume.image.unlink()


def _pack(volume: Volume) -> None:
    if volume.image.exists() or str(volume.directory) in alone(volume.config):
        raise UserError(f"{volume.directory} is a file system of its own already", "see: netboot-appliance state list")
    if str(volume.real) in volumes.mounts():
        raise UserError(
            f"{volume.directory} is a part of another file system that is mounted there",
            "mount a whole file system there, or none",
            code=1,
        )
    if volume.directory.is_symlink():
        raise UserError(
            f"{volume.directory} is a link to a directory that is no file system of its own",
            "let it lead to one, or put the directory itself there",
            code=1,
        )
    needed = tree_copy.occupied(volume.directory)
    _require_room(volume.config, needed, volume.name)
    # What is there already may be more than the limit.
    volumes.make(volume.new, max(volume.size, needed * 5 // 4 + _SPARE))
    try:
        with _aside(volume, volume.new) as content:
            (content / "lost+found").rmdir()
            _copy(volume.directory, content)
    except BaseException:
        volume.new.unlink(missing_ok=True)
        raise
    # Until the image has its name, `recover` only removes the mark. What is in the directory is there at any moment:
    # PCs may be loading it.
    volume.covered.touch(mode=0o600)
    atomic_file.sync_directory(volume.config.volumes)
    volume.new.rename(volume.image)
    atomic_file.sync_directory(volume.config.volumes)
    _attach(volume)
    recover(volume)


def recover(volume: Volume) -> None:
    """Finish what a crash cut off, or undo it; the caller holds its lock. Raises UserError, ProgramError, OSError."""
    _clear(volume)
    volume.new.unlink(missing_ok=True)
    if volume.covered.exists():
        if volume.image.exists():
            _delete_covered(volume)
        volume.covered.unlink()
    if volume.given_up.exists():
        if volume.unpacked.exists():
            _take_place(volume.unpacked, volume.directory)
        volume.given_up.unlink()
    elif volume.unpacked.exists():
        shutil.rmtree(volume.unpacked)


def _delete_covered(volume: Volume) -> None:
    """Empty the directory beneath the mount, whether or not it is mounted."""
    directory = volume.real
    volume.aside.mkdir(mode=0o700)
    volumes.show_beneath(directory.parent, volume.aside)
    try:
        covered = volume.aside / directory.name
        for each in covered.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink()
        os.chown(covered, 0, 0)
        covered.chmod(0o700)
    finally:
        _clear(volume)


def _take_place(new: Path, directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        directory.rmdir()
    new.rename(directory)
    atomic_file.sync_directory(directory.parent)


def _copy(source: Path, target: Path) -> None:
    tree_copy.copy(source, target)
    if different := tree_copy.difference(source, target):
        raise UserError(
            f"the copy is not like the original: {different}", "nothing was changed; is somebody writing there?", code=1
        )


def _require_turn(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise UserError("many are being mounted, and its turn comes next", "wait a moment", code=1)


def _require_room(config: Config, needed: int, name: str) -> None:
    found = os.statvfs(config.server.data)
    free = found.f_bavail * found.f_frsize
    if free < needed + _SPARE:
        raise UserError(
            f"{name} takes {needed / 1e9:.1f} GB, and a copy does not fit: {free / 1e9:.1f} GB are free",
            f"nothing was changed; make room in {config.server.data}",
            code=1,
        )


@contextlib.contextmanager
def _aside(volume: Volume, image: Path) -> Iterator[Path]:
    """An image, mounted where nobody exports it."""
    volume.aside.mkdir(mode=0o700)
    volumes.mount(image, volume.aside)
    try:
        yield volume.aside
    finally:
        _clear(volume)


def _clear(volume: Volume) -> None:
    if volume.aside.exists():
        if str(volume.aside) in volumes.mounts() and not volumes.unmount(volume.aside):
            raise UserError(f"{volume.aside} is in use", "unmount it", code=1)
        volume.aside.rmdir()


@contextlib.contextmanager
def locked(config: Config, name: str = "") -> Iterator[None]:
    """Hold the lock of one volume, without waiting, or the one for short work on all of them. Raises UserError."""
    config.volumes.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = config.volumes.lstat()
    if config.volumes.is_symlink() or found.st_uid != 0 or found.st_mode & 0o077:
        raise UserError(
            f"{config.volumes} is a link or open to other users, so nothing in it is mounted",
            f"make it root's: chown root:root {config.volumes}; chmod 700 {config.volumes}",
            code=1,
        )
    path = config.volumes / (f".lock-{name}" if name else ".lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if name else 0))
        yield
    except BlockingIOError:
        raise UserError(f"{name} is being moved into or out of its file system", "wait a moment", code=1) from None
    finally:
        os.close(lock)
