"""The firmware zoo on real sockets, against the real `serve` and a stock dnsmasq, from DISCOVER to what it loads.

The firmware's clock is not real time: once both servers have offered, it jumps to its next deadline. What needs the
whole retry schedule, and what the box learns from it, is in tests/transcripts/test_zoo.py.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image.bootfiles import packaged
from image.release import Release
from services.dhcp.duplicates import WITHIN
from services.dhcp.message import BOOT_SERVER_PORT
from services.ethernet import MacAddress
from tests.fakes.tftp_peer import Reader, error, oack, rrq
from tests.netns.inside import TIMEOUT, Client
from tests.netns.offices import Office
from tests.netns.scripted_pc import BootScript, ScriptedPc
from tests.netns.served import Box, install_release
from tests.room.namespaces import Network
from tests.room.room import write_configuration
from tests.zoo import shim
from tests.zoo.bios import Bios
from tests.zoo.edk2 import Edk2, Edk2Of2014
from tests.zoo.firmware import ClientMessage, Firmware, Load, ServerAnswer
from tests.zoo.http_boot import HttpBoot
from tests.zoo.ipxe import Ipxe, IpxeOf2010
from tests.zoo.raspberry_pi import RaspberryPi

PREFIX = "10.88.0"
PI = "b8:27:eb:88:00"
PI_FILES = {name: name.encode() * 1000 for name in ("bootcode.bin", "config.txt", "start4.elf", "fixup4.dat")}
LOADERS = packaged(Path("/"))
SETTINGS = '[boot]\ndirectory = "{loaders}"\n[boot.loaders]\nraspberry_pi = "pi"\n'
ERROR_8 = b"\0\5\0\x08User aborted the transfer\0"


@dataclass
class Zoo:
    """A network with the site's DHCP server and a box."""

    office: Office
    box: Box
    release: Release


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    directory = tmp_path_factory.mktemp("zoo")
    (directory / "loaders" / "pi").mkdir(parents=True)
    for name, content in PI_FILES.items():
        (directory / "loaders" / "pi" / name).write_bytes(content)
    with Network() as network:
        office = Office(network, PREFIX)
        office.start_site(directory)
        configuration = write_configuration(directory, SETTINGS.format(loaders=directory / "loaders"))
        configuration.write_text(configuration.read_text().replace("10.77.0.0/24", f"{PREFIX}.0/24"))
        box = Box(network.add("box"), configuration, directory / "data", directory / "serve.log")
        office.connect(box.host, "lan0")
        # No NFS server runs here: these tests are not about exports.
        box.forgiven = ["the exports are not in force; trying again"]
        release = install_release(box.data / "images")
        for entry in ("52:54:00:78:00:*", f"{PI}:*"):
            box.verb("allow", "add", entry)
        box.start()
        yield Zoo(office, box, release)
        assert box.complaints(0) == []


class Wire:
    """A PC's firmware and its sockets."""

    def __init__(self, pc: ScriptedPc, firmware: Firmware) -> None:
        self.pc = pc
        self.firmware = firmware

    async def boot(self) -> Load:
        """Run firmware until it knows what to load."""
        firmware, now = self.firmware, 0.0
        self.pc.use("")
        with self.pc.nic() as nic:
            offered = {self.pc.site, self.pc.box}
            heard = await self._say(nic, firmware.power_on(now))
            while firmware.outcome is None:
                for each in heard:
                    if each.answer.kind == "OFFER":
                        offered.discard(each.server)
                    following = firmware.hear(each, now)
                    if firmware.address and self.pc.address != firmware.address:
                        self.pc.use(firmware.address)
                    heard = await self._say(nic, following) if following else []
                    if following or firmware.outcome is not None:
                        break
                else:
                    if offered:
                        heard = [await self._hear(nic)]
                    else:
                        now = firmware.deadline
                        heard = await self._say(nic, firmware.expire(now))
        assert isinstance(firmware.outcome, Load), firmware.outcome
        return firmware.outcome

    async def _say(self, nic: Client, said: list[ClientMessage]) -> list[ServerAnswer]:
        """Send, and return the first answer to each datagram."""
        heard = []
        for each in said:
            if (each.port, each.source_port) == (BOOT_SERVER_PORT, BOOT_SERVER_PORT):
                with self.pc.nic(BOOT_SERVER_PORT) as other:
                    other.say(each.payload, each.host, each.port)
                    heard.append(await self._hear(other))
            else:
                nic.say(each.payload, each.host, each.port)
                heard.append(await self._hear(nic))
        return heard

    async def _hear(self, nic: Client) -> ServerAnswer:
        return ServerAnswer(*await nic.hear())

    async def read(self, load: Load) -> bytes:
        """Load what it was told to."""
        assert load.server == self.pc.box
        if "://" in load.name:
            return self.pc.get(load.name)
        if load.sized:
            with self.pc.tftp() as probe:
                assert int(oack(await probe.ask(rrq(load.name, tsize=0, blksize=1468)))["tsize"])
                probe.send(ERROR_8)
        options = {name: value for name, value in load.options.items() if name not in ("blksize", "windowsize")}
        return await self.pc.load(load.name, load.options["blksize"], load.options.get("windowsize", 1), **options)


KINDS: dict[str, Callable[[MacAddress], Firmware]] = {
    "EDK2": Edk2,
    "EDK2 of 2014": Edk2Of2014,
    "BIOS": Bios,
    "BIOS that asks": lambda mac: Bios(mac, asks=True),
    "HTTP boot": HttpBoot,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_firmware_loads_an_ipxe_and_that_its_script(zoo: Zoo, kind: str) -> None:
    with zoo.office.plug() as pc:
        firmware = KINDS[kind](pc.mac)
        architecture, loader = (0, "undionly.kpxe") if isinstance(firmware, Bios) else (7, "snponly.efi")
        wire = Wire(pc, firmware)
        assert await wire.read(await wire.boot()) == LOADERS[loader].read_bytes()
        # No firmware starts it before the box has noticed, over HTTP, that the last byte was acknowledged.
        zoo.box.await_stage(pc.mac, "loader")
        await follow(zoo, pc, Ipxe(pc.mac, architecture=architecture))
        stages = zoo.box.await_stage(pc.mac, "initrd")["stages"]
        assert [each["stage"] for each in stages] == ["discovered", "offered", "loader", "script", "kernel", "initrd"]


async def test_firmware_that_loads_ipxe_but_does_not_start_it_is_offered_shim(zoo: Zoo) -> None:
    """Secure Boot: it has the whole file, and starts over."""
    with zoo.office.plug() as pc:
        wire = Wire(pc, Edk2(pc.mac))
        load = await wire.boot()
        assert load.name == f"{pc.mac.bare}/snponly.efi"
        await wire.read(load)
        zoo.box.await_stage(pc.mac, "loader")
        await asyncio.sleep(WITHIN)  # no firmware is back sooner; a faster request counts as a copy
        load = await wire.boot()
        assert load.name == f"{pc.mac.bare}/shimx64.efi"
        assert await wire.read(load) == LOADERS["shimx64.efi"].read_bytes()


@pytest.mark.parametrize("kind", [Ipxe, IpxeOf2010])
async def test_an_ipxe_in_rom_needs_no_loader(zoo: Zoo, kind: type[Ipxe]) -> None:
    with zoo.office.plug() as pc:
        await follow(zoo, pc, kind(pc.mac))
        zoo.box.await_stage(pc.mac, "initrd")


async def follow(zoo: Zoo, pc: ScriptedPc, ipxe: Ipxe) -> None:
    """iPXE from its DHCP to the last byte of the initrd."""
    wire = Wire(pc, ipxe)
    load = await wire.boot()
    kernel, initrd = pc.load_image(BootScript.parse((await wire.read(load)).decode(), load.name))
    assert kernel == (zoo.release.path / "vmlinuz").read_bytes()
    assert initrd == (zoo.release.path / "initrd.img").read_bytes()


@pytest.mark.parametrize("serial", ["", "9ffefdef"], ids=["Pi 3", "Pi 4"])
async def test_a_raspberry_pi_reads_its_start_files(zoo: Zoo, serial: str) -> None:
    with zoo.office.plug(MacAddress.parse(f"{PI}:{'04' if serial else '03'}")) as pc:
        pi = RaspberryPi(pc.mac, serial=serial)
        load = await Wire(pc, pi).boot()
        found = {}
        for name in pi.names():
            with pc.tftp() as peer:
                answer = await peer.ask(rrq(name, "octet", **load.options))
                if answer[:2] == b"\0\5":
                    assert error(answer)[0] == 1
                    continue
                peer.send(ERROR_8)
            found[name] = await pc.load(name, 1024)
        wanted = ("config.txt", "start4.elf", "fixup4.dat") if serial else ("bootcode.bin",)
        assert found == {name: PI_FILES[name] for name in wanted}


@pytest.mark.parametrize(
    ("slash", "lost"),
    [("/", False), ("\\", False), ("/", True)],
    ids=["beside itself", "by backslashes", "in the root"],
)
async def test_shim_gets_its_grub_and_is_told_at_once_what_is_missing(zoo: Zoo, slash: str, lost: bool) -> None:
    with zoo.office.plug() as pc:
        await Wire(pc, Edk2(pc.mac)).boot()
        loaded = f"{pc.mac.bare}{slash}shimx64.efi"
        assert await pc.load(loaded, 1468, 4) == LOADERS["shimx64.efi"].read_bytes()
        *probes, grub = shim.reads(loaded, lost=lost)
        with pc.tftp() as peer:
            for name in probes:
                async with asyncio.timeout(TIMEOUT):
                    code, words = error(await peer.ask(rrq(name, "octet", **shim.OPTIONS)))
                assert (code, words) == (1, "file not found")
            expected = LOADERS["grubx64.efi"].read_bytes()
            request = rrq(grub, "octet", **shim.OPTIONS)
            if lost:  # the size is enough: thousands of blocks would take seconds
                assert int(oack(await peer.ask(request))["tsize"]) == len(expected)
                peer.send(ERROR_8)
            else:
                assert await peer.fetch(request, Reader(512)) == expected
