"""A full disk, a locked, damaged or deleted registry, a log that nobody reads: PCs notice nothing, and boot."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.registry.schema import snapshot
from image.release import INITRD, KERNEL
from tests.netns.attacked_box import TIMEOUT
from tests.netns.storage_faults import BootingPc, FaultyDiskBox, Watcher, full, locked, overwrite, small_disk
from tests.room.namespaces import Network, assert_nothing_left
from tests.room.processes import wait_until

WRITTEN = ["discovered", "offered", "script", "kernel", "initrd", "root mounted"]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyDiskBox]:
    directory = tmp_path_factory.mktemp("disk")
    with small_disk(directory):
        with Network() as network:
            yield FaultyDiskBox(network, directory)
        assert_nothing_left(network.room)


@pytest.fixture
def box(started: FaultyDiskBox) -> Iterator[FaultyDiskBox]:
    """The running box; it must log no error that the test did not provoke, and no traceback."""
    if not started.running:
        started.start()
    since = started.mark()
    yield started
    assert started.complaints(since) == []
    assert b"Traceback" not in started.log.read_bytes()[since:]


@pytest.fixture
def image(box: FaultyDiskBox) -> tuple[bytes, bytes]:
    """The kernel and the initrd."""
    return (box.release.path / KERNEL).read_bytes(), (box.release.path / INITRD).read_bytes()


def await_written(box: FaultyDiskBox, *pcs: BootingPc) -> None:
    """Wait until the registry has the whole boots of these PCs."""
    for pc in pcs:
        box.await_stage(pc.mac, WRITTEN[-1])
        # The PC may report before the server has noticed that TCP delivered everything.
        box.await_stage(pc.mac, "initrd")
        assert sorted(box.stages(pc.mac)) == sorted(WRITTEN)


def put_back(box: FaultyDiskBox, copy: Path) -> None:
    """Give the box, which is stopped, its former registry."""
    for file in box.registry.parent.glob("registry.sqlite3*"):
        file.unlink()
    shutil.copyfile(copy, box.registry)


def test_a_full_disk_for_registry_and_log(box: FaultyDiskBox, image: tuple[bytes, bytes]) -> None:
    early, told, since = box.booting(1), len(box.notified), box.mark()
    with full(box.directory):
        new = box.booting(2)
        box.await_word("database or disk is full", told)
        later = box.booting(3)
        for pc in (early, new, later):
            pc.rest(*image)
        box.pc(4).boot(box.release)
        assert "\ndisk      the disk is full: " in box.verb("status").stdout
        refused = box.verb("allow", "add", "52:54:00:88:00:01", check=False)
        assert refused.returncode == 1
        assert f"error: cannot use the registry {box.registry}: " in refused.stderr
        assert "check whether the disk is full" in refused.stderr
        assert "Traceback" not in refused.stderr
    box.wait_for("the registry can be written again", since)
    await_written(box, early, new, later)
    (lost,) = [line for line in box.lines(since) if line["event"].startswith("lines of this log were lost: ")]
    assert lost["event"].endswith("(No space left on device)")
    box.forgiven.append("not JSON")  # the line at which the disk was full
    assert box.process
    box.process.kill()
    box.start()
    assert {pc.report("attached") for pc in (early, new, later)} == {204}, "their tokens are in the registry now"


def test_a_registry_that_another_process_has_locked(box: FaultyDiskBox, image: tuple[bytes, bytes]) -> None:
    early, told, since = box.booting(5), len(box.notified), box.mark()
    with locked(box.registry), ThreadPoolExecutor() as pool, Watcher(box.pc(6)) as watcher:
        verb = pool.submit(box.verb, "allow", "add", "52:54:00:88:00:01", check=False)
        new = box.booting(7)
        for pc in (early, new):
            pc.rest(*image)
        box.pc(8).boot(box.release)
        box.await_word(f"the registry {box.registry} is locked", told)
        refused = verb.result()
    assert refused.returncode == 1
    assert f"error: the registry {box.registry} is locked: another program" in refused.stderr
    assert "hint: try again; see which program: fuser -v " in refused.stderr
    assert watcher.answers > 10
    assert watcher.longest < 8, "SQLite itself would have waited 10 s for each commit"
    box.wait_for("the registry can be written again", since)
    await_written(box, early, new)
    assert box.verb("allow", "add", "52:54:00:88:00:01").returncode == 0


def test_a_verb_waits_for_the_lock(box: FaultyDiskBox) -> None:
    with ThreadPoolExecutor() as pool:
        with locked(box.registry):
            verb = pool.submit(box.verb, "allow", "add", "52:54:00:88:00:02", check=False)
            box.booting(9)
        assert verb.result().stdout == "allowed 52:54:00:88:00:02\n"


@pytest.mark.parametrize("log", ["the disk is full", "the reader stands still"])
def test_a_log_that_nobody_reads(box: FaultyDiskBox, image: tuple[bytes, bytes], log: str) -> None:
    path = "/dev/full" if log == "the disk is full" else str(box.directory / "pipe")
    assert box.end().startswith("netboot-appliance serve ended with exit code 0;")
    told, number = len(box.notified), 10 if path == "/dev/full" else 20
    if path != "/dev/full":
        os.mkfifo(path)
        reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        while True:  # nobody reads, and it is full
            try:
                os.write(reader, bytes(4096))
            except BlockingIOError:
                break
    box.launch(path)
    box.await_word("READY=1", told)
    new = box.booting(number)
    new.rest(*image)
    box.pc(number + 1).boot(box.release)
    await_written(box, new)
    if path != "/dev/full":
        heard = bytearray(os.read(reader, 65536))

        def goes_on() -> bool:
            box.pc(number + 2).boot(box.release)
            with suppress(BlockingIOError):
                heard.extend(os.read(reader, 65536))
            return bool(heard.strip(b"\0"))

        wait_until(goes_on, TIMEOUT, "the log to go on")
        os.close(reader)
    assert box.end().startswith("netboot-appliance serve ended with exit code 0;")


def test_a_registry_that_is_deleted(box: FaultyDiskBox, image: tuple[bytes, bytes], tmp_path: Path) -> None:
    told, since = len(box.notified), box.mark()
    snapshot(box.registry, tmp_path / "copy")
    early = box.booting(30)
    for file in box.registry.parent.glob("registry.sqlite3*"):
        file.unlink()
    box.await_word(f"the registry {box.registry} was deleted or replaced", told)
    new = box.booting(31)
    for pc in (early, new):
        pc.rest(*image)
    (line,) = box.said("cannot write the registry; PCs still boot; trying again", since)
    assert line["do"].startswith("restore a backup")
    assert box.end().startswith("netboot-appliance serve ended with exit code 0;")
    put_back(box, tmp_path / "copy")
    box.start()
    box.booting(32).rest(*image)


def test_a_registry_that_is_damaged(box: FaultyDiskBox, image: tuple[bytes, bytes], tmp_path: Path) -> None:
    snapshot(box.registry, tmp_path / "copy")
    early = box.booting(40)
    overwrite([box.registry, box.registry.with_name(f"{box.registry.name}-wal")], b"nonsense" * 1000)
    new = box.booting(41)
    for pc in (early, new):
        pc.rest(*image)
    refused = box.verb("allow", "add", "52:54:00:88:00:03", check=False)
    assert refused.returncode != 0
    assert f"error: the registry {box.registry} is damaged: " in refused.stderr
    assert "hint: restore a backup: netboot-appliance restore FILE" in refused.stderr
    box.end()
    put_back(box, tmp_path / "copy")
    box.start()
    box.booting(42).rest(*image)
