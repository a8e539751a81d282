"""What keeps a release from becoming the active one: damage, and signatures."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from image import activation, release, signature
from image.activation import Seal
from image.release import ReleaseError
from image.signature import KeyRing
from tests.unit.image.test_release import NEW, OLD, publish


class Room:
    """Two releases, the older one active, and a box with a key that has signed the newer one."""

    def __init__(self, directory: Path) -> None:
        self.images = directory / "images"
        self.ring = KeyRing(directory / "keys")
        self.key = signature.make(self.ring)
        publish(self.images, OLD)
        publish(self.images, NEW)
        activation.activate(self.images, OLD, self.ring)
        activation.sign(self.images, NEW, self.ring)

    @property
    def required(self) -> KeyRing:
        return KeyRing(self.ring.directory, required=True)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_signed_release_is_activated_without_a_warning(room: Room) -> None:
    done = activation.activate(room.images, NEW, room.required)
    assert (done.seal, done.key, done.warning) == (Seal.GOOD, room.key.id, "")
    assert release.active_id(room.images) == NEW


def test_an_unsigned_release_is_activated_with_a_warning_unless_signatures_are_required(room: Room) -> None:
    activation.activate(room.images, NEW, room.ring)
    with pytest.raises(ReleaseError, match="is not signed, and"):
        activation.rollback(room.images, room.required)
    assert release.active_id(room.images) == NEW
    assert activation.rollback(room.images, room.ring).warning == f"the release {OLD} is not signed"
    assert release.active_id(room.images) == OLD


def test_rolling_back_twice_goes_forward_again(room: Room) -> None:
    activation.activate(room.images, NEW, room.ring)
    assert [activation.rollback(room.images, room.ring).release.id for _ in range(2)] == [OLD, NEW]


def test_there_is_nothing_to_go_back_to_at_first(room: Room) -> None:
    with pytest.raises(ReleaseError, match="no earlier release to go back to"):
        activation.rollback(room.images, room.ring)
    with pytest.raises(ReleaseError, match="no earlier release of the image rack to go back to"):
        activation.rollback(room.images, room.ring, "rack")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def rewrite(path: Path) -> None:
    """Another kernel, and a manifest that fits it."""
    (path / release.KERNEL).write_bytes(b"evil")
    manifest = (path / release.MANIFEST).read_text()
    found = release.describe(path / release.KERNEL)
    old = release.parse(path, manifest.encode()).files[release.KERNEL]
    manifest = manifest.replace(old.sha256, found.sha256).replace(f'"size": {old.size}', f'"size": {found.size}', 1)
    (path / release.MANIFEST).write_text(manifest)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: flip(path / release.SQUASHFS), "live/filesystem.squashfs is not what was built"),
        (lambda path: (path / "live" / "more.squashfs").write_text("x"), "live/more.squashfs is not one of its files"),
        (lambda path: (path / "live" / "etc").symlink_to("/etc"), "live/etc is not one of its files"),
        (lambda path: flip(path / release.SIGNATURE), "by no key that is trusted here, or changed"),
        (lambda path: (path / release.SIGNATURE).write_bytes(b""), "by no key that is trusted here, or changed"),
        (lambda path: (path / release.SIGNATURE).write_bytes(bytes(65)), "by no key that is trusted here, or changed"),
        (lambda path: os.truncate(path / release.KERNEL, 3), "vmlinuz has 3 bytes"),
        (rewrite, "by no key that is trusted here, or changed"),
    ],
)
def test_what_was_changed_since_is_never_activated(room: Room, damage: Callable[[Path], object], said: str) -> None:
    damage(room.images / NEW)
    for ring in (room.ring, room.required):
        with pytest.raises(ReleaseError, match=said):
            activation.activate(room.images, NEW, ring)
    assert release.active_id(room.images) == OLD


def test_the_attack_with_a_fitting_manifest_is_one(room: Room) -> None:
    """Without its signature that release is whole."""
    rewrite(room.images / NEW)
    (room.images / NEW / release.SIGNATURE).unlink()
    found = activation.check(room.images, NEW, room.ring)
    assert (found.seal, found.release.files[release.KERNEL].size) == (Seal.MISSING, 4)


def test_a_key_that_is_trusted_no_longer_counts_no_longer(room: Room) -> None:
    signature.make(room.ring, replace=True)
    activation.activate(room.images, NEW, room.required)
    signature.forget(room.ring, room.key.id)
    with pytest.raises(ReleaseError, match="by no key that is trusted here"):
        activation.activate(room.images, NEW, room.required)
    activation.sign(room.images, NEW, room.ring)
    activation.activate(room.images, NEW, room.required)


def test_a_signature_that_was_made_elsewhere_is_put_beside_the_manifest(room: Room, tmp_path: Path) -> None:
    elsewhere = KeyRing(tmp_path / "elsewhere")
    public = signature.make(elsewhere)
    made = tmp_path / "made"
    manifest = room.images / OLD / release.MANIFEST
    subprocess.run(
        ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", elsewhere.private, "-in", manifest, "-out", made],
        check=True,
    )
    with pytest.raises(ReleaseError, match=r"no signature of .* by a key that is trusted here"):
        activation.attach(room.images, OLD, room.ring, made.read_bytes())
    assert not (room.images / OLD / release.SIGNATURE).exists()
    signature.trust(room.ring, public.pem.encode())
    assert activation.attach(room.images, OLD, room.ring, made.read_bytes()) == public.id
    assert activation.activate(room.images, OLD, room.required).key == public.id


def test_what_is_damaged_gets_no_signature(room: Room) -> None:
    flip(room.images / OLD / release.INITRD)
    with pytest.raises(ReleaseError, match=r"gets no signature: initrd\.img is not what was built"):
        activation.sign(room.images, OLD, room.ring)
    assert not (room.images / OLD / release.SIGNATURE).exists()


@pytest.mark.parametrize("links", [0, 1])
def test_a_kill_between_any_two_steps_leaves_a_release_active_that_can_be_booted(
    room: Room, links: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = os.fork()
    if child == 0:
        try:
            monkeypatch.setattr(release, "_link", _killing(release._link, links))
            activation.activate(room.images, NEW, room.ring)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    active = release.current(room.images)
    assert active is not None
    assert active.id == OLD
    activation.activate(room.images, NEW, room.ring)
    assert activation.before(room.images).id == OLD


def _killing(link: Callable[[Path, str, str], None], after: int) -> Callable[[Path, str, str], None]:
    """A stand-in for a step that is the last one of its process: killed once the new link is there, not in place."""
    done = 0

    def stand_in(images: Path, name: str, target: str) -> None:
        nonlocal done
        if done == after:
            (images / f".{name}.new").symlink_to(target)
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        link(images, name, target)

    return stand_in
