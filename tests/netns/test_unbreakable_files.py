"""Files that change during a transfer: the old content or a clean failure, never a mixture. And missing files."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image.release import INITRD, KERNEL, activate
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import error, rrq
from tests.netns.attacked_box import LOADER, TIMEOUT, FarPc
from tests.netns.half_download import Ended, HalfHttpDownload, HalfTftpDownload
from tests.netns.scripted_pc import BROADCAST
from tests.netns.served import install_release
from tests.netns.storage_faults import FaultyDiskBox, status
from tests.room.namespaces import Network, assert_nothing_left

Half = type[HalfTftpDownload] | type[HalfHttpDownload]
SIZE = 4 << 20
BROKEN = "the active image is broken; nobody boots"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyDiskBox]:
    with Network() as network:
        yield FaultyDiskBox(network, tmp_path_factory.mktemp("files"))
    assert_nothing_left(network.room)


@pytest.fixture
def box(started: FaultyDiskBox) -> Iterator[FaultyDiskBox]:
    """The box; it must keep running, log no error that the test did not provoke, and no traceback."""
    since, pid = started.mark(), started.pid
    forgiven = list(started.forgiven)
    yield started
    assert (started.running, started.pid) == (True, pid)
    assert started.complaints(since) == []
    assert b"Traceback" not in started.log.read_bytes()[since:]
    started.forgiven = forgiven


def replaced(file: Path, new: bytes) -> None:
    """Another file takes its name, as publishing does."""
    other = file.with_name("new")
    other.write_bytes(new)
    other.replace(file)


def rewritten(file: Path, new: bytes) -> None:
    """Overwrite the file in place, with the same size."""
    with file.open("r+b") as opened:
        opened.write(new[:SIZE].ljust(SIZE, b"."))


def cut(file: Path, _new: bytes) -> None:
    os.truncate(file, 1000)


def written_anew(file: Path, new: bytes) -> None:
    """Truncate and rewrite, as `cp` does."""
    file.write_bytes(new)


@pytest.mark.parametrize("service", [HalfTftpDownload, HalfHttpDownload], ids=["TFTP", "HTTP"])
@pytest.mark.parametrize("change", [replaced, rewritten, cut, written_anew])
def test_a_file_that_changes_under_a_transfer(
    box: FaultyDiskBox, service: Half, change: Callable[[Path, bytes], None]
) -> None:
    old, new = os.urandom(SIZE), os.urandom(SIZE + 5000)
    file = box.data / "boot" / f"{change.__name__}.bin"
    file.write_bytes(old)
    with service(box.pc(1), file.name) as early, service(box.pc(2), file.name) as late:
        early.take(SIZE // 3)
        late.take(1)
        change(file, new)
        for transfer in (early, late):
            try:
                assert transfer.rest() == old
            except Ended:
                assert change is not replaced, "its name alone is another file's"
    now = file.read_bytes()
    assert now != old
    for pc in (box.pc(1), box.pc(3)):
        with service(pc, file.name) as later:
            assert later.rest() == now
    file.unlink()


def test_a_pc_continues_with_its_release_when_another_becomes_active(box: FaultyDiskBox) -> None:
    first = box.release
    kernel, initrd = (first.path / KERNEL).read_bytes(), (first.path / INITRD).read_bytes()
    pc, since = box.booting(10), box.mark()
    with HalfHttpDownload(pc.pc, f"image/{first.id}/{KERNEL}") as half:
        half.take(1 << 20)
        second = install_release(box.data / "images")
        box.wait_for("active image", since, release=second.id)
        assert half.rest() == kernel
    assert first.id in pc.script.argument("nfsroot")
    pc.rest(kernel, initrd)
    box.pc(11).boot(second)
    other, since = box.booting(12), box.mark()
    assert box.verb("image", "rollback").returncode == 0
    box.wait_for("active image", since, release=first.id)
    other.rest((second.path / KERNEL).read_bytes(), (second.path / INITRD).read_bytes())
    box.pc(13).boot(first)


def gone(release: Path) -> None:
    shutil.rmtree(release)


def no_images(release: Path) -> None:
    shutil.rmtree(release.parent.rename(release.parent.with_name("gone")))


def no_initrd(release: Path) -> None:
    (release / INITRD).unlink()


def linked_initrd(release: Path) -> None:
    """A link to a private file of the box, as long as the initrd."""
    secret = release.parents[2] / "secret"
    secret.write_bytes(bytes((release / INITRD).stat().st_size))
    (release / INITRD).unlink()
    (release / INITRD).symlink_to(secret)


def pipe_for_initrd(release: Path) -> None:
    (release / INITRD).unlink()
    os.mkfifo(release / INITRD)


def pipe_for_manifest(release: Path) -> None:
    (release / "manifest.json").unlink()
    os.mkfifo(release / "manifest.json")


def forged_manifest(release: Path) -> None:
    (release / "manifest.json").write_bytes(b'{"id": ["' + b"[" * 100_000)


def forged_link(release: Path) -> None:
    link = release.parent / "current"
    link.unlink()
    link.symlink_to("../../..")


@pytest.mark.parametrize(
    "damage",
    [gone, no_images, no_initrd, linked_initrd, pipe_for_initrd, pipe_for_manifest, forged_manifest, forged_link],
)
def test_an_image_that_is_damaged_while_pcs_boot(
    box: FaultyDiskBox, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """A PC that has a script is told what is missing; no other PC is sent into a boot that cannot succeed."""
    images, release, since = box.data / "images", box.release, box.mark()
    shutil.copytree(images, tmp_path / "images", symlinks=True)
    box.forgiven.append(BROKEN)
    pc, begun = box.booting(20), HalfHttpDownload(box.pc(21), f"image/{release.id}/{INITRD}")
    initrd = (release.path / INITRD).read_bytes()
    with begun:
        begun.take(1 << 20)
        damage(release.path)
        assert begun.rest() == initrd, "it is open"
    try:
        if damage in (gone, no_images, no_initrd, linked_initrd, pipe_for_initrd):
            assert status(pc.pc, f"image/{release.id}/{INITRD}") == 404
        if damage is not linked_initrd:  # its size is right, and the PC is told that it has no initrd
            box.wait_for("active image" if damage is no_images else BROKEN, since)
            assert status(pc.pc, "boot.ipxe") == 503
            assert not offered(box.pc(22), box.pc(23))
    finally:
        shutil.rmtree(images, ignore_errors=True)
        shutil.copytree(tmp_path / "images", images, symlinks=True)
        activate(images, release.id)
    if damage is not linked_initrd:
        box.wait_for("active image", since, release=release.id)
    box.pc(22).boot(release)


def offered(pc: FarPc, allowed: FarPc) -> bool:
    """Whether the box offers anything to `pc`."""
    with pc.udp(68, "") as udp:
        udp.sendto(message(DISCOVER, bytes(pc.mac), firmware(7), flags=BROADCAST), (pc.box, 67))
        # When it has answered the next request, it has handled this one.
        status(allowed, "boot.ipxe")
        udp.setblocking(False)
        try:
            return bool(udp.recv(2048))
        except BlockingIOError:
            return False


def test_a_loader_that_is_gone(box: FaultyDiskBox) -> None:
    pc, file = box.pc(30), box.data / "boot" / LOADER.name
    content = file.read_bytes()
    file.unlink()
    offer = pc.discover(firmware(7))
    with pc.udp() as udp:
        udp.settimeout(TIMEOUT)
        udp.sendto(rrq(offer.file), (pc.box, 69))
        assert error(udp.recv(2048)) == (1, "file not found")
    assert status(pc, f"loader/{LOADER.name}") == 404
    file.write_bytes(content)
    assert pc.load(offer.file) == content


def test_a_configuration_that_is_gone(box: FaultyDiskBox) -> None:
    aside = box.configuration.rename(box.configuration.with_name("aside"))
    box.pc(31).boot(box.release)
    refused = box.verb("status", check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: there is no configuration file {box.configuration}\nhint: ")
    aside.rename(box.configuration)
