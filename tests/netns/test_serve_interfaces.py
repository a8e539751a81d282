"""One box on two networks: each hears of the address that it can reach, and is answered from there."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from image import release
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import firmware
from tests.fakes.tftp_peer import oack, rrq
from tests.netns.scripted_pc import IPXE, LOADERS, ScriptedPc
from tests.netns.served import Box, install_release
from tests.room.namespaces import Namespace, Network
from tests.room.room import host_mac, write_configuration

DNSMASQ = """\
interface=lan0
bind-interfaces
user=root
port=0
no-ping
dhcp-authoritative
dhcp-range={network}.100,{network}.150,1h
dhcp-leasefile={leases}
"""


@dataclass
class Office:
    """One of the two networks, with a DHCP server and a PC."""

    network: Network
    prefix: str

    def start_site(self, directory: Path) -> None:
        """Start the DHCP server of this network."""
        address = IPv4Address(f"{self.prefix}.2")
        site = self.network.host("site", f"{address}/24", host_mac(address))
        configuration = directory / f"dnsmasq-{self.prefix}.conf"
        configuration.write_text(DNSMASQ.format(network=self.prefix, leases=configuration.with_suffix(".leases")))
        command = ["dnsmasq", "--no-daemon", f"--conf-file={configuration}", "--pid-file="]
        site.start("dnsmasq", command, configuration.with_suffix(".log")).wait_for_log("sockets bound exclusively", 30)

    def plug(self, number: int) -> ScriptedPc:
        """Plug in a PC that may boot."""
        mac = MacAddress.parse(f"52:54:00:78:00:{number:02x}")
        box, site = IPv4Address(f"{self.prefix}.1"), IPv4Address(f"{self.prefix}.2")
        return ScriptedPc(self.network, mac, f"pc{number}", box, site)


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Box, Office, Office]]:
    """Two networks, and the box that stands in both; nothing routes between them."""
    directory = tmp_path_factory.mktemp("offices")
    with Network() as first, Network() as second:
        host = first.host("box", "10.78.0.1/24", MacAddress.parse("02:78:00:00:00:01"))
        connect(host, second)
        both = Office(first, "10.78.0"), Office(second, "10.79.0")
        for office in both:
            office.start_site(directory)
        configuration = write_configuration(directory)
        text = configuration.read_text().replace('["lan0"]', '["lan0", "lan1"]')
        configuration.write_text(text.replace('networks = ["10.77.0.0/24"]\n', ""))
        box = Box(host, configuration, directory / "data", directory / "serve.log")
        # No NFS server runs here: this is not about exports.
        box.forgiven = ["the exports are not in force; trying again"]
        install_release(box.data / "images")
        box.verb("allow", "add", "52:54:00:78:00:*")
        box.start()
        yield box, *both
        assert box.complaints(0) == []


def connect(host: Namespace, network: Network) -> None:
    """Give the host an interface `lan1` in another network."""
    network.wire.ip("link", "add", "port-box", "type", "veth", "peer", "name", "lan1", "netns", host.name)
    network.wire.ip("link", "set", "port-box", "master", "br0", "up")
    host.ip("link", "set", "lan1", "address", "02:79:00:00:00:01", "up")
    host.ip("address", "add", "10.79.0.1/24", "dev", "lan1")


async def test_each_network_boots_from_its_own_address(offices: tuple[Box, Office, Office]) -> None:
    box, *both = offices
    active = release.current(box.data / "images")
    assert active
    for number, office in enumerate(both, 1):
        with office.plug(number) as pc:
            offer = (await pc.power_on(firmware(7)))[pc.box]
            assert (offer.siaddr, offer.sname) == (pc.box, pc.box)
            assert offer.options[54] == IPv4Address(pc.box).packed
            assert offer.options[66] == pc.box.encode() + b"\0"
            answer = await pc.ask_boot_server(firmware(7), 4011)
            assert await pc.load(answer.file, 1468, 4) == (LOADERS / "snponly.efi").read_bytes()
            script = await pc.run_ipxe(7)
            assert script.argument("nfsroot") == f"{pc.box}:{active.path}"
            assert pc.get(script.kernel) == (active.path / "vmlinuz").read_bytes()
            assert pc.secrets(script.token)[0] == 200
            assert {frame.source for frame in pc.ear.heard() if frame.payload} == {pc.box, pc.site}
            assert box.await_stage(pc.mac, "kernel")["addresses"] == [pc.address]
    assert len(box.exported()) == 3, "the networks of the interfaces count, when none are configured"


async def test_answers_come_from_the_address_that_was_asked(offices: tuple[Box, Office, Office]) -> None:
    """A PC asks, by its own cable, for the address that the box has in the other network."""
    _, office, other = offices
    with office.plug(3) as pc:
        await pc.power_on(firmware(7, *IPXE))
        pc.host.ip("route", "add", f"{other.prefix}.0/24", "via", pc.box)
        pc.box = f"{other.prefix}.1"
        with pc.tftp() as tftp:  # it fails when an answer comes from elsewhere
            assert oack(await tftp.ask(rrq(f"{pc.mac.bare}/snponly.efi", tsize=0)))
            tftp.send(b"\0\5\0\0the size was all\0")
        assert pc.get(pc.path("boot.ipxe")).startswith(b"#!ipxe")
