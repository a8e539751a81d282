"""Files that change during a transfer: the old content or a clean end, never a mixture. And files that are gone."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image.release import INITRD, KERNEL, activate
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import error, rrq
from tests.netns.attacked_box import LOADER, TIMEOUT, FarPc
from tests.netns.paused_download import Ended, PausedHttp, PausedTftp
from tests.netns.scripted_pc import BROADCAST
from tests.netns.served import install_release
from tests.netns.storage_faults import FaultyDiskBox, status
from tests.room.namespaces import Network, assert_nothing_left, run
from tests.room.processes import wait_until

Client = type[PausedTftp] | type[PausedHttp]
SIZE = 4 << 20
BROKEN = "the active image is broken; nobody boots it"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyDiskBox]:
    with Network() as network:
        box = FaultyDiskBox(network, tmp_path_factory.mktemp("files"))
        # With the first PC the images move into a file system of their own: they are to be damaged there.
        box.booting(99)
        wait_until(box.data.joinpath("images").is_mount, TIMEOUT, "the images to be mounted")
        yield box
    assert_nothing_left(network.room)


@pytest.fixture
def box(started: FaultyDiskBox) -> Iterator[FaultyDiskBox]:
    """The box. It must keep running, and log no traceback and no error that the test did not provoke."""
    since, pid = started.mark(), started.pid
    forgiven = list(started.forgiven)
    yield started
    assert (started.running, started.pid) == (True, pid)
    assert started.complaints(since) == []
    assert b"Traceback" not in started.log.read_bytes()[since:]
    started.forgiven = forgiven


def replaced(file: Path, new: bytes) -> None:
    """Another file takes its name, as when a release is published."""
    other = file.with_name("new")
    other.write_bytes(new)
    other.replace(file)


def rewritten(file: Path, new: bytes) -> None:
    """Other bytes in the same file, with the same size."""
    with file.open("r+b") as opened:
        opened.write(new[:SIZE].ljust(SIZE, b"."))


def truncated(file: Path, _new: bytes) -> None:
    os.truncate(file, 1000)


def truncated_and_written(file: Path, new: bytes) -> None:
    """As `cp` does it."""
    file.write_bytes(new)


@pytest.mark.parametrize("client", [PausedTftp, PausedHttp], ids=["TFTP", "HTTP"])
@pytest.mark.parametrize("change", [replaced, rewritten, truncated, truncated_and_written])
def test_a_file_that_changes_during_a_transfer(
    box: FaultyDiskBox, client: Client, change: Callable[[Path, bytes], None]
) -> None:
    old, new = os.urandom(SIZE), os.urandom(SIZE + 5000)
    file = box.data / "boot" / f"{change.__name__}.bin"
    file.write_bytes(old)
    with client(box.pc(1), file.name) as early, client(box.pc(2), file.name) as late:
        early.read_to(SIZE // 3)
        late.read_to(1)
        change(file, new)
        for transfer in (early, late):
            try:
                assert transfer.finish() == old
            except Ended:
                assert change is not replaced, "only its name belongs to another file"
    now = file.read_bytes()
    assert now != old
    for pc in (box.pc(1), box.pc(3)):
        with client(pc, file.name) as later:
            assert later.finish() == now
    file.unlink()


def test_a_pc_continues_with_its_release_when_another_becomes_active(box: FaultyDiskBox) -> None:
    first = box.release
    kernel, initrd = (first.path / KERNEL).read_bytes(), (first.path / INITRD).read_bytes()
    pc, since = box.booting(10), box.mark()
    with PausedHttp(pc.pc, f"image/{first.id}/{KERNEL}") as paused:
        paused.read_to(1 << 20)
        second = install_release(box.data / "images")
        box.wait_for("active image", since, release=second.id)
        assert paused.finish() == kernel
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
    """Another file system, with nothing in it, is mounted there."""
    run(["mount", "-t", "tmpfs", "tmpfs", str(release.parent)])


def no_initrd(release: Path) -> None:
    (release / INITRD).unlink()


def linked_initrd(release: Path) -> None:
    """To a private file of the box, which is as long as the initrd."""
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


DAMAGES: list[Callable[[Path], None]] = [
    gone,
    no_images,
    no_initrd,
    linked_initrd,
    pipe_for_initrd,
    pipe_for_manifest,
    forged_manifest,
    forged_link,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_image_that_is_damaged_while_pcs_boot(
    box: FaultyDiskBox, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """A PC that has its script gets a clear 404; no other PC is sent into a boot that cannot finish."""
    images, release, since = box.data / "images", box.release, box.mark()
    shutil.copytree(images, tmp_path / "images", symlinks=True)
    box.forgiven.append(BROKEN)
    pc, paused = box.booting(20), PausedHttp(box.pc(21), f"image/{release.id}/{INITRD}")
    initrd = (release.path / INITRD).read_bytes()
    with paused:
        paused.read_to(1 << 20)
        damage(release.path)
        assert paused.finish() == initrd, "the server has it open"
    try:
        if damage in (gone, no_images, no_initrd, linked_initrd, pipe_for_initrd):
            assert status(pc.pc, f"image/{release.id}/{INITRD}") == 404
        if damage is not linked_initrd:  # its size is right, so only the PC notices
            box.wait_for("active image" if damage is no_images else BROKEN, since)
            assert status(pc.pc, "boot.ipxe") == 503
            assert not offered(box.pc(22), box.pc(23))
    finally:
        if damage is no_images:
            run(["umount", str(images)])
        else:
            shutil.rmtree(release.path, ignore_errors=True)
            shutil.copytree(tmp_path / "images" / release.id, release.path, symlinks=True)
            activate(images, release.id)
    if damage is not linked_initrd:
        box.wait_for("active image", since, release=release.id)
    # Each time another PC: one that boots in vain again and again is sent to its own disk.
    box.pc(500 + DAMAGES.index(damage)).boot(release)


def offered(pc: FarPc, allowed: FarPc) -> bool:
    """Whether the box offers anything to `pc`."""
    with pc.udp(68, "") as udp:
        udp.sendto(message(DISCOVER, bytes(pc.mac), firmware(7), flags=BROADCAST), (pc.box, 67))
        # The box has dealt with the DISCOVER when it answers the next request.
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
