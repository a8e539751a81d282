"""The thread that wakes PCs, with a real registry and a clock of its own. What leaves is written down here; that it is
seen on the wire is the matter of tests/netns/test_wake.py."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.config.file import load
from appliance.control import waking
from appliance.control.waking import Waker
from appliance.errors import UserError
from appliance.journal.recorder import Journal
from appliance.registry.database import Registry
from appliance.schedules import holds, respites
from appliance.schedules.hold import Hold
from appliance.wake import requests
from appliance.wake.request import WakeResult
from services.ethernet import MacAddress, MacRange
from services.events import AddressSeen, Discovered, ScriptServed
from services.linux import broadcasts
from services.linux.interfaces import Interface
from services.wake_on_lan import magic_packet

A, B, C = (MacAddress(0x525400AABB01 + number) for number in range(3))
BEGAN = 1_790_000_000.0
ROUTED = IPv4Address("10.88.0.255")
SETTINGS = """
[server]
interfaces = ["pcs", "more"]
data = "{data}"
[nfs]
networks = ["10.77.0.0/24", "10.88.0.0/24"]
[wake]
per_minute = 20
retry_every = 60
tries = 3
[[wake.passwords]]
for = ["room 12"]
password = "1.2.3.4"
"""
PACKET = {mac: magic_packet(mac, bytes([1, 2, 3, 4])) for mac in (A, B, C)}


class DarkRoom:
    """Three PCs that are off. `sent`: when each packet left, for whom, and where to."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = data / "c.toml"
        self.path.write_text(SETTINGS.format(data=data))
        self.config = load(self.path)
        self.now = BEGAN
        self.interfaces = [
            Interface("pcs", 2, IPv4Interface("10.77.0.1/24"), MacAddress(1)),
            Interface("more", 3, IPv4Interface("10.66.0.1/24"), MacAddress(2)),
        ]
        self.sent: list[tuple[float, bytes, str]] = []
        self.broken: set[str] = set()
        monkeypatch.setattr(waking, "interfaces", lambda _: self._interfaces())
        monkeypatch.setattr(broadcasts, "send_on", lambda to, packet, _: self._send(to.name, packet))
        monkeypatch.setattr(broadcasts, "send_to", lambda to, packet, _: self._send(str(to), packet))
        self.registry = Registry(self.config.registry)
        self.registry.allow([Entry(MacRange(A, C), "room 12")])
        self.journal = Journal(self.registry, lambda: self.now, lambda *_: None)
        self.waker = self.start()

    def start(self) -> Waker:
        """A control process that begins now."""
        self.waker = Waker(lambda: self.config, lambda: self.now, lambda: self.now)
        return self.waker

    def _interfaces(self) -> list[Interface]:
        if not self.interfaces:
            raise UserError("no network interface has an IPv4 address")
        return self.interfaces

    def _send(self, to: str, packet: bytes) -> None:
        if to in self.broken:
            raise PermissionError(1, "Operation not permitted")
        self.sent.append((self.now - BEGAN, packet, to))

    def ask(self, *macs: MacAddress, by: str = "hand") -> None:
        requests.ask(self.registry, macs, by, self.now)

    def boot(self, mac: MacAddress, address: str = "") -> None:
        self.journal.open_or_continue(Discovered(mac, 0, ipxe=False, xid=int(self.now), secs=0), "")
        self.journal.record(ScriptServed(mac))
        if address:
            self.journal.record(AddressSeen(mac, IPv4Address(address)))
        self.journal.flush()

    def looks(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.waker.step()

    def times(self, mac: MacAddress) -> list[float]:
        """When the packets for this PC left."""
        return sorted({at for at, packet, _ in self.sent if packet == PACKET[mac]})

    @property
    def results(self) -> list[WakeResult | None]:
        return [each.result for each in requests.all_of(self.registry)]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DarkRoom]:
    found = DarkRoom(tmp_path, monkeypatch)
    yield found
    found.registry.close()


def test_nothing_is_sent_while_nobody_asks(room: DarkRoom) -> None:
    room.looks(100)
    assert room.sent == []


def test_a_packet_goes_everywhere_for_a_pc_of_which_nobody_knows_where_it_is(room: DarkRoom) -> None:
    room.looks(10)
    room.ask(A)
    room.looks(1)
    assert room.sent == [(11, PACKET[A], "pcs"), (11, PACKET[A], "more"), (11, PACKET[A], str(ROUTED))]


def test_one_that_was_seen_on_the_networks_of_the_interfaces_is_not_sought_behind_routers(room: DarkRoom) -> None:
    room.boot(A, "10.77.0.9")
    room.boot(B, "10.88.0.9")
    room.now += 3600
    room.ask(A, B)
    room.looks(10)
    assert [to for _, packet, to in room.sent if packet == PACKET[A]] == ["pcs", "more"]
    assert [to for _, packet, to in room.sent if packet == PACKET[B]] == ["pcs", "more", str(ROUTED)]


def test_a_room_is_woken_one_by_one_and_who_came_gets_no_more(room: DarkRoom, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    room.looks(10)
    room.ask(A, B, C)
    room.looks(20)
    assert [room.times(mac) for mac in (A, B, C)] == [[11], [14], [17]], "20 in a minute are one in three seconds"
    room.boot(B)
    room.looks(400)
    assert room.results == [WakeResult.DID_NOT_COME, WakeResult.CAME, WakeResult.DID_NOT_COME]
    assert [room.times(mac) for mac in (A, B, C)] == [[11, 71, 131], [14], [17, 77, 137]]
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("INFO", f"woken PCs: came: room 12 ({B})"),
        ("WARNING", f"woken PCs: did not come: room 12 ({A})"),
        ("WARNING", f"woken PCs: did not come: room 12 ({C})"),
    ]


def test_a_process_that_is_killed_again_and_again_sends_no_storm_and_loses_nobody(room: DarkRoom) -> None:
    room.ask(A, B, C)
    for _ in range(120):
        room.start()
        room.looks(4)
    assert all(len(room.times(mac)) == 3 for mac in (A, B, C))
    times = sorted(at for mac in (A, B, C) for at in room.times(mac))
    assert min(later - at for at, later in pairwise(times)) >= 3
    room.looks(200)
    assert room.results == [WakeResult.DID_NOT_COME] * 3


def test_a_process_that_is_killed_before_the_packet_leaves_sends_the_next_one(
    room: DarkRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    room.ask(A)
    with monkeypatch.context() as patch:
        patch.setattr(broadcasts, "send_on", kill)
        with pytest.raises(KeyboardInterrupt):
            room.looks(10)
    room.start()
    room.looks(70)
    assert room.times(A) == [63]
    assert [each.tries for each in requests.all_of(room.registry)] == [2]


def test_without_an_interface_no_try_is_spent(room: DarkRoom) -> None:
    gone, room.interfaces = room.interfaces, []
    room.ask(A)
    for _ in range(30):
        room.now += 1
        with suppress(UserError):
            room.waker.step()
    room.interfaces = gone
    room.looks(3)
    assert len(room.times(A)) == 1
    assert [each.tries for each in requests.all_of(room.registry)] == [1]


def test_a_network_that_cannot_be_reached_keeps_the_packet_from_no_other(
    room: DarkRoom, caplog: pytest.LogCaptureFixture
) -> None:
    room.broken = {"pcs"}
    room.ask(A)
    room.looks(200)
    assert {to for _, _, to in room.sent} == {"more", str(ROUTED)}
    assert [each.getMessage() for each in caplog.records if "cannot" in each.getMessage()] == [
        "cannot send magic packets on pcs: Operation not permitted"
    ], "once, and not for each packet"


def test_a_change_of_the_pace_counts_at_once(room: DarkRoom) -> None:
    room.path.write_text(room.path.read_text().replace("per_minute = 20", "per_minute = 6000"))
    room.config = load(room.path)
    room.ask(A, B, C)
    room.looks(2)
    assert [room.times(mac) for mac in (A, B, C)] == [[1], [1], [1]]


class TestAtStart:
    """A schedule that wakes: its windows are every night from 20:00 to 06:00 UTC."""

    EVENING = BEGAN + 72000 - BEGAN % 86400

    @pytest.fixture
    def night(self, room: DarkRoom) -> DarkRoom:
        with room.path.open("a") as file:
            file.write('[schedules.night]\nwindows = ["20:00-06:00"]\ntime_zone = "UTC"\nat_start = "wake"\n')
        room.config = load(room.path)
        room.registry.allow([Entry(MacRange(A, C), "room 12", BootSettings(schedule="night"))])
        for mac in (A, B):
            room.boot(mac)
        room.now = self.EVENING - 100
        return room

    @staticmethod
    def asked(room: DarkRoom) -> list[tuple[MacAddress, str, float]]:
        return [(each.mac, each.asked_by, each.asked - room.now) for each in requests.all_of(room.registry)]

    def test_its_pcs_are_woken_once_in_each_window(self, night: DarkRoom) -> None:
        night.looks(90)
        assert self.asked(night) == []
        night.looks(20)
        asked = self.asked(night)
        assert [(mac, by) for mac, by, _ in asked] == [(A, "schedule night"), (B, "schedule night")], (
            "one that has never booted is not known"
        )
        assert all(-10 <= at <= 0 for _, _, at in asked)
        night.looks(1000)
        night.start()
        night.looks(100)
        assert night.results == [WakeResult.DID_NOT_COME] * 2
        night.now = self.EVENING + 86400
        night.looks(10)
        assert len(self.asked(night)) == 4

    def test_a_server_that_was_off_wakes_later_while_enough_is_left(self, night: DarkRoom) -> None:
        night.now = self.EVENING + 36000 - 1900
        night.start()
        night.looks(20)
        assert len(self.asked(night)) == 2

    def test_a_server_that_was_off_until_the_morning_wakes_nobody(self, night: DarkRoom) -> None:
        night.now = self.EVENING + 36000 - 1700
        night.start()
        night.looks(1600)
        assert self.asked(night) == []

    def test_a_pc_that_is_called_off_by_hand_stays_off(self, night: DarkRoom) -> None:
        night.now = self.EVENING
        night.start()
        night.looks(1)
        requests.end(night.registry, {1: WakeResult.CANCELLED, 2: WakeResult.CANCELLED}, night.now)
        night.looks(600)
        assert night.sent == []

    def test_a_window_that_ends_ends_what_it_asked_for(self, night: DarkRoom) -> None:
        night.now = self.EVENING + 36000 - 60
        night.ask(A, by="schedule night")
        night.ask(B)
        night.looks(61)
        assert night.results == [WakeResult.WINDOW_OVER, None]

    def test_a_pc_that_its_owner_has_is_woken_when_the_respite_is_over(self, night: DarkRoom) -> None:
        respites.give(night.registry, A, night.now, self.EVENING + 300)
        night.now = self.EVENING
        night.looks(299)
        assert night.times(A) == []
        assert night.times(B)
        night.looks(10)
        assert len(night.times(A)) == 1

    def test_a_room_that_is_held_on_is_woken_at_noon(self, night: DarkRoom) -> None:
        night.now = self.EVENING - 5 * 3600
        night.start()
        holds.put(night.registry, Hold("Room 12", True, night.now, night.now + 7200))
        night.looks(20)
        assert [(mac, by) for mac, by, _ in self.asked(night)] == [(A, "room Room 12"), (B, "room Room 12")]
        night.looks(1000)
        assert night.results == [WakeResult.DID_NOT_COME] * 2, "once"

    def test_one_that_is_held_off_is_not_woken_and_what_was_asked_for_ends(self, night: DarkRoom) -> None:
        night.ask(A, by="schedule night")
        holds.put(night.registry, Hold("room 12", False, night.now))
        night.looks(400)
        assert night.results == [WakeResult.WINDOW_OVER]

    def test_one_that_is_held_on_in_its_window_wakes_again_who_went_off(self, night: DarkRoom) -> None:
        night.now = self.EVENING
        night.start()
        night.looks(1000)
        assert len(self.asked(night)) == 2
        holds.put(night.registry, Hold("room 12", True, night.now, None))
        night.looks(20)
        assert [by for _, by, _ in self.asked(night)] == ["schedule night"] * 2 + ["room room 12"] * 2
