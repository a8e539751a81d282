"""A thousand PCs are switched on together, and the server is restarted in the middle of it."""

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from services.dhcp.lease import State
from tests.fakes.dhcp_crowd import Crowd
from tests.netns.dhcp_box import DhcpBox, dhcp_box
from tests.netns.inside import inside

PCS = 1000
AT_ONCE = 250
SECONDS = 240.0
"""Far more than it takes, since the machine is busy with other tests."""

SETTINGS = """\
[dhcp]
mode = "server"
pool = ["10.78.1.0-10.78.5.255"]
force = true
"""
_ROOM = 1 << 22


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DhcpBox]:
    """The box in a network that has room for them."""
    with dhcp_box(tmp_path_factory.mktemp("box"), SETTINGS, prefix_length=21) as box:
        yield box


@pytest.fixture(scope="module")
def crowd(box: DhcpBox) -> Iterator[Crowd]:
    host, _ = box.pc()
    with inside(host):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        udp.bind(("", 68))
    with udp:
        yield Crowd(udp)


MACS = [bytes.fromhex("525400") + number.to_bytes(3, "big") for number in range(PCS)]


async def test_all_are_served_and_no_address_is_given_twice(
    box: DhcpBox, crowd: Crowd, capfd: pytest.CaptureFixture[str]
) -> None:
    restarted: list[asyncio.Future[None]] = []
    before: dict[bytes, object] = {}

    def progress(done: int) -> None:
        if done == PCS // 2:
            before.update(crowd.leased)
            restarted.append(asyncio.get_running_loop().run_in_executor(None, box.restart))

    begun = time.monotonic()
    async with asyncio.timeout(SECONDS):
        await crowd.lease(MACS, AT_ONCE, progress)
        await asyncio.gather(*restarted)
    report(capfd, f"{PCS} PCs have their leases after {time.monotonic() - begun:.1f} s, with a restart in the middle")
    assert len(set(crowd.leased.values())) == PCS
    written = {bytes(each.mac): each.address for each in box.leases(State.LEASED)}
    assert written == crowd.leased
    assert before.items() <= written.items(), "what was acknowledged before the restart"


async def test_after_a_restart_each_pc_keeps_its_address(
    box: DhcpBox, crowd: Crowd, capfd: pytest.CaptureFixture[str]
) -> None:
    before = dict(crowd.leased)
    assert len(before) == PCS
    box.restart()
    begun = time.monotonic()
    async with asyncio.timeout(SECONDS):
        await crowd.lease(MACS, AT_ONCE)
    seconds = time.monotonic() - begun
    report(capfd, f"{PCS} known PCs have their leases after {seconds:.1f} s: {PCS / seconds:.0f} a second")
    assert crowd.leased == before


def report(capture: pytest.CaptureFixture[str], line: str) -> None:
    """Print it although pytest captures the output."""
    with capture.disabled():
        print(f"\n{line}")
