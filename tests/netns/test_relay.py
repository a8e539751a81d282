"""PCs behind a router: their requests reach the box and the site's DHCP server by a real relay (RFC 1542, RFC 3046).

Only DHCP is relayed. TFTP, HTTP and port 4011 are routed: the PCs talk to the box's own address.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.netns.dhcp_box import told
from tests.netns.inside import Client
from tests.netns.offices import Office
from tests.netns.scripted_pc import IPXE, LOADERS, BootScript, FrameListener, ScriptedPc
from tests.netns.served import Box, install_release
from tests.room import programs
from tests.room.namespaces import Namespace, Network
from tests.room.processes import Process
from tests.room.room import write_configuration

SERVERS = ("10.78.0.1", "10.78.0.2")
"""The box, and the site's DHCP server."""

ROUTER = "10.78.0.254"
SERVER = """\
pool = ["10.79.0.200-10.79.0.210"]
router = ["10.79.0.1/24"]
force = true
"""
NEAR, FAR = "10.78.0", "10.79.0"


class RelayedPc(ScriptedPc):
    """A PC whose answers all come from its router: option 54 says who made them."""

    router = giaddr = f"{FAR}.1"

    def author(self, answer: Answer, sender: str) -> str:
        assert (sender, answer.giaddr) == (self.router, self.giaddr)
        return str(IPv4Address(answer.options[54]))

    def use(self, address: str) -> None:
        super().use(address)
        if address:
            self.host.ip("route", "add", "default", "via", self.router)


class PcOfNamedNetwork(RelayedPc):
    """A PC whose relay talks to the servers by another address than that of the PC's network."""

    giaddr = ROUTER


def dnsmasq(router: Namespace, log: Path) -> Process:
    """A relay that adds nothing."""
    command = [
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--port=0",
        "--log-dhcp",
    ]
    process = router.start("dnsmasq", [*command, *(f"--dhcp-relay={FAR}.1,{each}" for each in SERVERS)], log)
    process.wait_for_log("DHCP relay from", 30)
    return process


def dhcrelay(router: Namespace, log: Path, *more: str) -> Process:
    """A relay that adds the circuit a request came by: option 82."""
    command = [
        *programs.DHCP.command("dhcrelay"),
        "-4",
        "-d",
        "-a",
        "-m",
        "replace",
        "-i",
        "far",
        "-i",
        "near",
        *more,
        *SERVERS,
    ]
    process = router.start("dhcrelay", command, log)
    process.wait_for_log("Sending on   Socket/fallback", 30)
    return process


@dataclass
class Site:
    """The servers' segment, the PCs' segment, and the box."""

    router: Namespace
    far: Office
    box: Box
    mode: str

    def plug(self, mac: MacAddress | None = None) -> ScriptedPc:
        """Plug in a PC behind the router: a new one that may boot, or this one."""
        return self.far.plug(mac, kind=RelayedPc, box=SERVERS[0], site=SERVERS[self.mode != "server"])


@pytest.fixture(scope="module")
def router() -> Iterator[tuple[Namespace, Office, Office]]:
    """A router with its two segments."""
    with Network() as first, Network() as second:
        near, far = Office(first, NEAR), Office(second, FAR)
        router = first.add("router")
        near.connect(router, "near", ROUTER)
        far.connect(router, "far")
        router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        yield router, near, far


@pytest.fixture(scope="module", params=["proxy", "off", "server"])
def site(
    router: tuple[Namespace, Office, Office], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """The box in the near segment."""
    host, near, far = router
    directory = tmp_path_factory.mktemp(f"box-{request.param}")
    with Network() as own:
        configuration = write_configuration(
            directory, f'[dhcp]\nmode = "{request.param}"\n' + (SERVER if request.param == "server" else "")
        )
        text = configuration.read_text().replace('["10.77.0.0/24"]', f'["{NEAR}.0/24", "{FAR}.0/24"]')
        configuration.write_text(text)
        box = Box(own.add("box"), configuration, directory / "data", directory / "serve.log")
        near.connect(box.host, "lan0")
        box.host.ip("route", "add", f"{FAR}.0/24", "via", ROUTER)
        box.forgiven = ["the exports are not in force; trying again"]
        install_release(box.data / "images")
        box.verb("allow", "add", "52:54:00:78:00:*")
        if request.param != "server":
            site = near.start_site(directory, f"dhcp-range={FAR}.100,{FAR}.150,255.255.255.0,1h")
            assert near.site_host
            near.site_host.ip("route", "replace", f"{FAR}.0/24", "via", ROUTER)
        box.start()
        yield Site(host, far, box, request.param)
        if request.param != "server":
            site.stop()
        assert box.complaints(0) == []


@pytest.fixture(params=[dnsmasq, dhcrelay], ids=lambda relay: relay.__name__)
def relay(
    router: tuple[Namespace, Office, Office], request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[Namespace, Path], Process]]:
    """The program on the router."""
    process = request.param(router[0], tmp_path / "relay.log")
    yield request.param
    process.stop()


def assert_echoed(near: FrameListener, relay: Callable[[Namespace, Path], Process], servers: set[str]) -> None:
    """Each server has returned the relay's option 82 as the last option; the relay removes it before the PC."""
    heard = [(frame.source, Answer.parse(frame.payload)) for frame in near.heard() if frame.port == 67]
    near.close()
    assert {source for source, _ in heard} == servers
    for _, answer in heard:
        if relay is dhcrelay:
            assert answer.order[-1] == 82
            assert answer.options[82] == b"\x01\x03far"
        else:
            assert 82 not in answer.options


@pytest.mark.parametrize(("architecture", "loader", "port"), [(0, "undionly.kpxe", 68), (7, "snponly.efi", 4011)])
async def test_a_pc_boots(
    site: Site, relay: Callable[[Namespace, Path], Process], architecture: int, loader: str, port: int
) -> None:
    box = site.box
    with site.plug() as pc:
        near = FrameListener(site.router, "near")
        answer = await told(pc, site.mode, firmware(architecture), port)
        assert_echoed(near, relay, {pc.site} if site.mode == "off" else {pc.site, pc.box})
        assert (answer.file, answer.siaddr) == (f"{pc.mac.bare}/{loader}", pc.box)
        assert (await pc.ask_boot_server(firmware(architecture), port)).file == answer.file
        assert pc.address.startswith(f"{FAR}.")
        assert await pc.load(answer.file, 1432) == (LOADERS / loader).read_bytes()
        answer = await told(pc, site.mode, firmware(architecture, *IPXE), 68)
        script = BootScript.parse(pc.get(answer.file).decode(), answer.file)
        pc.load_image(script)
        assert pc.secrets(script.token)[0] == 200
        for stage in ("root-mounted", "reported"):
            assert pc.report(script.token, stage) == 204
        boot = box.await_stage(pc.mac, "reported")
        assert boot["addresses"] == [pc.address]
        assert box.exported()[str(box.data / "state" / pc.mac.bare)] == ("RW", {pc.address})


async def test_a_stranger_gets_its_lease_alone(site: Site, relay: Callable[[Namespace, Path], Process]) -> None:
    with site.plug(MacAddress.parse("52:54:00:99:00:01")) as pc:
        if site.mode == "server":
            assert (await told(pc, site.mode, firmware(7), 68)).file == ""
        else:
            await pc.power_on(firmware(7), alone=True)
        pc.frames.heard()
        with pytest.raises(ConnectionError):
            pc.http(pc.path("boot.ipxe"))
        assert pc.heard_from_box() == []


@pytest.mark.parametrize("site", ["server"], indirect=True)
async def test_a_relay_names_the_network_and_stands_for_the_server(site: Site, tmp_path: Path) -> None:
    """RFC 3527, by dhcrelay: giaddr is its address in the servers' network. RFC 5107, which it does not speak."""
    process = dhcrelay(site.router, tmp_path / "relay.log", "-U", "near")
    with site.far.plug(kind=PcOfNamedNetwork, box=SERVERS[0], site=SERVERS[0]) as pc:
        assert (await told(pc, site.mode, firmware(7), 68)).file == f"{pc.mac.bare}/snponly.efi"
        assert pc.address.startswith(f"{FAR}.")
        assert await pc.load(f"{pc.mac.bare}/snponly.efi", 1432) == (LOADERS / "snponly.efi").read_bytes()
    process.stop()
    link, override = bytes([5, 4, 10, 79, 0, 0]), bytes([11, 4, 10, 79, 0, 1])
    with Client(site.router, bytes(pc.mac), 67, "near") as relay:
        relay.say(message(DISCOVER, relay.mac, [(82, link + override)], giaddr=ROUTER), SERVERS[0])
        offer, _, _ = await relay.hear(SERVERS[0])
        assert (offer.yiaddr, offer.options[54], offer.options[82]) == (pc.address, override[2:], link + override)
        wanted = [(54, override[2:]), (50, IPv4Address(offer.yiaddr).packed), (82, link + override)]
        relay.say(message(REQUEST, relay.mac, wanted, giaddr=ROUTER), SERVERS[0])
        acknowledged, _, _ = await relay.hear(SERVERS[0])
        assert (acknowledged.kind, acknowledged.yiaddr) == ("ACK", pc.address)
        assert acknowledged.options[54] == override[2:]


@pytest.mark.parametrize("site", ["server"], indirect=True)
async def test_a_lease_is_renewed_past_the_relay(site: Site, relay: Callable[[Namespace, Path], Process]) -> None:
    """RFC 2131 section 4.3.2: the client talks to the server by unicast, and no relay adds its network."""
    with site.plug() as pc:
        leased = await told(pc, site.mode, [], 68)
        with pc.nic() as nic:
            nic.say(message(REQUEST, nic.mac, [], xid=77, ciaddr=leased.yiaddr), pc.box)
            renewed, sender, _ = await nic.hear()
        assert (renewed.kind, renewed.yiaddr, sender) == ("ACK", leased.yiaddr, pc.box)
        assert renewed.options[3] == bytes([10, 79, 0, 1])
