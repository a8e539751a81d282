"""The proxyDHCP server on real sockets: scripted clients, a stock dnsmasq beside it, and a failing network."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest

from services.decision import Ignore, Reason
from services.dhcp.plan import BootPlan
from services.dhcp.pxe_rules import BootRequest
from services.dhcp.server import DhcpServer
from services.dhcp.udp_port import MOST, UdpPort
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Ignored, LeaseChosen, Offered
from services.linux.sockets import BindError, bind_udp
from services.linux.udp_batches import Unavailable
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.netns.inside import TIMEOUT, Client, counters, inside
from tests.room.namespaces import Namespace, Network
from tests.room.processes import wait_until

BOX = IPv4Address("10.77.0.1")
SITE = "10.77.0.2"
PC = MacAddress.parse("52:54:00:aa:bb:01")
STRANGER = MacAddress.parse("52:54:00:aa:bb:99")
FILE = f"{PC.bare}/undionly.kpxe"
DISCOVERED = Discovered(
    PC, architecture=0, ipxe=False, xid=0x1234, secs=0, fingerprint="52:54:00 PXEClient:Arch:00000:UNDI:002001 0"
)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def box(network: Network) -> Namespace:
    return network.host("box", f"{BOX}/24", MacAddress.parse("52:54:00:00:00:01"))


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    """The site's own DHCP server, which knows nothing about us."""
    site = network.host("site", f"{SITE}/24", MacAddress.parse("52:54:00:00:00:02"))
    folder = tmp_path_factory.mktemp("site")
    dnsmasq = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0", "--no-ping"]
    dnsmasq += ["--interface=lan0", "--bind-interfaces", "--dhcp-authoritative", "--dhcp-range=10.77.0.100,10.77.0.150"]
    process = site.start("dnsmasq", [*dnsmasq, f"--dhcp-leasefile={folder / 'leases'}"], folder / "dnsmasq.log")
    process.wait_for_log("sockets bound exclusively", TIMEOUT)
    return site


@pytest.fixture(scope="module")
def pc_host(network: Network) -> Namespace:
    return network.host("pc", "", PC)


@pytest.fixture(scope="module")
def stranger_host(network: Network) -> Namespace:
    return network.host("stranger", "", STRANGER)


@pytest.fixture
def pc(pc_host: Namespace) -> Iterator[Client]:
    with Client(pc_host, bytes(PC)) as client:
        yield client
    pc_host.ip("address", "flush", "dev", "lan0")


@pytest.fixture
def stranger(stranger_host: Namespace) -> Iterator[Client]:
    with Client(stranger_host, bytes(STRANGER)) as client:
        yield client
    stranger_host.ip("address", "flush", "dev", "lan0")


class Box:
    """The callables the server asks, which a test may replace, and the events it emitted."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.allow: Callable[[int], bool] = lambda value: value == PC.value
        self.choose: Callable[[BootRequest], BootPlan | Ignore] = lambda _: BootPlan(FILE)
        self.record: Callable[[Event], None] = self.events.append
        self.commit: Callable[[], None] = lambda: None
        self.image = object()

    @asynccontextmanager
    async def serving(
        self, namespace: Namespace, interface: str = "lan0", address: IPv4Address = BOX
    ) -> AsyncIterator[DhcpServer]:
        server = DhcpServer(
            interface,
            address,
            allowed=self._allowed,
            plan=self._plan,
            emit=self._emit,
            commit=self.commit,
            basis=lambda: (self.image,),
        )
        with inside(namespace):
            server.open()
        try:
            yield server
        finally:
            server.close()

    def _allowed(self, value: int) -> bool:
        return self.allow(value)

    def _plan(self, request: BootRequest) -> BootPlan | Ignore:
        return self.choose(request)

    def _emit(self, event: Event) -> None:
        self.record(event)


def discover(mac: MacAddress = PC) -> bytes:
    # With the broadcast flag, so that the site's server does not answer to an address the client has not got yet.
    return message(DISCOVER, bytes(mac), firmware(0), flags=0x8000)


async def lease(client: Client, host: Namespace) -> str:
    """Get an address from the site's server the way any DHCP client does, and use it."""
    client.say(message(DISCOVER, client.mac, xid=7, flags=0x8000))
    offer, _, _ = await client.hear(SITE)
    wanted = [(54, offer.options[54]), (50, IPv4Address(offer.yiaddr).packed)]
    client.say(message(REQUEST, client.mac, wanted, xid=7, flags=0x8000))
    acknowledged, _, _ = await client.hear(SITE)
    assert (acknowledged.kind, acknowledged.yiaddr) == ("ACK", offer.yiaddr)
    host.ip("address", "add", f"{offer.yiaddr}/24", "dev", "lan0")
    return acknowledged.yiaddr


async def test_bios_gets_its_lease_from_the_site_and_its_boot_file_from_us(
    box: Namespace, site: Namespace, pc_host: Namespace, pc: Client
) -> None:
    us = Box()
    async with us.serving(box):
        pc.say(discover())
        heard: dict[str, Answer] = {}
        while len(heard) < 2:
            answer, sender, port = await pc.hear()
            assert (answer.kind, port) == ("OFFER", 67)
            heard[sender] = answer
        ours, theirs = heard[str(BOX)], heard[SITE]
        assert (ours.yiaddr, ours.siaddr, ours.file, ours.options[60]) == ("0.0.0.0", str(BOX), FILE, b"PXEClient")
        assert (theirs.yiaddr[:8], theirs.file) == ("10.77.0.", "")
        wanted = [(54, theirs.options[54]), (50, IPv4Address(theirs.yiaddr).packed)]
        pc.say(message(REQUEST, pc.mac, [*firmware(0), *wanted], flags=0x8000))
        acknowledged, _, _ = await pc.hear(SITE)
        assert acknowledged.kind == "ACK"
        pc_host.ip("address", "add", f"{theirs.yiaddr}/24", "dev", "lan0")
        pc.say(message(REQUEST, pc.mac, firmware(0), ciaddr=theirs.yiaddr), str(BOX), 4011)
        booted, *sender_and_port = await pc.hear(str(BOX))
    assert (booted.kind, booted.file, *sender_and_port) == ("ACK", FILE, str(BOX), 4011)
    used = AddressSeen(PC, IPv4Address(theirs.yiaddr))
    chosen = LeaseChosen(PC, IPv4Address(SITE), ours=False)
    assert us.events == [DISCOVERED, Offered(PC, FILE, 67), used, chosen, used, Offered(PC, FILE, 4011)]


async def test_edk2_is_answered_on_the_port_it_asks_from(
    box: Namespace, site: Namespace, pc_host: Namespace, pc: Client
) -> None:
    async with Box().serving(box):
        address = await lease(pc, pc_host)
        with Client(pc_host, bytes(PC), port=4011) as edk2:
            edk2.say(message(REQUEST, bytes(PC), firmware(7), ciaddr=address), str(BOX), 4011)
            answer, *sender = await edk2.hear()
    assert (answer.kind, *sender) == ("ACK", str(BOX), 4011)


async def test_a_stranger_gets_only_its_lease(
    box: Namespace, site: Namespace, pc: Client, stranger: Client, stranger_host: Namespace
) -> None:
    us = Box()
    async with us.serving(box):
        address = await lease(stranger, stranger_host)
        stranger.say(discover(STRANGER))
        await stranger.hear(SITE)
        stranger.say(message(REQUEST, stranger.mac, firmware(0), ciaddr=address), str(BOX), 4011)
        stranger.say(message(REQUEST, stranger.mac, firmware(0), ciaddr=address))
        await until(lambda: len(us.events) == 2)
        # Datagrams of one port are handled in order: this answer proves that the stranger's were skipped.
        pc.say(discover())
        await pc.hear(str(BOX))
        assert str(BOX) not in stranger.heard()
    ignored = [event for event in us.events if isinstance(event, Ignored)]
    assert ignored == [Ignored("dhcp", str(STRANGER), Reason.NOT_ALLOWED, sender=address)] * 2
    assert us.events[-2:] == [DISCOVERED, Offered(PC, FILE, 67)]
    assert len(us.events) == 4


async def test_an_allowed_client_that_gets_no_plan_hears_nothing_and_is_reported(box: Namespace, pc: Client) -> None:
    us = Box()
    async with us.serving(box):
        us.choose = lambda _: Ignore(Reason.NO_IMAGE)
        pc.say(discover())
        pc.say(message(DISCOVER, pc.mac, firmware(10)))
        await until(lambda: len(us.events) == 3)
        us.choose = lambda _: BootPlan("later")
        pc.say(discover())
        answer, _, _ = await pc.hear(str(BOX))
        assert answer.file == "later"
    detail = "class 'PXEClient:Arch:00000:UNDI:002001', architecture 0, from 0.0.0.0:68"
    assert us.events[:2] == [DISCOVERED, Ignored("dhcp", str(PC), Reason.NO_IMAGE, detail)]
    detail = detail.replace("00000", "00010").replace("architecture 0", "architecture 10")
    assert us.events[2] == Ignored("dhcp", str(PC), Reason.UNSUPPORTED_FIRMWARE, detail)


async def test_each_of_two_interfaces_answers_for_itself(box: Namespace, pc_host: Namespace, pc: Client) -> None:
    box.ip("link", "add", "lan1", "type", "veth", "peer", "name", "lan1", "netns", pc_host.name)
    box.ip("address", "add", "10.78.0.1/24", "dev", "lan1")
    box.ip("link", "set", "lan1", "up")
    pc_host.ip("link", "set", "lan1", "up")
    # A cable that was just plugged in loses packets until both ends are up.
    wait_until(
        lambda: all("state UP" in host.ip("link", "show", "lan1") for host in (box, pc_host)), 10, "lan1 to be up"
    )
    first, second = Box(), Box()
    other = IPv4Address("10.78.0.1")
    try:
        async with first.serving(box), second.serving(box, "lan1", other):
            with Client(pc_host, bytes(PC), interface="lan1") as on_lan1:
                on_lan1.say(discover())
                answer, sender, _ = await on_lan1.hear()
                assert (answer.siaddr, sender) == ("10.78.0.1", "10.78.0.1")
                pc.say(discover())
                answer, sender, _ = await pc.hear(str(BOX))
                assert (answer.siaddr, sender) == (str(BOX), str(BOX))
                assert on_lan1.heard() == []
    finally:
        box.ip("link", "delete", "lan1")
    assert first.events == second.events == [DISCOVERED, Offered(PC, FILE, 67)]


async def test_answers_come_from_the_configured_address_of_several(
    box: Namespace, pc_host: Namespace, pc: Client
) -> None:
    box.ip("address", "add", "10.77.0.9/24", "dev", "lan0")
    pc_host.ip("address", "add", "10.77.0.140/24", "dev", "lan0")
    try:
        async with Box().serving(box, address=IPv4Address("10.77.0.9")):
            pc.say(discover())
            answer, *sender = await pc.hear("10.77.0.9")
            assert (answer.siaddr, *sender) == ("10.77.0.9", "10.77.0.9", 67)
            pc.say(message(REQUEST, pc.mac, firmware(0), ciaddr="10.77.0.140"), "10.77.0.9", 4011)
            _, *sender = await pc.hear("10.77.0.9")
            assert sender == ["10.77.0.9", 4011]
    finally:
        box.ip("address", "delete", "10.77.0.9/24", "dev", "lan0")


async def test_a_relayed_request_is_answered_to_the_relay(box: Namespace, network: Network) -> None:
    relay_host = network.host("relay", "10.77.0.3/24", MacAddress.parse("52:54:00:00:00:03"))
    us = Box()
    async with us.serving(box):
        with Client(relay_host, bytes(PC), port=67) as relay:
            relay.say(message(DISCOVER, bytes(PC), firmware(0), giaddr="10.77.0.3"), str(BOX))
            answer, *sender = await relay.hear()
    assert (answer.giaddr, answer.siaddr, *sender) == ("10.77.0.3", str(BOX), str(BOX), 67)


async def test_a_broadcast_to_port_4011_is_not_ours(box: Namespace, pc_host: Namespace, pc: Client) -> None:
    pc_host.ip("address", "add", "10.77.0.140/24", "dev", "lan0")
    us = Box()
    async with us.serving(box):
        pc.say(message(REQUEST, pc.mac, firmware(0), ciaddr="10.77.0.140"), port=4011)
        pc.say(discover())
        await pc.hear(str(BOX))
        assert str(BOX) not in pc.heard()
    assert us.events == [DISCOVERED, Offered(PC, FILE, 67)]


async def test_garbage_harms_nobody_and_fills_no_log(box: Namespace, pc: Client) -> None:
    us = Box()
    async with us.serving(box):
        for number in range(3 * MOST):
            pc.say(bytes([number % 256]) * (number % 70 * 20))
        pc.say(message(DISCOVER, bytes(STRANGER), [(60, b"MSFT 5.0")]))
        pc.say(message(DISCOVER, bytes(PC), [(60, b"MSFT 5.0")]))
        pc.say(b"\x02" + discover()[1:])
        pc.say(discover()[:2] + b"\x10" + discover()[3:])
        pc.say(discover())
        await pc.hear(str(BOX))
    assert us.events == [Ignored("dhcp", "0.0.0.0", Reason.MALFORMED), DISCOVERED, Offered(PC, FILE, 67)]


def fail(_: object) -> bool:
    raise ZeroDivisionError


@pytest.mark.parametrize("part", ["allow", "choose", "record"])
async def test_a_failing_callable_ends_only_its_datagram(
    box: Namespace, pc: Client, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    us = Box()
    async with us.serving(box):
        working = getattr(us, part)
        setattr(us, part, fail)
        pc.say(discover())
        await until(lambda: bool(caplog.records))
        said = vars(caplog.records[0])
        assert (said["msg"], said["interface"], bool(said["exc_info"])) == ("dhcp datagram failed", "lan0", True)
        setattr(us, part, working)
        us.events.clear()
        pc.say(message(DISCOVER, pc.mac, firmware(0), xid=0x5678))
        answer, _, _ = await pc.hear(str(BOX))
    assert answer.xid == 0x5678
    assert us.events == [replace(DISCOVERED, xid=0x5678), Offered(PC, FILE, 67)]


async def test_an_answer_that_cannot_be_sent_is_logged_and_not_counted_as_offered(
    box: Namespace, pc: Client, caplog: pytest.LogCaptureFixture
) -> None:
    us = Box()
    async with us.serving(box):
        box.ip("address", "delete", f"{BOX}/24", "dev", "lan0")
        try:
            pc.say(discover())
            await until(lambda: bool(caplog.records))
        finally:
            box.ip("address", "add", f"{BOX}/24", "dev", "lan0")
        said = vars(caplog.records[0])
        assert (said["msg"], said["mac"]) == ("dhcp answer not sent", str(PC))
        assert said["destination"] == "255.255.255.255:68"
        assert us.events == [DISCOVERED]
        pc.say(discover())
        await pc.hear(str(BOX))


async def test_it_survives_its_interface_going_down(box: Namespace, pc: Client) -> None:
    us = Box()
    async with us.serving(box):
        pc.say(discover())
        await pc.hear(str(BOX))
        box.ip("link", "set", "lan0", "down")
        box.ip("link", "set", "lan0", "up")
        async with asyncio.timeout(TIMEOUT):
            # The link needs a moment to carry frames again: retry like firmware, until someone answers.
            hearing = asyncio.ensure_future(pc.hear(str(BOX)))
            while not hearing.done():
                pc.say(discover())
                await asyncio.wait([hearing], timeout=0.2)
            await hearing


async def test_a_port_in_use_is_an_error_that_names_it_and_leaves_nothing_bound(box: Namespace) -> None:
    us = Box()
    for address, port in ((IPv4Address(0), 67), (BOX, 4011)):
        with inside(box):
            holder = bind_udp(address, port)
        with (
            holder,
            pytest.raises(BindError, match=rf"cannot listen on udp .*:{port}: Address already in use") as raised,
        ):
            async with us.serving(box):
                pass
        assert raised.value.cause.errno == errno.EADDRINUSE
    async with us.serving(box):
        pass


async def test_a_closed_server_answers_no_more_and_can_open_again(box: Namespace, pc: Client) -> None:
    us = Box()
    async with us.serving(box) as server:
        server.close()
        before = counters(box)["IgnoredMulti"]
        pc.say(discover())
        # The answer arrived, and nobody was there.
        await until(lambda: counters(box)["IgnoredMulti"] > before)
        with inside(box):
            server.open()
        pc.say(message(DISCOVER, pc.mac, firmware(0), xid=0x5678))
        answer, _, _ = await pc.hear(str(BOX))
        assert answer.xid == 0x5678
    assert len(us.events) == 2


@pytest.mark.parametrize("batches", [True, False])
async def test_a_duplicate_is_answered_and_emits_no_new_event(
    box: Namespace, pc: Client, monkeypatch: pytest.MonkeyPatch, batches: bool
) -> None:
    """Two relays or a loop between switches repeat it; a packet that differs in more than its xid is no copy."""
    if not batches:

        def unavailable(*_: object) -> UdpPort:
            raise Unavailable("this test")

        monkeypatch.setattr("services.dhcp.udp_port.BatchedUdpPort", unavailable)
    us = Box()
    async with us.serving(box):
        pc.say(discover())
        first, *sender = await pc.hear(str(BOX))
        for xid in (0x1234, 0x5678):
            pc.say(message(DISCOVER, pc.mac, firmware(0), xid=xid, flags=0x8000))
            again, *again_sender = await pc.hear(str(BOX))
            assert (again, again_sender) == (replace(first, xid=xid), sender)
        assert us.events == [DISCOVERED, Offered(PC, FILE, 67)]
        pc.say(message(DISCOVER, pc.mac, firmware(7), flags=0x8000))
        await pc.hear(str(BOX))
        assert len(us.events) == 4
        us.image, us.choose = object(), lambda _: BootPlan("another")
        pc.say(message(DISCOVER, pc.mac, firmware(7), flags=0x8000))
        answer, *_ = await pc.hear(str(BOX))
        assert answer.file == "another"


async def test_copies_are_answered_when_the_network_is_back(box: Namespace, pc: Client) -> None:
    us = Box()

    async def answered(xid: int) -> None:
        missing = {2 * xid, 2 * xid + 1}
        # Firmware retries, and so does this test, in case the link needs a moment.
        for secs in range(20):
            for number in sorted(missing):
                pc.say(message(DISCOVER, pc.mac, firmware(0), xid=number, secs=secs, flags=0x8000))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while missing:
                        missing.discard((await pc.hear(str(BOX)))[0].xid)
                    return
        raise AssertionError(f"no answer to {xid}")

    async with us.serving(box):
        await answered(1)
        box.ip("link", "set", "lan0", "down")
        pc.say(discover())
        box.ip("link", "set", "lan0", "up")
        await answered(2)
        box.ip("address", "flush", "dev", "lan0")
        pc.say(discover())
        box.ip("address", "add", f"{BOX}/24", "dev", "lan0")
        await answered(3)


async def test_the_boots_of_a_batch_are_committed_before_an_offer_leaves(box: Namespace, pc: Client) -> None:
    us = Box()
    us.allow = lambda _: True
    us.commit = lambda: us.events.append(Ignored("commit", "", Reason.NO_BOOT))
    async with us.serving(box):
        for number in range(MOST):
            pc.say(discover(MacAddress(PC.value + number)))
        await until(lambda: sum(isinstance(event, Offered) for event in us.events) == MOST)
    opened: set[MacAddress] = set()
    waiting: set[MacAddress] = set()
    for event in us.events:
        match event:
            case Discovered():
                waiting.add(event.mac)
            case Ignored():
                opened |= waiting
            case Offered():
                assert event.mac in opened


async def test_one_wakeup_reads_a_bounded_batch(box: Namespace, pc: Client) -> None:
    """Between two batches the event loop runs: other services get their turn during a flood."""
    us = Box()
    turns: list[int] = []
    us.allow = lambda _: True
    async with us.serving(box):
        loop = asyncio.get_running_loop()
        for number in range(2 * MOST):
            pc.say(discover(MacAddress(PC.value + number)))

        def take_turn() -> None:
            turns.append(len(us.events))
            if len(us.events) < 4 * MOST:
                loop.call_soon(take_turn)

        take_turn()
        await until(lambda: len(us.events) == 4 * MOST)
    assert all(later - earlier <= 2 * MOST for earlier, later in pairwise(turns))


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until the condition holds."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():
            await asyncio.sleep(0.01)
