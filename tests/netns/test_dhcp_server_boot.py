"""The box as DHCP server of PCs that boot: one answer has address and boot file; strangers get only an address."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, REQUEST, firmware, message
from tests.netns.dhcp_box import SETTINGS, DhcpBox, dhcp_box, lease
from tests.netns.scripted_pc import BROADCAST, IPXE, LOADERS, BootScript
from tests.room.pc import Pc

BOX = "10.78.0.1"
LONG = SETTINGS.format(seconds=600)
STRANGER = MacAddress.parse("52:54:00:99:78:01")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DhcpBox]:
    with dhcp_box(tmp_path_factory.mktemp("box"), LONG) as box:
        yield box


@pytest.mark.parametrize(("architecture", "loader", "port"), [(0, "undionly.kpxe", 68), (7, "snponly.efi", 4011)])
async def test_a_pc_boots(box: DhcpBox, architecture: int, loader: str, port: int) -> None:
    with box.office.plug(site=BOX) as pc:
        answer = await lease(pc, firmware(architecture))
        assert (answer.file, answer.siaddr) == (f"{pc.mac.bare}/{loader}", BOX)
        # It would send EDK2 to port 4011; for a BIOS, option 43 says "just boot the file".
        assert (answer.options.get(60), 43 in answer.options) == ((b"PXEClient", True) if port == 68 else (None, False))
        assert (answer.options[3], answer.options[51]) == (bytes([10, 78, 0, 254]), (600).to_bytes(4, "big"))
        assert (await pc.ask_boot_server(firmware(architecture), port)).file == answer.file
        assert await pc.load(answer.file, 1432) == (LOADERS / loader).read_bytes()
        again = await lease(pc, firmware(architecture, *IPXE))
        assert again.yiaddr == answer.yiaddr, "iPXE keeps the address of its firmware"
        script = BootScript.parse(pc.get(again.file).decode(), again.file)
        pc.load_image(script)
        assert pc.secrets(script.token)[0] == 200
        for stage in ("root-mounted", "reported"):
            assert pc.report(script.token, stage) == 204
        assert box.await_stage(pc.mac, "reported")["addresses"] == [pc.address]


async def test_a_stranger_gets_an_address_and_nothing_to_boot(box: DhcpBox) -> None:
    with box.office.plug(STRANGER, site=BOX) as pc:
        answer = await lease(pc, firmware(7))
        assert (answer.file, answer.sname, answer.siaddr) == ("", "", "0.0.0.0")
        assert not {43, 60, 66, 67, 97} & answer.options.keys()
        assert answer.options[3] == bytes([10, 78, 0, 254])
        pc.frames.heard()
        with pc.nic(4011) as nic:
            nic.say(message(REQUEST, nic.mac, firmware(7), xid=9, ciaddr=pc.address), BOX, 4011)
        with pytest.raises(ConnectionError):
            pc.http(pc.path("boot.ipxe"))
        assert pc.heard_from_box() == []


async def test_a_stranger_gets_not_even_an_address_where_that_is_configured(box: DhcpBox) -> None:
    box.restart(LONG + 'unknown = "ignore"\n')
    try:
        with box.office.plug(STRANGER, site=BOX) as pc, box.office.plug(site=BOX) as known:
            with pc.nic() as nic:
                nic.say(message(DISCOVER, nic.mac, firmware(7), flags=BROADCAST))
                nic.say(message(DISCOVER, nic.mac, flags=BROADCAST))
            # Answered after the same address probe, so any answer to the stranger would have come first.
            await lease(known, firmware(7))
            assert pc.heard_from_box() == []
    finally:
        box.restart(LONG)


def test_a_bios_boots_to_its_script(box: DhcpBox, tmp_path: Path) -> None:
    """QEMU with the ROM of its network card: iPXE, with no server but the box to ask."""
    pc = Pc(box.network, MacAddress.parse("52:54:00:78:0a:01"), directory=tmp_path, logs=tmp_path, firmware="bios",
            memory=128)  # fmt: skip
    box.verb("allow", "add", str(pc.mac))
    pc.power_on()
    try:
        pc.wait_for(f"http://{BOX}/boot/{pc.mac.bare}/boot.ipxe", 600)
        box.await_stage(pc.mac, "script")
    finally:
        pc.power_off()
    written = box.lease(pc.mac)
    assert written
    assert str(written.address) in pc.text()
