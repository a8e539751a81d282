"""The DHCP sockets without sockets: what becomes of requests that are read together, and of copies."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, cast

import pytest

from services.dhcp.duplicates import MOST_STRANGERS, WITHIN
from services.dhcp.message import Peer
from services.dhcp.plan import BootPlan
from services.dhcp.server import ProxyDhcp
from services.events import Discovered, Event, Ignored, Offered
from tests.fakes.dhcp_client import DISCOVER, NOWHERE, REQUEST, Answer, firmware, message

BOX = IPv4Address("10.77.0.1")
PC, OTHER = bytes.fromhex("525400aabb01"), bytes.fromhex("525400aabb02")
PEER = (NOWHERE, 68)
LEASED = "10.77.0.100"


class Desk:
    """A server that takes down what it says and sends, in order: events, answers, and "commit"."""

    def __init__(self) -> None:
        self.now = 100.0
        self.file = "loader"
        self.full = False
        self.basis: tuple[object, ...] = (object(), object())
        self.allowed = {int.from_bytes(each, "big") for each in (PC, OTHER)}
        self.log: list[Any] = []
        self.box = ProxyDhcp(
            "lan0",
            BOX,
            allowed=lambda value: value in self.allowed,
            plan=lambda _: BootPlan(self.file),
            emit=self.log.append,
            commit=self.commit,
            basis=lambda: self.basis,
            clock=lambda: self.now,
        )

    def commit(self) -> None:
        """Of what was opened."""
        if self.full:
            raise OSError("no space left on device")
        self.log.append("commit")

    def send(self, datagram: bytes, _: Peer) -> None:
        """In the place of a socket."""
        self.log.append(Answer.parse(datagram))

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> None:
        """The same."""
        for answer in answers:
            self.send(*answer)

    def hear(self, *datagrams: bytes, port: int = 67) -> list[Any]:
        """Hand in what was read together; what was said and sent since."""
        self.log.clear()
        peer = PEER if port == 67 else (LEASED, port)
        self.box.hear(cast(Any, self), port, [(each, peer) for each in datagrams])
        return list(self.log)


def discover(mac: bytes = PC, *, xid: int = 1, secs: int = 0) -> bytes:
    return message(DISCOVER, mac, firmware(7), xid=xid, secs=secs)


def kinds(said: Sequence[Any]) -> list[str]:
    return [each if isinstance(each, str) else type(each).__name__ for each in said]


def answers(said: Sequence[Any]) -> list[Answer]:
    return [each for each in said if isinstance(each, Answer)]


def test_boots_of_a_batch_are_committed_once_and_before_any_offer() -> None:
    assert kinds(Desk().hear(discover(), discover(OTHER))) == [
        *("Discovered", "Discovered", "commit"),
        *("Answer", "Offered", "Answer", "Offered"),
    ]


def test_what_waited_with_its_retry_is_told_one_after_the_other() -> None:
    """As the adaptive responder would have heard it, had the server read each as it came."""
    said = Desk().hear(discover(), discover(OTHER), discover(secs=4))
    events = [each for each in said if isinstance(each, Discovered | Offered) and bytes(each.mac) == PC]
    assert kinds(events) == ["Discovered", "Offered", "Discovered", "Offered"]
    assert [each.secs for each in events if isinstance(each, Discovered)] == [0, 4]


def test_a_copy_in_the_same_batch_is_one() -> None:
    said = Desk().hear(discover(xid=1), discover(xid=2), discover(xid=3))
    assert sorted(answer.xid for answer in answers(said)) == [1, 2, 3]
    assert [kinds(said).count(kind) for kind in ("Discovered", "Offered")] == [1, 1]


def test_a_copy_gets_the_same_bytes_but_for_its_xid() -> None:
    desk = Desk()
    (first,) = answers(desk.hear(discover(xid=1)))
    desk.now += WITHIN / 2
    said = desk.hear(*[discover(xid=xid) for xid in range(2, 200)])
    assert said[:-1] == [replace(first, xid=xid) for xid in range(2, 200)]
    assert said[-1] == "commit"


@pytest.mark.parametrize("secs", [0, 1, 4])
def test_a_retry_of_the_firmware_is_never_taken_for_a_copy(secs: int) -> None:
    """Whoever counts secs says so, and who does not waits longer than a copy is known."""
    desk = Desk()
    desk.hear(discover())
    desk.now += WITHIN if secs == 0 else 0.1
    assert kinds(desk.hear(discover(secs=secs))) == ["Discovered", "commit", "Answer", "Offered"]


@pytest.mark.parametrize("which", [0, 1])
def test_nothing_is_repeated_that_rests_on_what_has_changed(which: int) -> None:
    desk = Desk()
    desk.hear(discover())
    desk.file = "another"
    desk.basis = tuple(object() if each == which else kept for each, kept in enumerate(desk.basis))
    (answer,) = answers(desk.hear(discover()))
    assert answer.file == "another"


def test_who_asks_anew_is_told_anew_by_the_boot_server_too() -> None:
    """Firmware that took the first offer in vain may be offered another one, and asks port 4011 what it always asks."""
    desk, asked = Desk(), message(REQUEST, PC, firmware(7), ciaddr=LEASED)
    desk.hear(discover())
    assert [answer.file for answer in answers(desk.hear(asked, port=4011))] == ["loader"]
    desk.file = "another"
    desk.hear(discover(secs=4))
    assert [answer.file for answer in answers(desk.hear(asked, port=4011))] == ["another"]


def test_who_is_taken_from_the_list_gets_nothing_from_memory() -> None:
    desk = Desk()
    desk.hear(discover())
    desk.allowed.clear()
    desk.basis = (object(), desk.basis[1])
    assert kinds(desk.hear(discover())) == ["Ignored", "commit"]


def test_who_comes_onto_the_list_is_not_silenced_by_memory() -> None:
    desk = Desk()
    desk.allowed.clear()
    assert kinds(desk.hear(discover())) == ["Ignored", "commit"]
    assert kinds(desk.hear(discover())) == ["commit"]
    desk.allowed.add(int.from_bytes(PC, "big"))
    desk.basis = (object(), desk.basis[1])
    assert len(answers(desk.hear(discover()))) == 1


def test_a_flood_of_strangers_says_only_so_much() -> None:
    desk = Desk()
    desk.allowed.clear()
    strangers = [discover(number.to_bytes(6, "big")) for number in range(2 * MOST_STRANGERS)]
    said: list[Event] = [each for each in desk.hear(*strangers) if isinstance(each, Ignored)]
    assert len(said) == MOST_STRANGERS


def test_a_boot_that_cannot_be_committed_is_offered_to_nobody() -> None:
    desk = Desk()

    desk.full = True
    assert kinds(desk.hear(discover())) == ["Discovered"]
    desk.full = False
    assert len(answers(desk.hear(discover()))) == 1
