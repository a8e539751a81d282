"""Takes a release that another box offers (offers.py), of which nothing is believed that a trusted key has not signed.

Only what is missing is fetched: files that a release here has are linked, and what an interrupted call has fetched is
completed. Each file is compared with the signed manifest before the release appears, complete or not at all. Does not
activate it.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from image import activation, offers, partial, plain_files, release, signature
from image.activation import Seal
from image.download import DownloadError, Place
from image.release import Release, ReleaseError, ReleaseFile
from image.signature import KeyRing

_TRIES = 3
"""How often in a row a file may fail without a byte more."""

_SPARE = 16 << 20
"""Bytes that must stay free on the disk."""


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is: the file that is fetched now, and bytes of all that are missing."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PulledRelease:
    """A release that was pulled. Bytes: `fetched` from the other box now, `resumed` by an earlier call, `linked` from
    releases that were here. `key`: the id of the key that has signed it. `new`: whether it was not here before."""

    release: Release
    key: str
    fetched: int = 0
    resumed: int = 0
    linked: int = 0
    new: bool = True


def pull(
    images: Path,
    url: str,
    ring: KeyRing,
    ident: str | None = None,
    tell: Callable[[PullProgress], None] = lambda _: None,
) -> PulledRelease:
    """Take a release from an address, the newest one without `ident`. Raises ReleaseError; what was fetched until then
    stays for the next call, also if KeyboardInterrupt or a kill ends this one."""
    try:
        place = Place(url)
    except ValueError as error:
        # It may hold a password, so it is not repeated.
        raise ReleaseError(f"this address cannot be used: {error}", "nothing was changed") from None
    keys = signature.trusted(ring)
    if not keys:
        raise ReleaseError(
            "no key is trusted here, so nothing can be pulled",
            "get the public key of the box that builds (image key show) and: netboot-appliance image key trust FILE",
        )
    try:
        ident = _chosen(place, ident)
        manifest = place.read(offers.path(ident, release.MANIFEST), release.LARGEST_MANIFEST)
        signed = place.read(offers.path(ident, release.SIGNATURE), signature.LENGTH)
        key = signature.signer(keys, manifest, signed)
        if key is None:
            raise ReleaseError(
                f"{ident} at {url} is signed by no key that is trusted here, or was changed since; nothing was fetched",
                "if you trust its builder: netboot-appliance image key trust FILE",
            )
        wanted = _parsed(images / ident, manifest)
        if (images / ident).exists():
            return PulledRelease(_present(images, wanted, ring), key.id, new=False)
        with partial.opened(images, ident) as directory:
            return _Pull(images, directory, place, wanted, tell).run(manifest, signed, key.id)
    except DownloadError as error:
        raise ReleaseError(
            f"cannot pull from {url}: {error}", "what is here is kept: the same command goes on from there"
        ) from error
    except OSError as error:
        raise ReleaseError(f"cannot write to {images}: {error.strerror}", "run with sudo; check the disk") from error


def _chosen(place: Place, ident: str | None) -> str:
    if ident is not None:
        if not release.is_id(ident):
            raise ReleaseError(f"{ident!r} is not the id of a release", "leave it out for the newest one")
        return ident
    try:
        found = offers.decode(place.read(offers.INDEX, offers.LARGEST_INDEX))
    except ValueError as error:
        raise DownloadError(f"its {offers.INDEX} cannot be used: {error}", lasting=True) from error
    if not found:
        raise DownloadError("no release is offered there", lasting=True)
    return found[0].id


def _parsed(path: Path, manifest: bytes) -> Release:
    try:
        return release.parse(path, manifest)
    except release.DAMAGED as error:
        raise ReleaseError(
            f"the manifest of {path.name} is well signed, and cannot be used: {error}",
            "another version of netboot-appliance may have made it: upgrade this box; nothing was fetched",
        ) from error


def _present(images: Path, wanted: Release, ring: KeyRing) -> Release:
    """The release if it is here already, as it is wanted; raises ReleaseError if it is another or a damaged one."""
    found = activation.check(images, wanted.id, ring)
    if found.release == wanted and not found.problems and found.seal is Seal.GOOD:
        return found.release
    why = "; ".join(found.problems) or found.seal.value
    raise ReleaseError(
        f"there is a release {wanted.id} here, and it is not the one there: {why}",
        f"delete {wanted.path} if no PC needs it, and pull again",
    )


class _Pull:
    """One pull at work, in its directory of `partial`."""

    def __init__(
        self, images: Path, directory: Path, place: Place, wanted: Release, tell: Callable[[PullProgress], None]
    ) -> None:
        self._images, self._directory, self._place, self._wanted, self._tell = images, directory, place, wanted, tell
        self._fetched = self._done = self._total = 0

    def run(self, manifest: bytes, signed: bytes, key: str) -> PulledRelease:
        # Several may have one content.
        wanted = {file.sha256: (name, file) for name, file in self._wanted.files.items()}
        whole = sum(file.size for _, file in wanted.values() if self._is_here(file))
        linked = sum(file.size for _, file in wanted.values() if not self._is_here(file) and self._link(file))
        missing = [(name, file) for name, file in wanted.values() if not self._is_here(file)]
        self._done = sum(min(file.size, _size(self._part(file))) for _, file in missing)
        self._total = sum(file.size for _, file in missing)
        resumed = whole + self._done
        self._assert_room(self._total - self._done)
        for name, file in missing:
            self._fetch(name, file)
        made = self._assemble(manifest, signed)
        return PulledRelease(made, key, self._fetched, resumed, linked)

    def _whole(self, file: ReleaseFile) -> Path:
        return self._directory / file.sha256

    def _part(self, file: ReleaseFile) -> Path:
        return self._directory / f"{file.sha256}.part"

    def _is_here(self, file: ReleaseFile) -> bool:
        return _size(self._whole(file)) == file.size

    def _link(self, file: ReleaseFile) -> bool:
        """Take a file from a release that is here, if it is what its manifest says."""
        for each in release.releases(self._images).releases:
            for name, there in each.files.items():
                with suppress(OSError):  # it is damaged, or on another disk: then it is fetched
                    if there == file and release.describe(each.path / name) == file:
                        self._whole(file).unlink(missing_ok=True)
                        os.link(each.path / name, self._whole(file), follow_symlinks=True)
                        return True
        return False

    def _assert_room(self, needed: int) -> None:
        free = shutil.disk_usage(self._directory).free
        if needed + _SPARE > free:
            raise ReleaseError(
                f"{self._wanted.id} needs {needed / 1e6:,.0f} MB, and {self._images} has {free / 1e6:,.0f} MB free",
                "make room: netboot-appliance image prune, or a larger disk; then pull again",
            )

    def _fetch(self, name: str, file: ReleaseFile) -> None:
        part, path = self._part(file), offers.path(self._wanted.id, name)

        def tell(count: int) -> None:
            self._fetched += max(0, count)
            self._done += count
            self._tell(PullProgress(name, self._done, self._total))

        self._tell(PullProgress(name, self._done, self._total))
        afresh, tries = _size(part) == 0, 0
        while True:
            before = _size(part)
            try:
                self._place.fetch(path, part, file.size, tell)
            except DownloadError as error:
                tries = tries + 1 if _size(part) <= before else 1
                if error.lasting or tries >= _TRIES:
                    raise
                continue
            if release.describe(part) == file:
                plain_files.settle(part)
                part.rename(self._whole(file))
                return
            self._done -= _size(part)
            part.unlink()
            if afresh:
                raise DownloadError(f"{name} is not what was signed: another file, or damaged on its way", lasting=True)
            # What an earlier call has left may be of another file.
            afresh = True

    def _assemble(self, manifest: bytes, signed: bytes) -> Release:
        """Make the release of the files, look at all of it once more, and let it appear."""
        new = self._directory / "release"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o755)
        for name, file in self._wanted.files.items():
            (new / name).parent.mkdir(mode=0o755, exist_ok=True)
            os.link(self._whole(file), new / name)
        plain_files.write(new / release.MANIFEST, manifest)
        plain_files.write(new / release.SIGNATURE, signed)
        plain_files.settle_directories(new)
        final = self._wanted.path
        problems = release.verify(replace(self._wanted, path=new))
        if problems:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise DownloadError(f"what was fetched has changed on the disk: {problems[0]}; check it", lasting=True)
        with release.changing(self._images):
            if final.exists():
                raise ReleaseError(f"{final} has appeared meanwhile; nothing was changed", "see: image list")
            new.rename(final)
        plain_files.sync_directory(self._images)
        shutil.rmtree(self._directory, ignore_errors=True)
        return release.read(self._images, self._wanted.id)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
