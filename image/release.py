"""Releases: immutable directories with a built live system, and the links that say which ones are served.

A release is `IMAGES/ID/{live/filesystem.squashfs, vmlinuz, initrd.img, microcode.img, packages, loaders/…,
manifest.json}`. Other files `live/*.squashfs` are layers above that one, and `live/filesystem.module` says so to
live-boot. The boot loaders (bootfiles.py) are missing in old ones, and so is the processors' microcode, which is
left out of an image without firmware, too. `IMAGES/current` and `IMAGES/previous` are symbolic links, replaced in
one step; other images than the default one have links of their own (names.py). Does not build (build.py) or serve.
"""

import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from image.names import CURRENT, DEFAULT, PREVIOUS, check_name, image_of_link, link
from image.recipe import ImageRecipe

MANIFEST = "manifest.json"
KERNEL, INITRD, SQUASHFS, PACKAGES = "vmlinuz", "initrd.img", "live/filesystem.squashfs", "packages"
MICROCODE = "microcode.img"
"""An uncompressed cpio archive that the kernel wants in front of the initrd."""
RECIPE = "live/recipe.squashfs"
"""The layer with the files of the administrator and what their hooks did; missing if there are none."""
MODULE = "live/filesystem.module"
"""The names of the layers, one a line and the lowest first: how live-boot stacks them. Missing if there is only one."""

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}")
_LAYER = re.compile(r"live/[^/]+\.squashfs")
_LARGEST_MANIFEST = 1 << 20


class ReleaseError(Exception):
    """A release is missing, broken, or cannot be activated; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release as its manifest describes it; `digest` identifies the recipe and the tree it was built from."""

    path: Path
    created: datetime
    recipe: ImageRecipe
    digest: str
    kernel: str
    files: Mapping[str, ReleaseFile]
    added: str = ""
    """A digest of the administrator's files and hooks in it; empty without any."""
    image: str = DEFAULT
    """The name of the image that it is a release of."""

    @property
    def id(self) -> str:
        """The name of its directory; later releases sort after earlier ones."""
        return self.path.name

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files.values())

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the files whose trees, one above the other, are the live system; the lowest first."""
        above = sorted(each for each in self.files if _LAYER.fullmatch(each) and each != SQUASHFS)
        return (SQUASHFS, *above)


@dataclass(frozen=True, slots=True)
class Listing:
    """The releases in a directory of images, newest first, and the errors of the broken ones."""

    releases: tuple[Release, ...]
    broken: tuple[ReleaseError, ...]


def name(created: datetime, digest: str, image: str = DEFAULT) -> str:
    """Return the id of a release, such as `20261123-150102-1a2b3c4d`; `created` is in UTC. Two images of one recipe may
    be built in one second."""
    if image != DEFAULT:
        digest = hashlib.sha256(f"{image} {digest}".encode()).hexdigest()
    return f"{created:%Y%m%d-%H%M%S}-{digest[:8]}"


def releases(images: Path) -> Listing:
    """Return all releases in a directory; none if the directory is missing."""
    found: list[Release] = []
    broken: list[ReleaseError] = []
    names = (
        sorted((path.name for path in images.iterdir() if _ID.fullmatch(path.name)), reverse=True)
        if images.is_dir()
        else []
    )
    for each in names:
        try:
            found.append(read(images, each))
        except ReleaseError as error:
            broken.append(error)
    return Listing(tuple(found), tuple(broken))


def read(images: Path, release_id: str) -> Release:
    """Return one release after checking its manifest and the sizes of its files; raises ReleaseError."""
    path = images / release_id
    if not _ID.fullmatch(release_id) or not path.is_dir():
        raise ReleaseError(f"there is no release {release_id!r} in {images}", "list them: netboot-appliance image list")
    try:
        release = _parse(path, _content(path / MANIFEST))
    except OSError as error:
        raise _broken(path, f"its manifest cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise _broken(path, f"its manifest is damaged: {error}") from error
    for each, file in release.files.items():
        try:
            size = (path / each).stat().st_size
        except OSError as error:
            raise _broken(path, f"{each} is missing") from error
        if size != file.size:
            raise _broken(path, f"{each} has {size} bytes instead of {file.size}")
    return release


def has_microcode(images: Path, release_id: str) -> bool:
    """Whether a release has a file with microcode. Cheap enough to ask for each boot script."""
    return (images / release_id / MICROCODE).is_file()


def verify(release: Release) -> list[str]:
    """Read all files of a release and return what differs from its manifest, in words; empty if nothing does."""
    problems = []
    for each, file in release.files.items():
        try:
            found = describe(release.path / each)
        except OSError as error:
            problems.append(f"{each} cannot be read: {error.strerror}")
            continue
        if found != file:
            problems.append(f"{each} is not what was built: its sha256 is {found.sha256} instead of {file.sha256}")
    return problems


def active_id(images: Path, image: str = DEFAULT) -> str | None:
    """The id of an image's active release, whether or not that exists; raises ReleaseError if `images` cannot be read.
    Cheap enough to call all the time."""
    return _target(images / link(CURRENT, image))


def active_ids(images: Path) -> dict[str, str]:
    """The ids of all active releases by the names of their images, in the order of those; like `active_id`."""
    try:
        links = sorted(os.listdir(images))
    except PermissionError as error:
        raise _unreadable(images, error) from error
    except OSError:
        return {}
    found = ((image, _target(images / each)) for each in links if (image := image_of_link(each)))
    return {image: target for image, target in found if target is not None}


def current(images: Path, image: str = DEFAULT) -> Release | None:
    """Return the active release of an image, None if none was ever activated; raises ReleaseError if it is broken."""
    target = active_id(images, image)
    return None if target is None else read(images, target)


def previous(images: Path, image: str = DEFAULT) -> Release | None:
    """Return the release that `rollback` would activate, if any; raises ReleaseError if it is broken."""
    target = _target(images / link(PREVIOUS, image))
    return None if target is None or target == active_id(images, image) else read(images, target)


def activate(images: Path, release_id: str) -> Release:
    """Make a release the active one of its image, in one step, and remember the one it replaces; raises
    ReleaseError."""
    # Check it before anything is touched.
    read(images, release_id)
    try:
        with changing(images):
            release = read(images, release_id)
            before = active_id(images, release.image)
            if before is not None and before != release_id:
                _link(images, link(PREVIOUS, release.image), before)
            _link(images, link(CURRENT, release.image), release_id)
    except OSError as error:
        raise ReleaseError(
            f"cannot activate the release {release_id} in {images}: {error.strerror}",
            "run as root (sudo), and check the disk",
        ) from error
    return release


@contextmanager
def changing(images: Path) -> Iterator[None]:
    """Keep other processes from activating or deleting releases meanwhile; raises OSError."""
    # Not on the directory itself: anybody who can read that could lock it.
    descriptor = os.open(images / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def rollback(images: Path, image: str = DEFAULT) -> Release:
    """Activate the release of an image that was active before this one; raises ReleaseError if there is none."""
    release = previous(images, image)
    if release is None:
        of = "" if image == DEFAULT else f" of the image {image}"
        raise ReleaseError(f"there is no earlier release{of} to go back to", "choose one: netboot-appliance image list")
    return activate(images, release.id)


def describe(path: Path) -> ReleaseFile:
    """Return size and SHA-256 of a file; raises OSError."""
    with path.open("rb") as file:
        return ReleaseFile(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())


def render_manifest(release: Release) -> bytes:
    """Return the content of manifest.json."""
    manifest = {
        "id": release.id,
        "created": release.created.isoformat(),
        "recipe": asdict(release.recipe),
        "digest": release.digest,
        "kernel": release.kernel,
        **({"added": release.added} if release.added else {}),
        **({"image": release.image} if release.image != DEFAULT else {}),
        "files": {each: asdict(file) for each, file in sorted(release.files.items())},
    }
    return json.dumps(manifest, indent=2).encode() + b"\n"


def _content(path: Path) -> bytes:
    # The server reads it several times a second, and must not block if it is a pipe.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        content = file.read(_LARGEST_MANIFEST + 1)
    if len(content) > _LARGEST_MANIFEST:
        raise ValueError("it is too large")
    return content


def _parse(path: Path, content: bytes) -> Release:
    manifest = json.loads(content)
    if manifest["id"] != path.name:
        raise ValueError(f"it is the manifest of {manifest['id']}")
    recipe = dict(manifest["recipe"])
    recipe["packages"] = tuple(recipe["packages"])
    files = {each: ReleaseFile(int(file["size"]), str(file["sha256"])) for each, file in manifest["files"].items()}
    for each in files:
        if not _FILE.fullmatch(each) or ".." in each.split("/"):
            raise ValueError(f"{each!r} is not the name of one of its files")
    for each in (KERNEL, INITRD, SQUASHFS, PACKAGES):
        if each not in files:
            raise ValueError(f"it does not list {each}")
    created = datetime.fromisoformat(manifest["created"]).astimezone(UTC)
    digest, kernel, added = str(manifest["digest"]), str(manifest["kernel"]), str(manifest.get("added", ""))
    image = check_name(str(manifest.get("image", DEFAULT)))
    return Release(path, created, ImageRecipe(**recipe), digest, kernel, files, added, image)


def _broken(path: Path, why: str) -> ReleaseError:
    return ReleaseError(f"the release {path.name} is broken: {why}", f"delete {path} and build again")


def _target(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except PermissionError as error:
        raise _unreadable(path.parent, error) from error
    except OSError:
        return None


def _unreadable(images: Path, error: OSError) -> ReleaseError:
    return ReleaseError(
        f"{images} cannot be read: {error.strerror}", f"run with sudo; the server needs: chmod 755 {images}"
    )


def _link(images: Path, name: str, target: str) -> None:
    temporary = images / f".{name}.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(images / name)
    sync_directory(images)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut; raises OSError. services/linux/atomic_file.py has the same
    function: image/ does not import services/, and these few lines are not worth passing in."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
