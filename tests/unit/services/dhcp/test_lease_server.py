"""Offers that wait for a probe, ACKs that wait for a commit, and what happens when one of them fails."""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

import pytest

from services.decision import Ignore, Reason
from services.dhcp import lease_server, packet
from services.dhcp.lease import Lease, State
from services.dhcp.lease_server import LeaseServer, Question
from services.dhcp.leasing import Leasing
from services.dhcp.message import MessageType, Reply
from services.ethernet import MacAddress
from services.events import Event, Ignored
from services.linux.neighbours import Neighbours, Sighting
from tests.unit.services.dhcp.lease_wire import BOX, DECLINE, DISCOVER, LAN, RELAY, REMOTE, REQUEST, A, B, C, says

FIRST, SECOND = IPv4Address("10.77.0.100"), IPv4Address("10.77.0.101")
TIMEOUT = 60.0  # seconds


class Table(Neighbours):
    """A fake neighbour table of one network."""

    def __init__(self) -> None:
        super().__init__([])
        self.entries: dict[IPv4Address, Sighting] = {}
        self.nudged: list[IPv4Address] = []

    def on_link(self, address: IPv4Address) -> bool:
        return address in LAN.network

    def nudge(self, address: IPv4Address) -> None:
        self.nudged.append(address)

    def sighting(self, address: IPv4Address) -> Sighting | None:
        return self.entries.get(address)


class Room:
    """A server with its disk and its neighbour table; `sent` are its answers."""

    def __init__(self) -> None:
        self.table = Table()
        self.commits: list[list[Lease]] = []
        self.sent: list[Reply] = []
        self.events: list[Event] = []
        self.given: list[tuple[str, bytes, int]] = []
        self.disk_full = False
        self.failed_saves = 0
        self.changed = asyncio.Event()
        self.server = LeaseServer(
            Leasing((LAN, REMOTE), [BOX]),
            self.table,
            serves=lambda _: True,
            save=self._save,
            given=lambda address, mac: self.given.append((str(address), bytes(mac), len(self.sent))),
            emit=self.events.append,
            clock=lambda: 1000.0,
        )

    def _save(self, leases: Sequence[Lease]) -> None:
        self.changed.set()
        if self.disk_full:
            self.failed_saves += 1
            raise OSError("disk full")
        self.commits.append(list(leases))

    def _send(self, reply: Reply) -> None:
        self.sent.append(reply)
        self.changed.set()

    def ask(self, datagram: bytes) -> None:
        message = packet.decode(datagram)
        assert not isinstance(message, Ignore)
        self.server.answer(Question(message, BOX, self._send))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def hear(self, count: int = 1) -> list[str]:
        """The next answers, in words."""
        await self.until(lambda: len(self.sent) >= count)
        answers = [f"{each.message_type.name} {each.yiaddr}" for each in self.sent]
        self.sent.clear()
        return answers

    async def lease(self, mac: bytes) -> None:
        self.ask(says(DISCOVER, mac))
        await self.until(lambda: len(self.sent) == 1)
        self.ask(says(REQUEST, mac, wants=str(self.sent.pop().yiaddr), server=str(BOX)))
        assert (await self.hear())[0].startswith("ACK")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe takes a moment."""
    monkeypatch.setattr(lease_server, "PROBE_SECONDS", 0.02)


async def test_an_offer_waits_for_its_probe_and_is_probed_once() -> None:
    room = Room()
    room.ask(says(DISCOVER, A))
    room.ask(says(DISCOVER, A))
    assert (room.sent, room.table.nudged) == ([], [FIRST])
    assert await room.hear() == ["OFFER 10.77.0.100"]
    room.ask(says(DISCOVER, A))
    assert await room.hear() == ["OFFER 10.77.0.100"]
    assert room.table.nudged == [FIRST]


async def test_a_client_that_already_uses_its_address_is_not_a_conflict() -> None:
    room = Room()
    room.table.entries[FIRST] = Sighting(MacAddress.from_bytes(A), fresh=True)
    room.ask(says(DISCOVER, A))
    assert await room.hear() == ["OFFER 10.77.0.100"]


async def test_an_address_where_another_machine_answers_is_blocked_and_another_one_offered() -> None:
    room = Room()
    other = MacAddress.from_bytes(C)
    room.table.entries[FIRST] = Sighting(other, fresh=True)
    room.ask(says(DISCOVER, A))
    assert await room.hear() == ["OFFER 10.77.0.101"]
    assert room.table.nudged == [FIRST, SECOND]
    assert [(each.address, each.mac, each.state) for commit in room.commits for each in commit] == [
        (FIRST, other, State.BLOCKED)
    ]


async def test_an_old_neighbour_may_be_gone_so_its_address_is_not_blocked() -> None:
    room = Room()
    room.table.entries[FIRST] = Sighting(MacAddress.from_bytes(C), fresh=False)
    room.ask(says(DISCOVER, A))
    assert await room.hear() == ["OFFER 10.77.0.101"]
    assert room.commits == []


async def test_a_client_gets_no_answer_when_every_address_is_taken() -> None:
    room = Room()
    for address in LAN.dynamic:
        room.table.entries[address] = Sighting(MacAddress.from_bytes(C), fresh=True)
    room.ask(says(DISCOVER, A))
    full = Ignored("dhcp", str(MacAddress.from_bytes(A)), Reason.POOL_EMPTY)
    await room.until(lambda: bool(room.commits) and full in room.events)
    assert (room.sent, room.events) == ([], [full])


async def test_a_relay_of_an_unknown_network_is_reported() -> None:
    room = Room()
    room.ask(says(DISCOVER, A, giaddr="10.99.0.1"))
    assert room.events == [Ignored("dhcp", str(MacAddress.from_bytes(A)), Reason.NO_POOL, "relay 10.99.0.1")]
    assert room.sent == []


async def test_a_network_that_a_relay_names_is_reported() -> None:
    room = Room()
    room.ask(says(DISCOVER, A, giaddr=RELAY, link="10.99.0.0"))
    why = f"relay {RELAY}, for the network of 10.99.0.0"
    assert room.events == [Ignored("dhcp", str(MacAddress.from_bytes(A)), Reason.NO_POOL, why)]
    assert room.sent == []


async def test_behind_a_relay_nothing_is_probed() -> None:
    room = Room()
    room.ask(says(DISCOVER, A, giaddr=RELAY))
    assert [str(each.yiaddr) for each in room.sent] == ["10.88.0.100"]
    assert room.table.nudged == []


async def test_an_ack_leaves_after_its_lease_is_saved_and_many_share_a_commit() -> None:
    room = Room()
    macs = (A, B, C)
    for mac in macs:
        room.ask(says(DISCOVER, mac))
    await room.until(lambda: len(room.sent) == 3)
    offers, room.sent = room.sent, []
    for mac, offer in zip(macs, offers, strict=True):
        room.ask(says(REQUEST, mac, wants=str(offer.yiaddr), server=str(BOX)))
    assert (room.sent, room.commits) == ([], [])
    assert await room.hear(3) == ["ACK 10.77.0.100", "ACK 10.77.0.101", "ACK 10.77.0.102"]
    assert [len(commit) for commit in room.commits] == [3]


async def test_a_new_lease_is_reported_before_its_client_is_told() -> None:
    room = Room()
    await room.lease(A)
    assert room.given == [("10.77.0.100", A, 0)]
    room.ask(says(REQUEST, A, ciaddr="10.77.0.100"))
    assert await room.hear() == ["ACK 10.77.0.100"]
    assert len(room.given) == 1


async def test_a_lease_that_cannot_be_saved_is_acknowledged_from_memory_and_saved_later() -> None:
    room = Room()
    await room.lease(A)
    room.commits.clear()
    room.disk_full = True
    room.ask(says(DISCOVER, B))
    assert await room.hear() == ["OFFER 10.77.0.101"]
    room.ask(says(REQUEST, B, wants="10.77.0.101", server=str(BOX)))
    await room.until(lambda: room.failed_saves == 1)
    assert room.sent == [], "another process may have written for a moment"
    room.ask(says(REQUEST, A, ciaddr="10.77.0.100"))
    with pytest.raises(OSError, match="disk full"):
        room.server.flush()
    assert await room.hear(2) == ["ACK 10.77.0.101", "ACK 10.77.0.100"]
    room.ask(says(REQUEST, A, ciaddr="10.77.0.100"))
    assert [str(each.yiaddr) for each in room.sent] == ["10.77.0.100"], "now ACKs do not wait"
    assert (room.failed_saves, room.commits) == (2, [])
    room.disk_full = False
    room.server.flush()
    room.server.flush()
    assert [{str(each.address) for each in commit} for commit in room.commits] == [{"10.77.0.100", "10.77.0.101"}]


async def test_an_ack_waits_while_another_process_writes_for_a_moment() -> None:
    room = Room()
    room.disk_full = True
    room.ask(says(REQUEST, A, ciaddr="10.77.0.100"))
    await room.until(lambda: room.failed_saves == 1)
    room.disk_full = False
    assert room.sent == []
    room.server.flush()
    assert [len(commit) for commit in room.commits] == [1]
    assert await room.hear() == ["ACK 10.77.0.100"]
    room.commits.clear()
    room.ask(says(REQUEST, A, ciaddr="10.77.0.100"))
    assert room.sent == [], "ACKs wait for their commit again"
    assert await room.hear() == ["ACK 10.77.0.100"]
    assert [len(commit) for commit in room.commits] == [1]


async def test_leases_that_were_not_saved_at_close_can_be_saved_later() -> None:
    room = Room()
    room.disk_full = True
    room.ask(says(REQUEST, A, ciaddr="10.77.0.100"))
    room.server.close()
    assert await room.hear() == ["ACK 10.77.0.100"]
    room.disk_full = False
    room.server.flush()
    assert [len(commit) for commit in room.commits] == [1]
    assert room.sent == []


async def test_a_client_that_declines_gets_another_address() -> None:
    room = Room()
    await room.lease(A)
    room.ask(says(DECLINE, A, wants="10.77.0.100", server=str(BOX)))
    room.ask(says(DISCOVER, A))
    assert await room.hear() == ["OFFER 10.77.0.101"]


async def test_a_decline_of_an_address_that_its_client_uses_is_somebody_elses() -> None:
    room = Room()
    await room.lease(A)
    mac = MacAddress.from_bytes(A)
    room.table.entries[FIRST] = Sighting(mac, fresh=True)
    room.ask(says(DECLINE, A, wants="10.77.0.100", server=str(BOX)))
    assert room.events == [Ignored("dhcp", str(mac), Reason.STILL_USED, "10.77.0.100")]
    room.ask(says(DISCOVER, A))
    assert await room.hear() == ["OFFER 10.77.0.100"]


async def test_a_refusal_needs_neither_probe_nor_commit() -> None:
    room = Room()
    room.ask(says(REQUEST, A, wants="192.168.1.7"))
    assert [each.message_type for each in room.sent] == [MessageType.NAK]


async def test_closing_writes_the_unsaved_leases_and_offers_nothing_more() -> None:
    room = Room()
    room.ask(says(REQUEST, A, ciaddr="10.77.0.100"))
    room.ask(says(DISCOVER, B))
    room.server.close()
    room.server.close()
    assert [len(commit) for commit in room.commits] == [1]
    assert await room.hear() == ["ACK 10.77.0.100"]
    await asyncio.sleep(0.05)  # longer than the probe that was under way
    assert room.sent == []
