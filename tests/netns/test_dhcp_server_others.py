"""Another DHCP server on the segment where the box is to be the DHCP server: real ones are found without privileges."""

import json
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from appliance.dhcp import other_servers
from appliance.dhcp.other_servers import SECONDS, assert_alone
from appliance.errors import UserError
from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from tests.netns.dhcp_clients import CLIENTS, DhcpClient
from tests.netns.dhcp_servers import ADDRESS as THEIRS
from tests.netns.dhcp_servers import ISC, KEA, SiteServer
from tests.netns.inside import inside
from tests.netns.served import TIMEOUT, Box
from tests.room.namespaces import Namespace, Network
from tests.room.processes import Process
from tests.room.room import appliance_command, host_mac, write_configuration

OWN = IPv4Address("10.78.0.9")
TRIES = 4
"""Extra time: a machine that stalls for a second would make a slow server too late."""

DNSMASQ = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--port=0"]
DNSMASQ += ["--log-facility=-", "--interface=lan0", "--bind-interfaces", "--leasefile-ro"]


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def box(network: Network) -> Namespace:
    return network.host("box", f"{OWN}/24", host_mac(OWN))


@pytest.fixture
def other(network: Network) -> Namespace:
    return network.host("other", f"{THEIRS}/24", host_mac(THEIRS))


async def ask(box: Namespace, *names: str) -> None:
    mac = MacAddress.parse("02:00:00:00:00:01")
    with inside(box):
        await assert_alone(
            [Interface(each, socket.if_nametoindex(each), IPv4Interface(f"{OWN}/24"), mac) for each in names]
        )


def dnsmasq(host: Namespace, log: Path, *options: str) -> Process:
    process = host.start("dnsmasq", [*DNSMASQ, *options], log)
    process.wait_for_log("sockets bound exclusively", 30)
    return process


def plug(box: Namespace, network: Network) -> None:
    """Give the box an interface `lan1` in another network."""
    network.wire.ip("link", "add", "port-box", "type", "veth", "peer", "name", "lan1", "netns", box.name)
    network.wire.ip("link", "set", "port-box", "master", "br0", "up")
    box.ip("link", "set", "lan1", "up")
    network.await_link("port-box", box, "lan1")


async def test_no_other_server_answers(box: Namespace) -> None:
    begun = time.monotonic()
    await ask(box, "lan0")
    assert time.monotonic() - begun >= SECONDS


@pytest.mark.parametrize("server", [ISC, KEA], ids=lambda server: server.name)
async def test_another_server_on_the_segment_is_found(
    box: Namespace, other: Namespace, server: SiteServer, tmp_path: Path
) -> None:
    server.start(other, tmp_path, "")
    with pytest.raises(UserError) as raised:
        await ask(box, "lan0")
    assert raised.value.message.startswith(f"another DHCP server answers: {THEIRS} on lan0, which offered 10.78.0.1")
    assert raised.value.code == 1
    for cure in ('mode = "proxy"', "stop it", "force = true"):
        assert cure in raised.value.hint


async def test_a_server_that_looks_before_it_offers(box: Namespace, other: Namespace, tmp_path: Path) -> None:
    """dnsmasq with its defaults: it pings an address for three seconds first."""
    said = ""
    for number in range(TRIES):
        server = dnsmasq(other, tmp_path / f"dnsmasq-{number}.log", "--dhcp-range=10.78.0.100,10.78.0.150")
        try:
            await ask(box, "lan0")
        except UserError as error:
            said = error.message
            break
        server.stop()  # it remembers what it has pinged
    assert f"{THEIRS} on lan0" in said


async def test_a_proxy_gives_out_no_addresses(box: Namespace, other: Namespace, tmp_path: Path) -> None:
    service = "--pxe-service=X86-64_EFI,boot,some.efi"
    dnsmasq(other, tmp_path / "dnsmasq.log", "--dhcp-range=10.78.0.0,proxy", service)
    await ask(box, "lan0")
    assert "PXE(lan0)" in (tmp_path / "dnsmasq.log").read_text(), "it has answered"


async def test_each_interface_is_asked(network: Network, box: Namespace, tmp_path: Path) -> None:
    with Network() as segment:
        plug(box, segment)
        box.ip("address", "add", "10.79.0.9/24", "dev", "lan1")
        other = segment.host("other", "10.79.0.1/24", MacAddress.parse("02:79:00:00:00:01"))
        dnsmasq(other, tmp_path / "dnsmasq.log", "--no-ping", "--dhcp-range=10.79.0.100,10.79.0.150")
        with pytest.raises(UserError, match=r"answers: 10\.79\.0\.1 on lan1, which offered 10\.79\.0\.\d+$"):
            await ask(box, "lan0", "lan1")


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.name)
async def test_beside_a_dhcp_client_of_this_host(
    box: Namespace, kind: type[DhcpClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another interface, which the box does not serve."""
    monkeypatch.setattr(other_servers, "SECONDS", 0.2)
    with Network() as uplink:
        plug(box, uplink)
        server = uplink.host("server", "10.79.0.1/24", MacAddress.parse("02:79:00:00:00:01"))
        dnsmasq(server, tmp_path / "dnsmasq.log", "--no-ping", "--dhcp-range=10.79.0.100,10.79.0.150")
        client = kind(box, tmp_path, "lan1")
        client.start()
        assert client.lease().address.startswith("10.79.0.1")
        await ask(box, "lan0")


async def test_a_program_that_holds_port_68_exclusively(box: Namespace) -> None:
    with inside(box), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("", 68))
        with pytest.raises(UserError, match=r"cannot listen on UDP port 68 on .*: .* is using it") as raised:
            await ask(box, "lan0")
    assert "force = true" in raised.value.hint


async def test_an_interface_without_a_cable(network: Network, box: Namespace) -> None:
    box.ip("link", "set", "lan0", "down")
    with pytest.raises(UserError, match="cannot ask on lan0") as raised:
        await ask(box, "lan0")
    assert raised.value.code == 1


class Confined(Box):
    """The server with only the capability that its unit gives it."""

    @property
    def command(self) -> list[str]:
        confined = ["setpriv", "--bounding-set=-all,+net_bind_service", "--inh-caps=-all"]
        return [*confined, appliance_command(), "--config", str(self.configuration), "serve"]

    def launch(self) -> Process:
        self.process = self.host.start("serve", self.command, self.log)
        return self.process


def confined(box: Namespace, directory: Path, more: str = "") -> Confined:
    settings = '[dhcp]\nmode = "server"\npool = ["10.78.0.200-10.78.0.210"]\n' + more
    return Confined(box, write_configuration(directory, settings), directory / "data", directory / "serve.log")


def test_serve_waits_until_it_is_alone(box: Namespace, other: Namespace, tmp_path: Path) -> None:
    """It exits with the code that makes systemd retry; once the other server is stopped, the next try serves."""
    server = confined(box, tmp_path)
    process = dnsmasq(other, tmp_path / "dnsmasq.log", "--no-ping", "--dhcp-range=10.78.0.100,10.78.0.150")
    refused = box.run(server.command, timeout=TIMEOUT, check=False)
    assert refused.returncode == 1
    assert f"error: another DHCP server answers: {THEIRS} on lan0, which offered 10.78.0.1" in refused.stderr
    assert "hint: let it give the addresses" in refused.stderr
    findings = json.loads(server.verb("doctor", "--json", check=False).stdout)["findings"]
    (found,) = [each for each in findings if each["check"] == "dhcp"]
    assert found["severity"] == "error"
    assert found["what"] == f"another DHCP server answers on lan0: {THEIRS}"
    process.stop()
    server.start()
    assert "CapEff:\t0000000000000400\n" in Path(f"/proc/{server.pid}/status").read_text()


def test_serve_is_forced(box: Namespace, other: Namespace, tmp_path: Path) -> None:
    dnsmasq(other, tmp_path / "dnsmasq.log", "--no-ping", "--dhcp-range=10.78.0.100,10.78.0.150")
    confined(box, tmp_path, "force = true\n").start()
