"""The network and the clock change while PCs boot: what they have begun still finishes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from image.release import KERNEL
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import firmware
from tests.fakes.tftp_peer import Reader, ack, data, rrq
from tests.netns.attacked_box import LOADER, TIMEOUT, AttackedBox, FarPc
from tests.room import programs
from tests.room.namespaces import Network
from tests.room.processes import wait_until
from tests.room.room import BOX

OTHER = "10.77.0.7"
"""The address that replaces the box's own."""

BLKSIZE = 512
MEMORY = 32 << 20

_whole = LOADER.read_bytes()
_numbers = count(101)


class UnderWay:
    """A TFTP and an HTTP transfer of one PC, both half done. Use as a context manager."""

    def __init__(self, box: AttackedBox, pc: FarPc) -> None:
        self.box = (pc.box, 69)
        self.kernel = (box.release.path / KERNEL).read_bytes()
        self.udp = pc.udp()
        self.udp.settimeout(TIMEOUT)
        self.reader = Reader(BLKSIZE)
        self.udp.sendto(rrq(f"{pc.mac.bare}/{LOADER.name}", blksize=BLKSIZE), self.box)
        self.load(len(_whole) // 3)
        self.tcp = pc.connect()
        path = f"/boot/{pc.mac.bare}/image/{box.release.id}/{KERNEL}"
        self.tcp.sendall(f"GET {path} HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n".encode())
        self.received = self.tcp.recv(1 << 16)

    def __enter__(self) -> "UnderWay":
        return self

    def __exit__(self, *_: object) -> None:
        self.udp.close()
        self.tcp.close()

    def load(self, payload: int) -> None:
        """Continue with the loader until so many bytes are there."""
        while len(self.reader.content) < payload and not self.reader.done:
            if answer := self.reader.answer(self.udp.recv(65536)):
                self.udp.sendto(answer, self.box)

    def miss_one(self) -> None:
        """Make the box send a packet of the loader twice, as if the first was lost."""
        again, _ = data(self.udp.recv(65536))
        while data(self.udp.recv(65536))[0] != again:
            pass

    def finish(self) -> None:
        """Finish both, and compare every byte."""
        self.load(len(_whole) + 1)
        assert self.reader.content == _whole
        while chunk := self.tcp.recv(1 << 16):
            self.received += chunk
        head, _, body = self.received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == self.kernel


def near(box: AttackedBox, server: str = str(BOX)) -> FarPc:
    """A PC on the box's own network, switched on."""
    number = next(_numbers)
    mac, address = MacAddress(0x525400791000 + number), f"10.77.0.{number}"
    pc = FarPc(box.network.host(f"pc{number}", f"{address}/24", mac), mac, address, server)
    assert pc.discover(firmware(7)).siaddr == server
    return pc


def test_the_interface_goes_down_and_up_again(attacked: AttackedBox) -> None:
    """The PC sees a pause, then gets the rest of its files."""
    pc = near(attacked)
    with attacked.unharmed(MEMORY), UnderWay(attacked, pc) as transfers:
        attacked.host.ip("link", "set", "lan0", "down")
        transfers.udp.sendto(ack(transfers.reader.received), transfers.box)
        transfers.udp.settimeout(1)
        with pytest.raises(TimeoutError):
            transfers.load(len(_whole))
        attacked.host.ip("link", "set", "lan0", "up")
        transfers.udp.settimeout(TIMEOUT)
        transfers.finish()
    attacked.route()
    pc.boot(attacked.release)


def silent(pc: FarPc) -> None:
    """The PC asks, and nobody answers."""
    with pc.udp() as udp:
        udp.settimeout(1)
        udp.sendto(rrq(f"{pc.mac.bare}/{LOADER.name}"), (pc.box, 69))
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            udp.recv(1000)


def goes(box: AttackedBox, why: str) -> None:
    """The server says what is missing, and exits for systemd to restart it."""
    process = box.process
    assert process
    wait_until(lambda: not process.running, TIMEOUT, "the server to end")
    assert f"error: the interface lan0 {why}: the server must be restarted" in box.log.read_text()


def test_the_address_changes(attacked: AttackedBox) -> None:
    """Nobody answers at the old address; after the restart PCs are sent to the new one.

    The same with a re-created interface is in test_serve_interfaces.py."""
    pc = near(attacked)
    attacked.host.ip("address", "delete", f"{BOX}/24", "dev", "lan0")
    attacked.host.ip("address", "add", f"{OTHER}/24", "dev", "lan0")
    silent(pc)
    goes(attacked, f"has lost its address {BOX}/24")
    attacked.start()
    near(attacked, OTHER).boot(attacked.release)


class Clock:
    """The time of day of one server, which tests can make jump; its monotonic clock is not changed."""

    def __init__(self, directory: Path) -> None:
        (library,) = programs.FAKETIME.directory().glob("usr/lib/*/faketime/libfaketimeMT.so.1")
        self._file = directory / "clock"
        self.jump("+0")
        self.environment = [f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={self._file}", "FAKETIME_NO_CACHE=1"]
        self.environment += ["FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"]

    def jump(self, offset: str) -> None:
        """From now on the clock differs by `offset` from the machine's."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def timed(clock: Clock, tmp_path: Path) -> Iterator[AttackedBox]:
    """A box that uses that clock."""
    with Network() as network:
        yield AttackedBox(network, tmp_path, clock.environment)


def is_off(box: AttackedBox, since: int, days: int) -> bool:
    """Whether the last line of the log is dated `days` days from now."""
    lines = box.lines(since)
    if not lines:
        return False
    then = datetime.fromisoformat(lines[-1]["timestamp"])
    return round((then - datetime.now(then.tzinfo)) / timedelta(days=1)) == days


def test_the_clock_jumps(timed: AttackedBox, clock: Clock) -> None:
    """A day forwards, then two back: nothing times out early, and nothing waits forever."""
    booted, booting = timed.pc(1), timed.pc(2)
    booted.boot(timed.release)
    for offset, days in (("+1d", 1), ("-1d", -1), ("+0", 0)):
        since = timed.mark()
        booting.discover(firmware(7))
        with timed.unharmed(MEMORY), UnderWay(timed, booting) as transfers:
            clock.jump(offset)
            transfers.miss_one()
            transfers.finish()
            booted.boot(timed.release)
            wait_until(partial(is_off, timed, since, days), TIMEOUT, f"the log to be {days} days off", 0.02)
        timed.await_stage(booted.mac, "initrd")
        timed.await_stage(booting.mac, "offered")
