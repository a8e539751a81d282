"""The DHCP server without sockets: requests that are read together, and copies of requests."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, cast

import pytest

from services.decision import Reason
from services.dhcp.appetite import BURST
from services.dhcp.duplicates import MOST_STRANGERS, WITHIN
from services.dhcp.message import Peer
from services.dhcp.plan import BootPlan
from services.dhcp.server import DhcpServer
from services.ethernet import MacAddress
from services.events import Discovered, Event, Ignored, Offered
from tests.fakes.dhcp_client import DISCOVER, NOWHERE, REQUEST, Answer, firmware, message

BOX = IPv4Address("10.77.0.1")
PC, OTHER = bytes.fromhex("525400aabb01"), bytes.fromhex("525400aabb02")
PEER = (NOWHERE, 68)
LEASED = "10.77.0.100"


class RecordedServer:
    """A server, and a log of its events, its answers, its commits ("commit") and who was told of no IPv6 router (the
    MAC address), in order."""

    def __init__(self) -> None:
        self.now = 100.0
        self.file = "loader"
        self.disk_full = False
        self.basis: tuple[object, ...] = (object(), object())
        self.allowed = {int.from_bytes(each, "big") for each in (PC, OTHER)}
        self.known = set(self.allowed)
        self.log: list[Any] = []
        self.server = DhcpServer(
            "lan0",
            BOX,
            allowed=lambda value: value in self.allowed,
            knows=lambda value: value in self.known,
            plan=lambda _: BootPlan(self.file),
            emit=self.log.append,
            commit=self.commit,
            no_router=self.log.append,
            basis=lambda: self.basis,
            clock=lambda: self.now,
        )

    def commit(self) -> None:
        """Save the boots that were opened."""
        if self.disk_full:
            raise OSError("no space left on device")
        self.log.append("commit")

    def send(self, datagram: bytes, _: Peer) -> None:
        """As a UdpPort does."""
        self.log.append(Answer.parse(datagram))

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> dict[int, str]:
        """As a UdpPort does."""
        for answer in answers:
            self.send(*answer)
        return {}

    def wait(self, port: int = 67) -> list[Any]:
        """Have those served who wait, for one turn, and return what was logged since."""
        self.log.clear()
        self.others_wait = self.server.handle_waiting(cast(Any, self), port)
        return list(self.log)

    def hear(self, *datagrams: bytes, port: int = 67) -> list[Any]:
        """Pass in datagrams that were read together, and return what was logged since."""
        self.log.clear()
        peer = PEER if port == 67 else (LEASED, port)
        self.server.handle(cast(Any, self), port, [(each, peer) for each in datagrams])
        return list(self.log)


def discover(mac: bytes = PC, *, xid: int = 1, secs: int = 0) -> bytes:
    return message(DISCOVER, mac, firmware(7), xid=xid, secs=secs)


def kinds(log: Sequence[Any]) -> list[str]:
    return [each if isinstance(each, str) else type(each).__name__ for each in log]


def answers(log: Sequence[Any]) -> list[Answer]:
    return [each for each in log if isinstance(each, Answer)]


def test_boots_of_a_batch_are_committed_once_and_before_any_offer() -> None:
    assert kinds(RecordedServer().hear(discover(), discover(OTHER))) == [
        *("Discovered", "Discovered", "commit"),
        *("Answer", "Answer", "Offered", "Offered"),
    ]


def test_a_request_and_its_retry_in_one_batch_are_handled_one_after_the_other() -> None:
    """The box learns about firmware from this order: it is as if the server had read each request when it came."""
    log = RecordedServer().hear(discover(), discover(OTHER), discover(secs=4))
    events = [each for each in log if isinstance(each, Discovered | Offered) and bytes(each.mac) == PC]
    assert kinds(events) == ["Discovered", "Offered", "Discovered", "Offered"]
    assert [each.secs for each in events if isinstance(each, Discovered)] == [0, 4]


def test_a_copy_in_the_same_batch_is_recognised() -> None:
    log = RecordedServer().hear(discover(xid=1), discover(xid=2), discover(xid=3))
    assert sorted(answer.xid for answer in answers(log)) == [1, 2, 3]
    assert [kinds(log).count(kind) for kind in ("Discovered", "Offered")] == [1, 1]


def test_a_copy_gets_the_same_bytes_but_for_its_xid() -> None:
    server = RecordedServer()
    (first,) = answers(server.hear(discover(xid=1)))
    server.now += WITHIN / 2
    log = server.hear(*[discover(xid=xid) for xid in range(2, 200)])
    assert log[:-1] == [replace(first, xid=xid) for xid in range(2, 200)]
    assert log[-1] == "commit"


@pytest.mark.parametrize("secs", [0, 1, 4])
def test_a_retry_of_the_firmware_is_never_treated_as_a_copy(secs: int) -> None:
    """Firmware either counts secs, or waits longer than a copy is remembered."""
    server = RecordedServer()
    server.hear(discover())
    server.now += WITHIN if secs == 0 else 0.1
    assert kinds(server.hear(discover(secs=secs))) == ["Discovered", "commit", "Answer", "Offered"]


@pytest.mark.parametrize("which", [0, 1])
def test_no_answer_is_repeated_after_a_change_of_its_basis(which: int) -> None:
    server = RecordedServer()
    server.hear(discover())
    server.file = "another"
    server.basis = tuple(object() if each == which else kept for each, kept in enumerate(server.basis))
    (answer,) = answers(server.hear(discover()))
    assert answer.file == "another"


def test_after_a_new_discover_port_4011_is_answered_anew_too() -> None:
    """Firmware that could not boot from the first offer may get another one, and asks port 4011 the same as before."""
    server, asked = RecordedServer(), message(REQUEST, PC, firmware(7), ciaddr=LEASED)
    server.hear(discover())
    assert [answer.file for answer in answers(server.hear(asked, port=4011))] == ["loader"]
    server.file = "another"
    server.hear(discover(secs=4))
    assert [answer.file for answer in answers(server.hear(asked, port=4011))] == ["another"]


def test_a_pc_that_was_removed_from_the_allowlist_gets_nothing_from_memory() -> None:
    server = RecordedServer()
    server.hear(discover())
    server.allowed.clear()
    server.basis = (object(), server.basis[1])
    assert kinds(server.hear(discover())) == ["Ignored", "commit"]


def test_a_pc_that_was_added_to_the_allowlist_is_not_silenced_by_memory() -> None:
    server = RecordedServer()
    server.allowed.clear()
    assert kinds(server.hear(discover())) == ["Ignored", "commit"]
    assert kinds(server.hear(discover())) == ["commit"]
    server.allowed.add(int.from_bytes(PC, "big"))
    server.basis = (object(), server.basis[1])
    assert len(answers(server.hear(discover()))) == 1


def test_a_flood_of_strangers_is_reported_only_so_often() -> None:
    server = RecordedServer()
    server.allowed.clear()
    strangers = [discover(number.to_bytes(6, "big")) for number in range(2 * MOST_STRANGERS)]
    log: list[Event] = [each for each in server.hear(*strangers) if isinstance(each, Ignored)]
    assert len(log) == MOST_STRANGERS


def test_a_boot_that_cannot_be_committed_is_not_offered() -> None:
    server = RecordedServer()
    server.disk_full = True
    assert kinds(server.hear(discover())) == ["Discovered"]
    server.disk_full = False
    assert len(answers(server.hear(discover()))) == 1


def test_a_flood_of_one_pc_costs_a_few_answers_and_no_other_pc() -> None:
    """Each differs from the one before, as if the PC were still waiting: none is a copy."""
    server = RecordedServer()
    flood = [discover(xid=number, secs=number) for number in range(5000)]
    log = server.hear(*flood, discover(OTHER))
    assert len(answers(log)) == BURST + 1
    refused = [each for each in log if isinstance(each, Ignored)]
    assert [(each.reason, each.count) for each in refused] == [(Reason.TOO_OFTEN, 5000 - BURST)]


def test_both_ports_count_together() -> None:
    server = RecordedServer()
    server.hear(*[discover(secs=number) for number in range(BURST)])
    asked = message(REQUEST, PC, firmware(7), ciaddr=LEASED)
    assert kinds(server.hear(asked, port=4011)) == ["commit", "Ignored"]
    server.now += 1
    assert len(answers(server.hear(asked, port=4011))) == 1


def test_a_pc_that_has_booted_is_served_before_all_that_never_have() -> None:
    server = RecordedServer()
    server.known = {int.from_bytes(OTHER, "big")}
    assert [answer.mac for answer in answers(server.hear(discover(), discover(OTHER)))] == [OTHER]
    assert kinds(server.wait()) == ["Discovered", "commit", "Answer", "Offered"]
    assert not server.others_wait
    assert kinds(server.wait()) == ["commit"]


def test_a_turn_ends_in_time_and_the_next_one_goes_on() -> None:
    """Each request takes 3 ms here, and a turn 10."""
    server = RecordedServer()
    macs = [number.to_bytes(6, "big") for number in range(10)]
    server.allowed = {int.from_bytes(mac, "big") for mac in macs}
    server.known = set()

    def plan(_: object) -> BootPlan:
        server.now += 0.003
        return BootPlan("loader")

    server.server._plan = plan
    assert answers(server.hear(*map(discover, macs))) == []
    served, turns = [answer.mac for answer in answers(server.wait())], 1
    assert len(served) == 4
    while server.others_wait:
        served += [answer.mac for answer in answers(server.wait())]
        turns += 1
    assert (served, turns) == (macs, 3)


def test_a_pc_that_is_removed_from_the_allowlist_while_it_waits_gets_nothing() -> None:
    server = RecordedServer()
    server.known = set()
    server.hear(discover())
    server.allowed.clear()
    assert answers(server.wait()) == []


def test_a_flood_in_the_name_of_a_pc_that_never_booted_takes_no_place_from_others() -> None:
    server = RecordedServer()
    server.known = set()
    server.hear(discover(OTHER), *[discover(xid=number, secs=number) for number in range(5000)])
    assert {answer.mac for answer in answers(server.wait())} == {PC, OTHER}


def test_what_nobody_had_time_for_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    server = RecordedServer()
    macs = [number.to_bytes(6, "big") for number in range(5000)]
    server.allowed = {int.from_bytes(mac, "big") for mac in macs}
    server.known = set()
    for _ in range(3):
        server.now += 10
        server.hear(*map(discover, macs))
        server.now += 10
        server.wait()
    assert len([line for line in caplog.messages if "than can be answered" in line]) == 1


def ipxe(mac: bytes = PC, kind: int = DISCOVER, **fields: Any) -> bytes:
    return message(kind, mac, firmware(0, (77, b"iPXE")), **fields)


def told(log: Sequence[Any]) -> list[bytes]:
    return [bytes(each) for each in log if isinstance(each, MacAddress)]


def test_an_ipxe_that_has_its_offer_is_told_that_there_is_no_ipv6_router() -> None:
    server = RecordedServer()
    assert kinds(server.hear(ipxe())) == ["Discovered", "commit", "Answer", "Offered", "MacAddress"]
    assert told(server.hear(ipxe(OTHER), discover(OTHER, xid=2))) == [OTHER]
    assert told(server.hear(ipxe(xid=7))) == [], "a copy of what was just answered"
    server.now += 4
    assert told(server.hear(ipxe(secs=4))) == [PC]


def test_nobody_else_is_told() -> None:
    """Firmware and operating systems use IPv6 for themselves; a multicast address would reach them all."""
    server = RecordedServer()
    everyone, stranger = bytes.fromhex("333300000001"), bytes.fromhex("525400aabb03")
    server.allowed |= {int.from_bytes(everyone, "big")}
    server.known = set(server.allowed)
    assert told(server.hear(discover(), message(DISCOVER, OTHER, []))) == []
    assert told(server.hear(ipxe(stranger), ipxe(everyone))) == []
    assert told(server.hear(ipxe(kind=REQUEST, ciaddr=LEASED))) == []
    assert told(server.hear(ipxe(giaddr="10.77.0.9"))) == [], "behind a relay"
    assert told(server.hear(ipxe(OTHER, REQUEST, ciaddr=LEASED), port=4011)) == []


def test_who_gets_no_offer_is_told_nothing() -> None:
    server = RecordedServer()
    server.disk_full = True
    assert told(server.hear(ipxe())) == []
