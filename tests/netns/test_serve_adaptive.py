"""The adaptive responder in the real `serve`: firmware that drops offers or the loader, and what the box remembers."""

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import Answer, firmware
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import LOADERS, ScriptedPc
from tests.netns.served import TIMEOUT, Box
from tests.room.processes import wait_until

# Firmware that no other test uses: what the box learns here would be tried on its PCs.
PICKY = firmware(7, undi="003098")
SECURE = firmware(7, undi="003099")
LOADER = (LOADERS / "snponly.efi").read_bytes()


async def load(box: Box, pc: ScriptedPc, offer: Answer) -> None:
    """Take the offer and load the file: the box sees the last byte acknowledged."""
    assert await pc.load(offer.file, 1468, windowsize=4) == LOADER
    box.await_stage(pc.mac, "loader")


async def boot(box: Box, pc: ScriptedPc, offer: Answer) -> None:
    """Take the offer, and boot as far as the script."""
    await load(box, pc, offer)
    await pc.run_ipxe(7)


def learned(box: Box, mac: MacAddress) -> list[tuple[str, bool]]:
    """What `status` says about a PC: its profile, and whether it worked."""
    return [(each["profile"], each["worked"]) for each in box.status()["firmware"] if each["mac"] == str(mac)]


def await_learned(box: Box, mac: MacAddress, expected: list[tuple[str, bool]]) -> None:
    """Wait until `status` says so: it is written a moment after it is learned."""
    wait_until(lambda: learned(box, mac) == expected, TIMEOUT, f"{expected} to be learned of {mac}", 0.1)


async def test_firmware_that_takes_only_option_43_gets_it_and_keeps_it(box: Box, plug: Plug) -> None:
    pc = plug()
    # It sends two DISCOVERs, takes no offer, and its user switches it on again.
    assert 43 not in (await pc.power_on(PICKY, tries=[0, 4]))[pc.box].options
    offer = (await pc.power_on(PICKY))[pc.box]
    assert offer.options[43] == bytes.fromhex("060108ff")
    await boot(box, pc, offer)
    await_learned(box, pc.mac, [("with option 43", True)])

    assert 43 in (await pc.power_on(PICKY))[pc.box].options
    assert 43 in (await plug().power_on(PICKY))[pc.box].options, "another PC of the same firmware"
    assert 43 not in (await plug().power_on(firmware(7)))[pc.box].options, "and one of another"

    assert box.process
    box.process.kill()
    box.start()
    assert 43 in (await pc.power_on(PICKY))[pc.box].options
    assert "with option 43 because it ignored" in box.verb("clients", "show", str(pc.mac)).stdout

    since = box.mark()
    assert str(pc.mac) in box.verb("clients", "forget", str(pc.mac)).stdout
    box.wait_for("forgot what its firmware accepts", since, mac=str(pc.mac))
    assert 43 not in (await pc.power_on(PICKY))[pc.box].options
    assert learned(box, pc.mac) == []


async def test_a_series_of_discovers_is_enough(box: Box, plug: Plug) -> None:
    pc = plug()
    since = box.mark()
    offer = (await pc.power_on(firmware(0, undi="002098"), tries=[0, 4, 12]))[pc.box]
    assert 43 not in offer.options, "a BIOS is offered its loader without it, for a change"
    assert box.said("its firmware gets another offer", since, mac=str(pc.mac), profile="without option 43")


async def test_firmware_that_does_not_start_the_loader_is_offered_the_signed_one(box: Box, plug: Plug) -> None:
    pc = plug()
    await load(box, pc, (await pc.power_on(SECURE))[pc.box])
    shim = (await pc.power_on(SECURE))[pc.box]
    assert shim.file == f"{pc.mac.bare}/shimx64.efi"
    assert (await pc.load(shim.file, 512, windowsize=4))[:2] == b"MZ"
    await_learned(box, pc.mac, [("shim", False)])
    assert (await pc.load("grubx64.efi", 512))[:2] == b"MZ"
    assert b"vmlinuz" in await pc.load("/grub/grub.cfg", 1024, tsize=0)
    await_learned(box, pc.mac, [("shim", True)])
