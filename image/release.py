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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from image import plain_files
from image.names import CURRENT, DEFAULT, PREVIOUS, check_name, image_of_link, link
from image.recipe import ImageRecipe

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
"""Beside the manifest, and about its exact bytes: signature.py. Missing if nobody has signed it."""
KERNEL, INITRD, SQUASHFS, PACKAGES = "vmlinuz", "initrd.img", "live/filesystem.squashfs", "packages"
MICROCODE = "microcode.img"
"""An uncompressed cpio archive that the kernel wants in front of the initrd."""
RECIPE = "live/recipe.squashfs"
"""The layer with the files of the administrator and what their hooks did; missing if there are none."""
MODULE = "live/filesystem.module"
"""The names of the layers, one a line and the lowest first: how live-boot stacks them. Missing if there is only one."""

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_FILE = re.compile(r"(?=.{1,200}$)[A-Za-z0-9][A-Za-z0-9._+-]*(?:/[A-Za-z0-9][A-Za-z0-9._+-]*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LAYER = re.compile(r"live/[^/]+\.squashfs")
LARGEST_MANIFEST = 1 << 20
"""Bytes."""


DAMAGED = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What `parse` raises for a manifest that is none."""


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
class ArchiveState:
    """A suite of an archive that an image was made from, in the state of then: its codename, such as trixie-security,
    the date in its Release file, and the SHA-256 of that file as it was signed (InRelease) in hex."""

    suite: str
    date: str
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
    archives: tuple[ArchiveState, ...] = ()
    """What it was made from; empty if it is older than this."""

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


def moment(images: Path, digest: str, image: str = DEFAULT) -> datetime:
    """The moment in UTC that names a release made now: this second, or the next one that no release has, where an
    unchanged recipe is built twice in one."""
    created = datetime.now(UTC).replace(microsecond=0)
    while (images / name(created, digest, image)).exists():
        created += timedelta(seconds=1)
    return created


def is_id(text: str) -> bool:
    """Whether this can be the id of a release."""
    return _ID.fullmatch(text) is not None


def releases(images: Path) -> Listing:
    """Return all releases in a directory; none if the directory is missing."""
    found: list[Release] = []
    broken: list[ReleaseError] = []
    names = (
        sorted((path.name for path in images.iterdir() if is_id(path.name)), reverse=True) if images.is_dir() else []
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
    if not is_id(release_id) or not path.is_dir():
        raise ReleaseError(f"there is no release {release_id!r} in {images}", "list them: netboot-appliance image list")
    try:
        release = parse(path, plain_files.read(path / MANIFEST, LARGEST_MANIFEST))
    except OSError as error:
        raise _broken(path, f"its manifest cannot be read: {error.strerror}") from error
    except DAMAGED as error:
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
    # live-boot takes each layer that it finds.
    known = {*release.files, MANIFEST, SIGNATURE}
    there = (each for each in release.path.rglob("*") if each.is_symlink() or not each.is_dir())
    names = sorted(str(each.relative_to(release.path)) for each in there)
    return problems + [f"{each} is not one of its files" for each in names if each not in known]


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
    """Return the release that a roll-back would activate, if any; raises ReleaseError if it is broken."""
    target = _target(images / link(PREVIOUS, image))
    return None if target is None or target == active_id(images, image) else read(images, target)


def activate(images: Path, release_id: str) -> Release:
    """Make a release the active one of its image, in one step, and remember the one it replaces; raises ReleaseError.
    Whether PCs may boot it is looked at before: activation.py, which alone calls this."""
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


def describe(path: Path) -> ReleaseFile:
    """Return size and SHA-256 of a file; raises OSError."""
    with path.open("rb") as file:
        return ReleaseFile(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())


def render_manifest(release: Release) -> bytes:
    """Return the content of manifest.json."""
    manifest = {
        "id": release.id,
        "created": release.created.isoformat(),
        # Older versions know no snapshots.
        "recipe": {name: value for name, value in asdict(release.recipe).items() if name != "snapshot" or value},
        "digest": release.digest,
        "kernel": release.kernel,
        **({"added": release.added} if release.added else {}),
        **({"image": release.image} if release.image != DEFAULT else {}),
        **({"archives": [asdict(each) for each in release.archives]} if release.archives else {}),
        "files": {each: asdict(file) for each, file in sorted(release.files.items())},
    }
    return json.dumps(manifest, indent=2).encode() + b"\n"


def parse(path: Path, content: bytes) -> Release:
    """Return the release that a manifest describes, for the directory `path`. It may come from anywhere: raises
    ValueError, TypeError, LookupError, AttributeError, OverflowError or RecursionError (DAMAGED) for what is none."""
    manifest = json.loads(content)
    if manifest["id"] != path.name:
        raise ValueError(f"it is the manifest of {manifest['id']}")
    recipe = dict(manifest["recipe"])
    recipe["packages"] = tuple(recipe["packages"])
    files = {each: ReleaseFile(file["size"], file["sha256"]) for each, file in manifest["files"].items()}
    for each, file in files.items():
        if not _FILE.fullmatch(each) or each in (MANIFEST, SIGNATURE):
            raise ValueError(f"{each!r} is not the name of one of its files")
        if type(file.size) is not int or file.size < 0 or not _SHA256.fullmatch(file.sha256):
            raise ValueError(f"{each} has no size and SHA-256")
        if any(str(above) in files for above in Path(each).parents):
            raise ValueError(f"{each} is in another file")
    for each in (KERNEL, INITRD, SQUASHFS, PACKAGES):
        if each not in files:
            raise ValueError(f"it does not list {each}")
    created = datetime.fromisoformat(manifest["created"]).astimezone(UTC)
    digest, kernel, added = str(manifest["digest"]), str(manifest["kernel"]), str(manifest.get("added", ""))
    image = check_name(str(manifest.get("image", DEFAULT)))
    archives = tuple(ArchiveState(**each) for each in manifest.get("archives", ()))
    if not all(isinstance(word, str) for each in archives for word in (each.suite, each.date, each.sha256)):
        raise ValueError("its archives are no words")
    return Release(path, created, ImageRecipe(**recipe), digest, kernel, files, added, image, archives)


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
    plain_files.sync_directory(images)
