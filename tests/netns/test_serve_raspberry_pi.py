"""A Raspberry Pi and the real `serve`: an offer with its menu entry a second later, and an administrator's files."""

import asyncio

from appliance.config.file import load
from tests.fakes.dhcp_client import firmware
from tests.fakes.tftp_peer import error, rrq
from tests.netns.conftest import RASPBERRY_PI, Plug
from tests.netns.served import Box

MENU = bytes.fromhex("060103 0a0400505845 0914000011") + b"Raspberry Pi Boot\xff"


async def test_a_raspberry_pi_gets_an_administrators_files(box: Box, plug: Plug) -> None:
    folder = load(box.configuration).boot.raspberry_pi
    assert folder is not None
    (folder / "0000bb01").mkdir()
    (folder / "0000bb01" / "start4.elf").write_bytes(b"firmware" * 1000)
    pc = plug(mac=RASPBERRY_PI)
    clock = asyncio.get_running_loop().time
    asked = clock()
    offer = (await pc.power_on(firmware(0)))[pc.box]
    assert clock() - asked >= 1
    assert (offer.siaddr, offer.options[43]) == (pc.box, MENU)
    with pc.tftp() as peer:
        assert error(await peer.ask(rrq("0000bb01/config.txt")))[0] == 1
    assert await pc.load("0000bb01/start4.elf", 1024, tsize=0) == b"firmware" * 1000
    boot = box.await_stage(pc.mac, "loader")
    assert [(t["service"], t["path"]) for t in boot["transfers"]] == [("tftp", "0000bb01/start4.elf")]
