"""Who may mount what, as `exports show` prints it and NFS-Ganesha gets it, while PCs come and go."""

import json
import os
import stat
import threading
import time

from tests.fakes.dhcp_client import DISCOVER, INFORM, REQUEST, firmware, message
from tests.netns.conftest import Plug
from tests.netns.served import Box
from tests.netns.walled_box import MOUNTD, NFS, PORTMAPPER, Wire, knock
from tests.room.room import Room


async def test_a_pc_may_mount_the_live_root_and_its_own_state(box: Box, room: Room, plug: Plug) -> None:
    pc, other, stranger = plug(), plug(), plug(stranger=True)
    await stranger.power_on(firmware(0), alone=True)
    await pc.run_ipxe()
    await other.run_ipxe()
    box.await_exports({pc.mac: {pc.address}, other.mac: {other.address}})
    exported = box.exported()
    access, everyone = exported.pop(str(room.data / "images"))
    assert access == "RO"
    assert exported[str(room.state(pc.mac))] == ("RW", {pc.address})
    assert exported[str(room.state(other.mac))] == ("RW", {other.address})
    assert {access for access, _ in exported.values()} == {"RW"}
    everyone.remove("127.0.0.1")  # for the doctor
    assert everyone == set().union(*(addresses for _, addresses in exported.values())), "and nobody else"
    # Its address may be one that an earlier PC of the room had. The wall looks at MAC addresses too.
    assert str(room.state(stranger.mac)) not in exported
    for mac in (pc.mac, other.mac):
        state = room.state(mac).stat()
        assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (731, 731, 0o700)
    assert stranger.mac.bare not in os.listdir(room.data / "state")
    assert box.verb("exports", "show").stdout == (room.directory / "ganesha" / "netboot-appliance.conf").read_text()
    shown = json.loads(box.verb("exports", "show", "--json").stdout)["exports"]
    writable = {each["path"]: set(each["addresses"]) for each in shown if each["writable"]}
    assert writable[str(room.state(pc.mac))] == {pc.address}
    assert "is up to date" in box.verb("exports", "apply").stdout


async def test_an_address_gets_its_exports_as_soon_as_its_lease_is_used(box: Box, room: Room, plug: Plug) -> None:
    """The live system's DHCP may give it a different address from iPXE's; it mounts next."""
    pc = plug()
    await pc.run_ipxe()
    before = pc.address
    pc.use("10.77.0.91")
    with pc.nic() as nic:
        nic.say(message(REQUEST, nic.mac, ciaddr=pc.address), "10.77.0.255", 67)
        nic.say(message(REQUEST, nic.mac, ciaddr=pc.address))
    box.await_exports({pc.mac: {before, "10.77.0.91"}})


async def test_a_forged_claim_never_opens_an_export(box: Box, room: Room, plug: Plug) -> None:
    pc, stranger = plug(), plug(stranger=True)
    await pc.run_ipxe()
    await stranger.power_on([], alone=True)
    box.await_exports({pc.mac: {pc.address}})
    forged = bytes(pc.mac)
    with stranger.nic() as nic:
        nic.say(message(REQUEST, forged, [(50, bytes(map(int, stranger.address.split("."))))]))
        nic.say(message(REQUEST, forged, ciaddr=stranger.address))
        nic.say(message(INFORM, forged, ciaddr=stranger.address))
        nic.say(message(REQUEST, forged, firmware(0), ciaddr=stranger.address), stranger.box, 4011)
    # A later honest claim succeeds: by then the forged ones were checked, in the same rounds.
    own = pc.address
    pc.host.ip("address", "add", "10.77.0.92/24", "dev", "lan0")
    with pc.nic() as nic:
        nic.say(message(INFORM, nic.mac, ciaddr="10.77.0.92"))
    box.await_exports({pc.mac: {own, "10.77.0.92"}})
    assert stranger.address not in str(box.exported())
    assert stranger.address not in box.boot(pc.mac)["addresses"]


async def test_a_pc_that_boots_again_keeps_its_directory_and_its_work(box: Box, room: Room, plug: Plug) -> None:
    pc = plug()
    await pc.run_ipxe()
    box.await_exports({pc.mac: {pc.address}})
    work = room.state(pc.mac) / "client_state.xml"
    work.write_text("hours of work")
    script = await pc.run_ipxe()
    assert script.argument("netboot_appliance.state") == str(room.state(pc.mac))
    box.await_exports({pc.mac: {pc.address}})
    assert work.read_text() == "hours of work"


async def test_while_strangers_flood_the_box_the_address_of_a_pc_opens_nothing(
    box: Box, room: Room, plug: Plug
) -> None:
    """From the first packet, however long the box takes to notice."""
    pc, thief, flooder = plug(), plug(stranger=True), plug(stranger=True)
    await pc.run_ipxe()
    box.await_exports({pc.mac: {pc.address}})
    ended = threading.Event()

    def flood() -> None:
        begun, sent = time.monotonic(), 0
        with flooder.nic() as nic, Wire(flooder.host) as wire:
            while not ended.is_set():
                for _ in range(50):
                    # None of a test's own PCs: of those the box would believe that their firmware takes no offer.
                    forged = bytes.fromhex("5254007700") + bytes([0x80 | os.urandom(1)[0]])
                    nic.say(message(DISCOVER, forged, firmware(0), xid=sent, secs=sent & 0xFF))
                    sent += 1
                for _ in range(3):
                    wire.say_arp(f"10.77.0.{sent % 100 + 100}", asked=thief.box)
                time.sleep(max(0.0, begun + sent / 5000 - time.monotonic()))

    flooder.use("10.77.0.99")
    flooding = threading.Thread(target=flood)
    with Wire(pc.host) as wire:
        knock(pc.host)
        assert set(wire.nfs()) == {NFS, MOUNTD, PORTMAPPER}
    pc.switch_off()
    flooding.start()
    try:
        with Wire(thief.host) as wire:
            thief.use(pc.address)
            for _ in range(15):
                knock(thief.host)
            assert wire.nfs() == []
    finally:
        ended.set()
        flooding.join()
