"""A DHCP server on the box's own host has port 67: what `serve` and the doctor say, and PCs that boot both ways.

The servers are real, and the output of `config dhcp` is pasted into their configurations unchanged.
"""

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import REQUEST, Answer, firmware, message
from tests.netns.dhcp_servers import ADDRESS, DNSMASQ, ISC, KEA, SiteServer
from tests.netns.inside import inside
from tests.netns.scripted_pc import BROADCAST, IPXE, LOADERS, BootScript, ScriptedPc
from tests.netns.served import Box, install_release
from tests.room.namespaces import Namespace, Network
from tests.room.processes import Process, wait_until
from tests.room.room import host_mac, write_configuration

FIRMWARE = {"bios": (0, "undionly.kpxe"), "uefi": (7, "snponly.efi")}
WAYS = ("pxe", "options")

_numbers = count(1)


@dataclass
class Site:
    """One segment with one host on it."""

    network: Network
    host: Namespace
    box: Box
    directory: Path
    server: Process | None = None

    def configure(self, mode: str) -> None:
        """Write the box's configuration."""
        text = write_configuration(self.directory).read_text().replace("10.77.0.", "10.78.0.")
        self.box.configuration.write_text(text + f'\n[dhcp]\nmode = "{mode}"\n')

    def lead(self, server: SiteServer, way: str) -> None:
        """Run this server on the host, with our snippet in its file, and the box beside it."""
        self.stop()
        self.configure("off")
        # Each server begins without leases: it leases addresses that the PCs of the one before have not given up yet.
        shutil.rmtree(self.box.data / "registry", ignore_errors=True)
        self.box.verb("allow", "add", "52:54:00:78:00:*")
        snippet = self.box.verb("config", "dhcp", server.name, "--way", way).stdout
        self.server = server.start(self.host, self.directory / f"{server.name}-{way}", snippet)
        self.box.start()

    def stop(self) -> None:
        """Stop box and server."""
        for process in (self.box.process, self.server):
            if process is not None:
                process.stop()
        self.server = None

    def pc(self, mac: MacAddress | None = None) -> ScriptedPc:
        """A PC that may boot."""
        number = next(_numbers)
        own = mac or MacAddress.parse(f"52:54:00:78:00:{number:02x}")
        return ScriptedPc(self.network, own, f"here{number}", ADDRESS, ADDRESS)

    def doctor(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What `doctor` finds about ports, and about DHCP on the segment."""
        found = json.loads(self.box.verb("doctor", "--json", check=False).stdout)["findings"]
        return [f for f in found if f["check"] == "ports"], [f for f in found if f["check"].startswith("dhcp")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("here")
    with Network() as network:
        host = network.host("here", f"{ADDRESS}/24", host_mac(ADDRESS))
        box = Box(host, directory / "config.toml", directory / "data", directory / "serve.log")
        site = Site(network, host, box, directory)
        site.configure("proxy")
        install_release(box.data / "images")
        box.verb("allow", "add", "52:54:00:78:00:*")
        yield site
        site.stop()


@pytest.fixture(scope="module", params=[(server, way) for server in (DNSMASQ, ISC, KEA) for way in WAYS],
                ids=lambda pair: f"{pair[0].name}-{pair[1]}")  # fmt: skip
def led(site: Site, request: pytest.FixtureRequest) -> tuple[Site, str]:
    """The site with one server that goes one way, and which way that is."""
    server, way = request.param
    site.lead(server, way)
    return site, way


async def lease(pc: ScriptedPc, options: list[tuple[int, bytes]]) -> Answer:
    """DHCP of firmware or iPXE with the only server; returns its ACK."""
    pc.use("")
    with pc.nic() as nic:
        offer = (await pc.discover(nic, options, alone=True))[pc.site]
        wanted = [(54, offer.options[54]), (50, IPv4Address(offer.yiaddr).packed)]
        nic.say(message(REQUEST, nic.mac, [*options, *wanted], xid=offer.xid, flags=BROADCAST))
        leased, _, _ = await nic.hear()
    assert (leased.kind, leased.yiaddr) == ("ACK", offer.yiaddr)
    assert (leased.file, leased.options.get(60)) == (offer.file, offer.options.get(60))
    pc.use(leased.yiaddr)
    return leased


async def boot_file(pc: ScriptedPc, way: str, options: list[tuple[int, bytes]], port: int) -> str:
    """What a PC is told to load: in its lease, or by port 4011 of the host whose lease says `PXEClient`."""
    leased = await lease(pc, options)
    if way == "pxe":
        assert (leased.file, leased.options[60]) == ("", b"PXEClient")
        assert leased.siaddr in (str(ADDRESS), "0.0.0.0")
        return (await pc.ask_boot_server(options, port)).file
    assert leased.options.get(60, b"") == b""
    assert leased.siaddr == str(ADDRESS)
    return leased.file


async def power_on(pc: ScriptedPc, way: str, kind: str) -> None:
    """Firmware from power-on to its loader."""
    architecture, loader = FIRMWARE[kind]
    name = await boot_file(pc, way, firmware(architecture), 68 if kind == "bios" else 4011)
    assert name.rpartition("/")[2] == loader
    assert await pc.load(name, 1432) == (LOADERS / loader).read_bytes()


async def run_ipxe(pc: ScriptedPc, way: str, kind: str) -> BootScript:
    """iPXE from its own DHCP to the script."""
    url = await boot_file(pc, way, firmware(FIRMWARE[kind][0], *IPXE), 68)
    # As iPXE does with the MAC address of its interface.
    url = url.replace("${netX/mac:hexraw}", pc.mac.bare)
    assert url == f"http://{ADDRESS}/boot/{pc.mac.bare}/boot.ipxe"
    return BootScript.parse(pc.get(url).decode(), url)


@pytest.mark.parametrize("kind", FIRMWARE)
async def test_a_pc_boots(led: tuple[Site, str], kind: str) -> None:
    site, way = led
    with site.pc() as pc:
        await power_on(pc, way, kind)
        script = await run_ipxe(pc, way, kind)
        pc.load_image(script)
        site.box.await_stage(pc.mac, "initrd")
        assert pc.secrets(script.token)[0] == 200
        for stage in ("root-mounted", "reported"):
            assert pc.report(script.token, stage) == 204
        boot = site.box.await_stage(pc.mac, "reported")
        known = ["loader", "script", "kernel", "initrd", "root mounted", "reported"]
        assert site.box.stages(pc.mac) == [*(["discovered", "offered"] if way == "pxe" else []), *known]
        assert boot["addresses"] == [pc.address]


async def test_a_retry_keeps_the_token_and_the_next_power_on_has_its_own(led: tuple[Site, str]) -> None:
    site, way = led
    with site.pc() as pc:
        await power_on(pc, way, "uefi")
        await power_on(pc, way, "uefi")
        script = await run_ipxe(pc, way, "uefi")
        assert BootScript.parse(pc.get(pc.path("boot.ipxe")).decode(), script.kernel).token == script.token
        pc.load_image(script)
        assert pc.get(pc.path("boot.ipxe")).decode().count(script.token) == 1
        assert pc.secrets(script.token)[0] == 200
        assert pc.report(script.token, "root-mounted") == 204
        await power_on(pc, way, "uefi")
        again = await run_ipxe(pc, way, "uefi")
        assert again.token != script.token
        assert pc.secrets(script.token)[0] == 403
        assert pc.secrets(again.token)[0] == 200


async def test_firmware_that_is_ipxe_itself(led: tuple[Site, str]) -> None:
    site, way = led
    with site.pc() as pc:
        first = await run_ipxe(pc, way, "bios")
        for stage in ("root-mounted", "reported", "computing"):
            assert pc.report(first.token, stage) == 204
        # This one loads no loader, and one way its DHCP is not seen: its script request marks the next power-on.
        second = await run_ipxe(pc, way, "bios")
        assert second.token != first.token
        assert pc.secrets(second.token)[0] == 200


async def test_the_live_system_may_have_another_address_than_its_ipxe(led: tuple[Site, str]) -> None:
    site, way = led
    with site.pc() as pc:
        await run_ipxe(pc, way, "bios")
        before = pc.address
        pc.use("10.78.0.240")
        # No NFS server runs here, and the wall before its ports does not know this address yet.
        with inside(pc.host), pytest.raises(OSError):
            socket.create_connection((str(ADDRESS), 2049), timeout=1)
        wanted = {before, pc.address}
        wait_until(lambda: set(site.box.boot(pc.mac)["addresses"]) == wanted, 30, "its new address to be known")


async def test_strangers_get_nothing(led: tuple[Site, str]) -> None:
    site, _ = led
    with site.pc(MacAddress.parse("52:54:00:99:78:01")) as pc:
        options = firmware(7)
        await lease(pc, options)
        pc.frames.heard()
        with pc.nic(4011) as nic:
            nic.say(message(REQUEST, nic.mac, options, xid=9, ciaddr=pc.address), str(ADDRESS), 4011)
        with pytest.raises(ConnectionError):
            pc.http(pc.path("boot.ipxe"))
        assert site.box.boot(pc.mac) is None
        assert [frame for frame in pc.heard_from_box() if frame.source_port != 67] == []


def test_the_doctor_has_no_complaint(led: tuple[Site, str]) -> None:
    site, way = led
    ports, (found,) = site.doctor()
    how = "by option 60 to port 4011" if way == "pxe" else "by naming its boot files (options 66 and 67)"
    assert found["what"] == f"the DHCP server {ADDRESS} sends PCs to netboot-appliance, {how}"
    assert found["severity"] == "ok"
    assert {each["severity"] for each in ports} == {"ok"}


def test_the_probe_boots_on_the_box(led: tuple[Site, str]) -> None:
    site, _ = led
    done = site.box.verb("doctor", "probe", "52:54:00:78:00:f0", check=False)
    assert "verdict: boots: as far as can be seen from this host: DHCP is right" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("server", [DNSMASQ, ISC, KEA], ids=lambda server: server.name)
def test_serve_names_both_solutions(site: Site, server: SiteServer, tmp_path: Path) -> None:
    site.stop()
    site.configure("proxy")
    process = site.server = server.start(site.host, tmp_path, "")
    done = site.box.verb("serve", check=False)
    assert done.returncode == 1
    message, hint = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert message == (
        f"error: cannot listen on UDP port 67 on 0.0.0.0: {server.process} (process {process.pid}) is using it"
    )
    for way in ("", " --way options"):
        assert f"netboot-appliance config dhcp {server.name}{way}" in hint
    (held,) = [each for each in site.doctor()[0] if each["severity"] == "error"]
    assert held["what"] == f"UDP port 67 (DHCP) is used by {server.process} (process {process.pid})"
    assert held["what_to_do"] == hint.removeprefix("hint: ")


def test_the_doctor_sees_that_nobody_sends_pcs_here(site: Site, tmp_path: Path) -> None:
    site.stop()
    site.configure("off")
    site.server = DNSMASQ.start(site.host, tmp_path, "")
    site.box.start()
    _, (found,) = site.doctor()
    assert found["severity"] == "error"
    assert "neither option 60 nor a boot file" in found["what"]
    assert "netboot-appliance config dhcp" in found["what_to_do"]
