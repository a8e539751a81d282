"""The real kernel's neighbour table and interfaces, read from inside a running event loop."""

import asyncio
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface

import pytest

from services.ethernet import MacAddress
from services.linux.neighbours import Interface, Neighbours, interface_address, interfaces
from tests.netns.inside import TIMEOUT, inside
from tests.room.namespaces import Namespace, Network
from tests.room.processes import wait_until

BOX_MAC = MacAddress.parse("52:54:00:00:00:01")
PC_MAC = MacAddress.parse("52:54:00:aa:bb:01")
SAY_SOMETHING = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('10.77.0.1', 9))"
PC = IPv4Address("10.77.0.100")
ABSENT = IPv4Address("10.77.0.200")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def pc(network: Network) -> Namespace:
    return network.host("pc", f"{PC}/24", PC_MAC)


@pytest.fixture(scope="module")
def host(network: Network) -> Namespace:
    host = network.host("box", "10.77.0.1/24", BOX_MAC)
    host.ip("address", "add", "10.77.0.9/24", "dev", "lan0")
    host.ip("address", "add", "10.79.0.1/24", "dev", "lan0")
    host.ip("link", "add", "bare0", "type", "veth", "peer", "name", "bare1")
    host.ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    host.ip("address", "add", "10.80.0.1/24", "dev", "tun0")
    return host


@pytest.fixture
def box(host: Namespace) -> Iterator[Namespace]:
    """The box with an empty neighbour table, and this test inside its namespace."""
    host.ip("neigh", "flush", "all")
    with inside(host):
        yield host


def neighbours() -> Neighbours:
    return Neighbours([interface_address("lan0")])


async def test_a_neighbour_that_never_asked_is_found_after_a_nudge(box: Namespace, pc: Namespace) -> None:
    known = neighbours()
    assert known.mac_of(PC) is None
    known.nudge(PC)
    wait_until(lambda: known.mac_of(PC) is not None, TIMEOUT, "the kernel to resolve the PC")
    assert known.mac_of(PC) == PC_MAC


async def test_an_unused_address_stays_unknown(box: Namespace) -> None:
    known = neighbours()
    known.nudge(ABSENT)
    assert known.mac_of(ABSENT) is None
    wait_until(lambda: "FAILED" in box.ip("neigh", "show", str(ABSENT)), TIMEOUT, "the kernel to give up")
    assert known.mac_of(ABSENT) is None


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("reachable", True),
        ("stale", True),
        ("delay", True),
        ("probe", True),
        ("permanent", True),
        ("noarp", False),
        ("failed", False),
        ("incomplete", False),
    ],
)
async def test_only_entries_the_kernel_would_use_count(box: Namespace, state: str, counts: bool) -> None:
    entry = ["neigh", "replace", "10.77.0.50", "lladdr", "02:00:5e:00:00:05", "dev", "lan0", "nud"]
    box.ip(*entry, "permanent")
    box.ip(*entry, state)
    try:
        found = neighbours().mac_of(IPv4Address("10.77.0.50"))
    finally:
        box.ip("neigh", "delete", "10.77.0.50", "dev", "lan0")
    assert found == (MacAddress.parse("02:00:5e:00:00:05") if counts else None)


async def test_a_changed_neighbour_is_seen_at_once(box: Namespace) -> None:
    known = neighbours()
    for mac in ("02:00:5e:00:00:05", "02:00:5e:00:00:06"):
        box.ip("neigh", "replace", "10.77.0.51", "lladdr", mac, "dev", "lan0", "nud", "stale")
        assert known.mac_of(IPv4Address("10.77.0.51")) == MacAddress.parse(mac)


async def test_an_interface_that_is_gone_knows_nobody(box: Namespace) -> None:
    gone = Neighbours([Interface("gone0", 9999, IPv4Interface("10.77.0.1/24"), BOX_MAC)])
    assert gone.mac_of(PC) is None


async def test_an_address_that_is_gone_cannot_be_nudged_from_and_harms_nobody(box: Namespace) -> None:
    Neighbours([Interface("lan0", 2, IPv4Interface("10.77.0.7/24"), BOX_MAC)]).nudge(PC)


async def test_an_interface_is_described_by_its_first_address(box: Namespace) -> None:
    found = interface_address("lan0")
    assert (found.name, found.address, found.mac) == ("lan0", IPv4Interface("10.77.0.1/24"), BOX_MAC)
    assert box.ip("-o", "link", "show", "lan0").startswith(f"{found.index}: ")


async def test_only_ethernet_with_an_address_is_usable(box: Namespace) -> None:
    assert [interface.name for interface in interfaces()] == ["lan0"]


@pytest.mark.parametrize("name", ["bare0", "tun0", "lo"])
async def test_an_unusable_interface_is_told_from_a_missing_one(box: Namespace, name: str) -> None:
    with pytest.raises(LookupError) as raised:
        interface_address(name)
    assert str(raised.value) == (
        f"the interface {name} is no Ethernet interface with an IPv4 address; usable: lan0 (10.77.0.1/24)"
    )


async def test_a_new_mac_at_an_address_is_told_at_once(box: Namespace, pc: Namespace) -> None:
    known = neighbours()
    met: list[tuple[IPv4Address, MacAddress]] = []
    told = asyncio.Event()

    def changed(address: IPv4Address, mac: MacAddress) -> None:
        met.append((address, mac))
        told.set()

    end = known.watch(changed)
    try:
        for mac in (PC_MAC, MacAddress.parse("52:54:00:aa:bb:99")):
            pc.ip("link", "set", "lan0", "address", str(mac))
            told.clear()
            pc.run([sys.executable, "-c", SAY_SOMETHING])
            async with asyncio.timeout(TIMEOUT):
                while (PC, mac) not in met:
                    await told.wait()
                    told.clear()
    finally:
        end()
        pc.ip("link", "set", "lan0", "address", str(PC_MAC))
