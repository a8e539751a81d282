"""A full disk and a locked registry, where the box is the DHCP server: PCs get and keep their addresses."""

import signal
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import count

import pytest

from appliance.dhcp import leases
from appliance.registry.database import Registry
from services.dhcp.lease import Lease
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import REQUEST, Answer, message
from tests.netns.dhcp_box import lease
from tests.netns.scripted_pc import BROADCAST, ScriptedPc
from tests.netns.storage_faults import FaultyDiskBox, full, locked, small_disk
from tests.room.namespaces import Network, assert_nothing_left
from tests.room.room import BOX

# `force`: otherwise it would look for other servers at each start.
SETTINGS = """\
[dhcp]
mode = "server"
pool = ["10.77.0.100-10.77.0.140"]
force = true
"""
ASKS = [(55, bytes([1, 3, 6]))]
ADDRESS = 50
FULL, LOCKED = "database or disk is full", "is locked: another program keeps writing to it"

_numbers = count(1)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyDiskBox]:
    directory = tmp_path_factory.mktemp("disk")
    with small_disk(directory):
        with Network() as network:
            box = FaultyDiskBox(network, directory)
            assert box.end().startswith("netboot-appliance serve ended with exit code 0;")
            box.configuration.write_text(box.configuration.read_text() + SETTINGS)
            box.start()
            yield box
            assert box.complaints(0) == []
            assert b"Traceback" not in box.log.read_bytes()
        assert_nothing_left(network.room)


def pc(box: FaultyDiskBox) -> ScriptedPc:
    """A PC on the box's own network, which knows no other DHCP server."""
    number = next(_numbers)
    mac = MacAddress.parse(f"52:54:00:78:07:{number:02x}")
    return ScriptedPc(box.network, mac, f"pc{number}", BOX, BOX)


async def renew(pc: ScriptedPc) -> Answer:
    """Renew the lease, as a running PC does."""
    with pc.nic() as nic:
        nic.say(message(REQUEST, nic.mac, ASKS, ciaddr=pc.address), pc.box)
        return (await nic.hear())[0]


async def reboot(pc: ScriptedPc) -> Answer:
    """Ask for the last address: a server that does not know the lease is silent (RFC 2131, section 4.3.2)."""
    with pc.nic() as nic:
        wanted = (ADDRESS, IPv4Address(pc.address).packed)
        nic.say(message(REQUEST, nic.mac, [*ASKS, wanted], flags=BROADCAST))
        return (await nic.hear())[0]


def written(box: FaultyDiskBox) -> dict[MacAddress, Lease]:
    """The leases in the registry."""
    with Registry(box.registry) as registry:
        return {each.mac: each for each in leases.load(registry)}


@pytest.mark.parametrize("trouble", [FULL, LOCKED], ids=["full disk", "locked registry"])
async def test_leases_are_given_and_renewed_and_are_known_after_a_restart(box: FaultyDiskBox, trouble: str) -> None:
    with pc(box) as early, pc(box) as new:
        await lease(early, ASKS)
        before, told, since = written(box), len(box.notified), box.mark()
        with full(box.directory) if trouble == FULL else locked(box.registry):
            await lease(new, ASKS)
            box.await_word(trouble, told)
            for each in (early, new):
                answer = await renew(each)
                assert (answer.kind, answer.yiaddr) == ("ACK", each.address)
        if trouble == FULL:
            box.forgiven.append("not JSON")  # the line at which the disk was full
        box.wait_for("the registry can be written again", since)
        after = written(box)
        assert before[early.mac].expires < after[early.mac].expires
        assert str(after[new.mac].address) == new.address
        assert box.process
        box.process.kill()
        box.start()
        for each in (early, new):
            answer = await reboot(each)
            assert (answer.kind, answer.yiaddr) == ("ACK", each.address)


async def test_what_was_acknowledged_from_memory_is_written_when_the_server_is_stopped(box: FaultyDiskBox) -> None:
    with pc(box) as new:
        told = len(box.notified)
        assert box.process
        with locked(box.registry):
            await lease(new, ASKS)
            box.await_word(LOCKED, told)
            box.process.signal(signal.SIGTERM)
            box.await_word("STOPPING=1", told)
        assert box.end().startswith("netboot-appliance serve ended with exit code 0;")
        assert str(written(box)[new.mac].address) == new.address
        box.start()
