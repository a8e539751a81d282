"""The one way to make a release the active one, or to let PCs try it: its files and its signature are checked before.

Each byte of it is read, which takes less than a second. release.py has the links themselves.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from image import plain_files, release, signature
from image.names import DEFAULT
from image.release import Release, ReleaseError
from image.signature import KeyRing


class Seal(Enum):
    """What the signature of a release says."""

    GOOD = "signed"
    MISSING = "not signed"
    FOREIGN = "signed by no key that is trusted here, or changed since"


@dataclass(frozen=True, slots=True)
class CheckedRelease:
    """A release that was read byte by byte. `problems`: what is not as it was built, in words. `key`: the id of the key
    that has signed it, or empty."""

    release: Release
    problems: tuple[str, ...]
    seal: Seal
    key: str = ""

    @property
    def warning(self) -> str:
        """What to say although it can be activated, or empty."""
        return "" if self.seal is Seal.GOOD else f"the release {self.release.id} is {self.seal.value}"


def check(images: Path, ident: str, ring: KeyRing) -> CheckedRelease:
    """Read a release byte by byte. Raises ReleaseError if it is none, or if signatures cannot be checked here."""
    found = release.read(images, ident)
    problems = tuple(release.verify(found))
    manifest = _manifest(found)
    try:
        signed = plain_files.read(found.path / release.SIGNATURE, signature.LENGTH)
    except FileNotFoundError:
        return CheckedRelease(found, problems, Seal.MISSING)
    except (OSError, ValueError):
        return CheckedRelease(found, problems, Seal.FOREIGN)
    key = signature.signer(signature.trusted(ring), manifest, signed)
    return CheckedRelease(found, problems, Seal.GOOD if key else Seal.FOREIGN, key.id if key else "")


def assert_usable(images: Path, ident: str, ring: KeyRing) -> CheckedRelease:
    """The release, if PCs may boot it; raises ReleaseError if it is damaged, or its signature does not allow it."""
    found = check(images, ident, ring)
    if found.problems:
        raise ReleaseError(
            f"the release {ident} is damaged: {'; '.join(found.problems)}",
            "build or pull it again, and check the disk; nothing was activated",
        )
    if found.seal is Seal.FOREIGN:
        raise ReleaseError(
            f"the release {ident} is {found.seal.value}",
            f"if you trust its builder: netboot-appliance image key trust FILE; or sign it here: image sign {ident}",
        )
    if found.seal is Seal.MISSING and ring.required:
        raise ReleaseError(
            f"the release {ident} is not signed, and [image] require_signature asks for that",
            f"sign it: netboot-appliance image sign {ident}",
        )
    return found


def activate(images: Path, ident: str, ring: KeyRing) -> CheckedRelease:
    """Make a release the active one, in one step, if PCs may boot it; raises ReleaseError."""
    found = assert_usable(images, ident, ring)
    release.activate(images, ident)
    return found


def before(images: Path, image: str = DEFAULT) -> Release:
    """The release of an image to go back to; raises ReleaseError if there is none."""
    found = release.previous(images, image)
    if found is None:
        of = "" if image == DEFAULT else f" of the image {image}"
        raise ReleaseError(f"there is no earlier release{of} to go back to", "choose one: netboot-appliance image list")
    return found


def rollback(images: Path, ring: KeyRing, image: str = DEFAULT) -> CheckedRelease:
    """Activate the release of an image that was active before; raises ReleaseError, also if there is none."""
    return activate(images, before(images, image).id, ring)


def sign(images: Path, ident: str, ring: KeyRing, private: Path | None = None) -> str:
    """Sign a release whose files are as they were built, with the private key in a file or the box's own, in place of
    any signature before; returns the id of the key. Raises ReleaseError."""
    manifest = _undamaged(images, ident, ring)
    made, key = signature.sign(private, manifest) if private else signature.sign_as(ring, manifest)
    _put(images, ident, manifest, made)
    return key.id


def attach(images: Path, ident: str, ring: KeyRing, made: bytes) -> str:
    """Put a signature beside a release that was made elsewhere, by a key that is trusted here; returns the id of the
    key. Raises ReleaseError."""
    manifest = _undamaged(images, ident, ring)
    key = signature.signer(signature.trusted(ring), manifest, made)
    if key is None:
        raise ReleaseError(
            f"it is no signature of {ident} by a key that is trusted here; nothing was changed",
            f"a signature has {signature.LENGTH} bytes: openssl pkeyutl -sign -rawin -inkey KEY -in manifest.json"
            " -out FILE; its public key: netboot-appliance image key trust FILE",
        )
    _put(images, ident, manifest, made)
    return key.id


def _undamaged(images: Path, ident: str, ring: KeyRing) -> bytes:
    """The manifest of a release that is as it was built."""
    found = check(images, ident, ring)
    if found.problems:
        raise ReleaseError(
            f"the release {ident} is damaged, and gets no signature: {'; '.join(found.problems)}",
            "build or pull it again, and check the disk",
        )
    return _manifest(found.release)


def _manifest(found: Release) -> bytes:
    """The bytes of its manifest, which say of it what is known. What is signed and what is checked must be the same."""
    path = found.path / release.MANIFEST
    try:
        content = plain_files.read(path, release.LARGEST_MANIFEST)
        if release.parse(found.path, content) == found:
            return content
    except (OSError, *release.DAMAGED) as error:
        raise ReleaseError(f"{path} cannot be read: {error}", "check the disk") from error
    raise ReleaseError(f"{path} was changed meanwhile; nothing was changed", "try again")


def _put(images: Path, ident: str, manifest: bytes, made: bytes) -> None:
    path = images / ident
    try:
        with release.changing(images):
            if plain_files.read(path / release.MANIFEST, release.LARGEST_MANIFEST) == manifest:
                plain_files.write(path / release.SIGNATURE, made)
                return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ReleaseError(f"cannot write the signature of {ident}: {reason}", "run with sudo") from error
    raise ReleaseError(f"the manifest of {ident} was changed meanwhile; nothing was changed", "try again")
