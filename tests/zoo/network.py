"""The zoo on a fake clock: firmware, the site's DHCP server, the box, and in some tests a relay.

`boot` plays one power-on to its end, through all retries, and returns it as a transcript: seconds since power-on, who
sent a message, and which. The box is the real services/dhcp/server.py without its sockets, with the real policy
(appliance/boot/policy.py) and the real rules that learn about firmware (appliance/firmware/rules.py); as DHCP server it
has the real LeaseServer. There are no files and no registry.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any, cast

from appliance.allowlist import Allowlist, Entry
from appliance.boot import policy
from appliance.config.loaders import Loaders
from appliance.firmware.knowledge import ClientFirmware, Successes
from appliance.firmware.rules import DecisionContext, observe
from services.decision import Ignore
from services.dhcp.lease_server import LeaseServer
from services.dhcp.leasing import Leasing
from services.dhcp.message import Arrival, MessageType, Peer
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pool import AddressRange, Subnet
from services.dhcp.pxe_rules import BootRequest
from services.dhcp.server import DhcpServer
from services.ethernet import MacAddress, MacRange
from services.events import Event, Ignored, ScriptServed, TransferProgressed, TransferServed
from services.linux.neighbours import Neighbours
from tests.fakes.clock import FakeClockLoop
from tests.fakes.dhcp_client import NOWHERE, Answer, message, option, type_names
from tests.zoo.firmware import EVERYONE, ClientMessage, Firmware, Load, ServerAnswer

BOX, SITE, LEASE = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2"), IPv4Address("10.77.0.134")
ROOM = Subnet(IPv4Network("10.77.0.0/24"), (AddressRange.parse(f"{LEASE}-10.77.0.140"),))
REMOTE = Subnet(IPv4Network("10.78.0.0/24"), (AddressRange.parse("10.78.0.134-10.78.0.140"),))
_BETWEEN_BOOTS = 300.0
_ON_THE_WIRE = 0.001


@dataclass
class Network:
    """One network. `site_delay`: seconds until its DHCP server makes an offer (dnsmasq pings an address for 3 s first);
    None: it has no DHCP server. `relay`: the address of a relay between firmware and servers. `leases`: the box is the
    DHCP server. `shim`: the box has a signed loader."""

    site_delay: float | None = 0.0
    relay: str = ""
    leases: bool = False
    shim: bool = False
    loaders: Loaders = field(default_factory=Loaders)
    now: float = 1000.0
    clients: dict[MacAddress, ClientFirmware] = field(default_factory=dict)
    profiles: list[Profile] = field(default_factory=list)
    """The profile of each planned offer, the latest at the end."""
    _served: float = float("-inf")
    _leasing: Leasing = field(default_factory=lambda: Leasing([ROOM, REMOTE], [BOX]))

    def boot(self, firmware: Firmware) -> str:
        """Switch the firmware on, and return the transcript up to its decision what to do."""
        loop = FakeClockLoop(self.now + _BETWEEN_BOOTS)
        try:
            return loop.run_until_complete(self._boot(firmware, loop))
        finally:
            self.now = loop.now
            loop.close()

    def load(self, firmware: Firmware, *, starts: bool) -> None:
        """The firmware reads its loader. `starts`: the loader runs and fetches its script (Secure Boot may refuse)."""
        assert isinstance(firmware.outcome, Load)
        mac, path = firmware.mac, firmware.outcome.name.rpartition("/")[2]
        self._observe(TransferProgressed(mac, "tftp", path, 0, 100))
        self._observe(TransferServed(mac, "tftp", path, 100, 0.1))
        self.now += 5
        if starts:
            self._observe(ScriptServed(mac))
            self._served = self.now

    async def _boot(self, firmware: Firmware, loop: FakeClockLoop) -> str:
        self._began, self._lines, self._loop = loop.now, list[str](), loop
        self._firmware, self._changed = firmware, asyncio.Event()
        allowed = Allowlist.of([Entry(MacRange(firmware.mac, firmware.mac))])
        lease_server = LeaseServer(
            self._leasing,
            cast(Neighbours, _NobodyThere()),
            serves=lambda _: True,
            save=lambda _: None,
            given=lambda *_: None,
            emit=self._observe,
            clock=loop.time,
        )
        self._box = DhcpServer(
            "lan0",
            BOX,
            allowed=allowed.allows_number,
            plan=lambda request: self._plan(request, allowed),
            emit=self._observe,
            leases=lease_server if self.leases else None,
            clock=loop.time,
        )
        self._send(firmware.power_on(loop.now))
        while firmware.outcome is None:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(firmware.deadline):
                    await self._changed.wait()
            except TimeoutError:
                self._send(firmware.expire(loop.now))
        self._box.close()
        lease_server.close()
        outcome = firmware.outcome
        self._say("PC", f"loads {outcome.name} from {outcome.server}" if isinstance(outcome, Load) else outcome)
        return "\n".join(self._lines)

    def _send(self, messages: list[ClientMessage]) -> None:
        for each in messages:
            where = "" if each.port == 67 else f" to {each.host}:{each.port}"
            self._say("PC", f"{type_names[each.payload[242]]}{where}")
            self._loop.call_later(_ON_THE_WIRE, self._to_box, each)
            if each.port == 67 and self.site_delay is not None:
                self._loop.call_later(_ON_THE_WIRE, self._to_site, each, self.site_delay)

    def _say(self, who: str, words: str) -> None:
        self._lines.append(f"{self._loop.now - self._began:.1f} {who}: {words}")

    def _receive(self, answer: ServerAnswer) -> None:
        self._send(self._firmware.hear(answer, self._loop.now))
        self._changed.set()

    def _to_site(self, sent: ClientMessage, delay: float) -> None:
        asked = sent.payload
        kind = asked[242]
        if kind == MessageType.REQUEST and option(54, SITE.packed) not in asked:
            return
        answer = MessageType.OFFER if kind == MessageType.DISCOVER else MessageType.ACK
        lease = message(answer, asked[28:34], [(54, SITE.packed), (51, b"\0\0\2\0")])
        lease = b"\2" + lease[1:4] + asked[4:8] + lease[8:16] + LEASE.packed + lease[20:]
        wait = delay if answer == MessageType.OFFER else 0.0
        self._loop.call_later(wait, self._receive, ServerAnswer(Answer.parse(lease), str(SITE), 67))

    def _to_box(self, sent: ClientMessage) -> None:
        payload, arrival = sent.payload, Arrival(IPv4Address(sent.source), sent.source_port, sent.port)
        if self.relay and sent.host == EVERYONE:
            payload = payload[:24] + IPv4Address(self.relay).packed + payload[28:]
            arrival = Arrival(IPv4Address(self.relay), 67, 67)
        peer = (str(arrival.source), arrival.source_port)
        self._box.handle(cast(Any, _FakePort(self, arrival)), arrival.port, [(payload, peer)])

    def answered(self, datagram: bytes, arrival: Arrival, destination: tuple[str, int]) -> None:
        """Handle a datagram that the box sent in answer to one with this arrival."""
        expected = (self.relay, 67) if self.relay else (EVERYONE, 68)
        assert destination == (expected if arrival.port == 67 else (str(arrival.source), arrival.source_port))
        answer = Answer.parse(datagram)
        address = "" if answer.yiaddr == NOWHERE else f" {answer.yiaddr}"
        inner = f" 43 {answer.options[43].hex()}" if 43 in answer.options else ""
        self._say("box", f"{answer.kind}{address} {answer.file}{inner}")
        self._loop.call_later(_ON_THE_WIRE, self._receive, ServerAnswer(answer, str(BOX), arrival.port))

    def _plan(self, request: BootRequest, allowed: Allowlist) -> BootPlan | Ignore:
        client = self.clients.get(request.mac, ClientFirmware())
        plan = policy.plan(
            request,
            loaders=self.loaders.by_machine,
            allowlist=allowed,
            release="r",
            base_url=f"http://{BOX}",
            profile=client.profile,
        )
        if isinstance(plan, BootPlan):
            self.profiles.append(plan.profile)
        return plan

    def _observe(self, event: Event) -> None:
        if isinstance(event, Ignored):
            self._say("box", f"silence, {event.reason.name}")
            return
        successes = Successes()
        for client in self.clients.values():
            successes.count(client.firmwares)
        context = DecisionContext(self.shim, successes.best, self._served)
        now = max(self.now, self._loop.now)
        self.clients[event.mac] = observe(self.clients.get(event.mac, ClientFirmware()), event, now, context)


@dataclass
class _FakePort:
    """In place of the UdpPort by which the box answers a datagram."""

    network: Network
    arrival: Arrival

    def send(self, datagram: bytes, destination: Peer) -> None:
        """Send one datagram."""
        self.network.answered(datagram, self.arrival, destination)

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> dict[int, str]:
        """Send several."""
        for answer in answers:
            self.send(*answer)
        return {}


class _NobodyThere:
    """The neighbour table of a network in which every address is free."""

    def on_link(self, address: IPv4Address) -> bool:
        """Whether the address is in the box's own network."""
        return address in ROOM.network

    def nudge(self, address: IPv4Address) -> None:
        """Nobody answers."""

    def sighting(self, address: IPv4Address) -> None:
        """Nobody is there."""
