"""The journal: which boot an event belongs to, what a restart still knows, what is published how often."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.journal import recorder
from appliance.journal.history import history
from appliance.journal.recorder import Journal
from appliance.journal.timeline import Boot, Stage
from appliance.registry.database import Registry
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    Event,
    GaveUp,
    Ignored,
    LeaseChosen,
    Offered,
    Reported,
    Returned,
    ScriptServed,
    SecretsClosed,
    SecretsServed,
    TokenExchanged,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
OTHER = MacAddress.parse("52:54:00:aa:bb:dd")
A, B = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6")


@dataclass
class Desk:
    """A journal with a clock that stands still until a test moves it."""

    registry: Registry
    now: float = 1000.0
    published: list[Event] = field(default_factory=list)

    def journal(self) -> Journal:
        return Journal(self.registry, lambda: self.now, lambda event, _: self.published.append(event))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Registry(tmp_path / "r.sqlite3") as registry:
        yield Desk(registry)


def discover(mac: MacAddress = MAC, *, ipxe: bool = False) -> Discovered:
    return Discovered(mac, 7, ipxe, 1, 0)


def boot_of(journal: Journal, mac: MacAddress = MAC) -> Boot:
    boot = journal.boot(mac)
    assert boot is not None
    return boot


def test_every_event_survives_a_restart(desk: Desk) -> None:
    journal = desk.journal()
    journal.open_or_continue(discover(), "r1")
    for event in (
        Offered(MAC, "x", 67),
        TransferProgressed(MAC, "tftp", "snponly.efi", 10, 20),
        TransferServed(MAC, "tftp", "snponly.efi", 20, 0.5),
        AddressSeen(MAC, A),
        LeaseChosen(MAC, A, ours=False),
        ScriptServed(MAC, "http"),
        TransferFailed(MAC, "http", "vmlinuz", 5, "gone"),
        TokenExchanged(MAC, "spent"),
        SecretsServed(MAC),
        SecretsClosed(MAC, "loader"),
        Returned(MAC, 2, 900.0, "loader", "snponly.efi", 1.5),
        GaveUp(MAC, 5),
        Reported(MAC, "attached", {"hostid": "3"}),
    ):
        journal.record(event)
    journal.flush()
    again = desk.journal().boot(MAC)
    assert again == journal.boot(MAC)
    assert again is not None
    assert again.stage is Stage.ATTACHED
    assert [b.id for b in history(desk.registry, MAC)] == [again.id]


def test_a_token_is_known_after_a_kill_without_a_flush(desk: Desk) -> None:
    journal = desk.journal()
    journal.open_or_continue(discover(), "r1")
    token = journal.open_or_continue(ScriptServed(MAC), "r1").token
    assert boot_of(desk.journal()).token == token
    desk.now += 1000
    journal.record(Reported(MAC, "reported"))
    token = journal.open_or_continue(discover(), "r1").token
    assert boot_of(desk.journal()).token == token


def test_an_exchanged_token_is_known_after_a_kill_without_a_flush(desk: Desk) -> None:
    journal = desk.journal()
    before = journal.open_or_continue(ScriptServed(MAC), "r1")
    after = journal.exchange_token(before, TokenExchanged(MAC, "spent"))
    assert after.token != before.token
    assert boot_of(journal) == after
    assert boot_of(desk.journal()) == after
    assert (after.exchanged, after.spent_token) == (desk.now, "spent")
    journal.record(Reported(MAC, "root-mounted"))
    assert boot_of(journal).spent_token == ""


def test_a_script_after_the_exchange_is_that_of_another_boot(desk: Desk) -> None:
    """Whoever asks for it gets a token of its own, not the one that the live system got in exchange."""
    journal = desk.journal()
    before = journal.open_or_continue(ScriptServed(MAC), "r1")
    after = journal.exchange_token(before, TokenExchanged(MAC, "spent"))
    assert journal.open_or_continue(ScriptServed(MAC), "r1").token not in (before.token, after.token)


def test_a_new_power_on_has_a_new_token_and_inherits_the_addresses(desk: Desk) -> None:
    journal = desk.journal()
    first = journal.open_or_continue(discover(), "r1")
    journal.record(AddressSeen(MAC, A))
    journal.record(ScriptServed(MAC))
    second = journal.open_or_continue(discover(), "r2")
    assert second.token != first.token
    assert second.id != first.id
    assert second.known_addresses == (A,)
    journal.flush()
    assert boot_of(desk.journal()).known_addresses == (A,)


@pytest.mark.parametrize("sign", [TransferProgressed(MAC, "tftp", "snponly.efi", 0, 20), ScriptServed(MAC)])
def test_a_boot_can_begin_without_dhcp(desk: Desk, sign: TransferProgressed | ScriptServed) -> None:
    journal = desk.journal()
    first = journal.open_or_continue(sign, "r1")
    assert journal.open_or_continue(ScriptServed(MAC), "r1").token == first.token
    journal.record(Reported(MAC, "reported"))
    journal.record(AddressSeen(MAC, A))
    second = journal.open_or_continue(sign, "r2")
    assert second.token != first.token
    journal.flush()
    assert boot_of(desk.journal()) == boot_of(journal)
    assert [boot.token for boot in history(desk.registry, MAC)] == [first.token, second.token]


def test_an_address_belongs_to_the_client_seen_there_last(desk: Desk) -> None:
    journal = desk.journal()
    journal.open_or_continue(discover(), "r")
    journal.open_or_continue(discover(OTHER), "r")
    journal.record(AddressSeen(MAC, A))
    journal.record(AddressSeen(OTHER, A))
    assert boot_of(journal).known_addresses == ()
    assert boot_of(journal, OTHER).known_addresses == (A,)
    journal.flush()
    restarted = desk.journal()
    restarted.record(AddressSeen(MAC, A))
    assert boot_of(restarted, OTHER).known_addresses == ()


def test_a_lost_address_is_remembered_past_a_forged_discover_and_a_restart(desk: Desk) -> None:
    journal = desk.journal()
    journal.open_or_continue(discover(), "r")
    journal.record(AddressSeen(MAC, A))
    journal.record(ScriptServed(MAC))
    assert journal.holder(A) == MAC
    assert journal.take_address_from_others(A, OTHER)
    assert (journal.holder(A), boot_of(journal).lost) == (None, (A,))
    journal.open_or_continue(discover(), "r")
    journal.flush()
    assert boot_of(desk.journal()).lost == boot_of(journal).lost == (A,)


def test_an_address_of_an_earlier_boot_is_nobodys(desk: Desk) -> None:
    journal = desk.journal()
    journal.open_or_continue(discover(), "r")
    journal.record(AddressSeen(MAC, A))
    journal.record(ScriptServed(MAC))
    journal.open_or_continue(discover(), "r")
    journal.record(ScriptServed(MAC))
    assert not journal.take_address_from_others(A, OTHER)
    assert (journal.holder(A), boot_of(journal).lost) == (None, ())


def test_progress_does_not_pile_up_between_two_flushes(desk: Desk) -> None:
    journal = desk.journal()
    boot = journal.open_or_continue(discover(), "r")
    for sent in range(50):
        journal.record(TransferProgressed(MAC, "http", "initrd.img", sent, 50))
    journal.flush()
    kinds = [kind for _, kind, _ in desk.registry.events(boot.id)]
    assert kinds == ["Discovered", "TransferProgressed"]
    assert boot_of(desk.journal()).transfers[0].sent == 49


def test_what_a_boot_came_to_is_kept_though_the_next_one_follows_at_once(desk: Desk) -> None:
    """A PC whose live system fails starts again before its last words are written."""
    journal = desk.journal()
    first = journal.open_or_continue(ScriptServed(MAC), "r1")
    journal.flush()
    journal.record(TransferServed(MAC, "http", "image/r1/vmlinuz", 9, 0.1))
    journal.record(Reported(MAC, "failed", {"reason": "no live system"}))
    ended = boot_of(journal, MAC)
    second = journal.open_or_continue(discover(), "r1")
    journal.flush()
    assert second.id != first.id
    assert history(desk.registry, MAC, before=second.id) == [ended]
    assert ended.failure == "no live system"


def test_an_event_of_a_client_without_a_boot_is_dropped(desk: Desk) -> None:
    journal = desk.journal()
    journal.record(AddressSeen(MAC, A))
    journal.flush()
    assert journal.boots() == []


def test_a_refusal_is_published_once_an_hour_and_counted_every_time(desk: Desk) -> None:
    journal = desk.journal()
    for _ in range(5):
        journal.record(Ignored("dhcp", str(MAC), Reason.NOT_ALLOWED))
    journal.record(Ignored("tftp", str(MAC), Reason.NOT_ALLOWED))
    journal.flush()
    assert len(desk.published) == 2
    assert sorted((row.service, row.count) for row in desk.registry.ignored()) == [("dhcp", 5), ("tftp", 1)]
    desk.now += 3601
    journal.record(Ignored("dhcp", str(MAC), Reason.NOT_ALLOWED))
    assert len(desk.published) == 3


def test_a_flood_of_strangers_is_bounded(desk: Desk) -> None:
    journal = desk.journal()
    for number in range(5000):
        journal.record(Ignored("dhcp", str(MacAddress(number)), Reason.NOT_ALLOWED))
    journal.flush()
    assert len(desk.registry.ignored()) <= 1001


def test_what_cannot_be_written_stays_in_memory_and_is_written_later(desk: Desk, tmp_path: Path) -> None:
    journal = desk.journal()
    known = journal.open_or_continue(discover(), "r1")
    desk.registry.wait_for_locks(0)
    with Registry(tmp_path / "r.sqlite3") as other, other.transaction():
        new = journal.open_or_continue(discover(OTHER), "r1")
        journal.record(ScriptServed(OTHER))
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                journal.flush()
        again = journal.open_or_continue(TransferProgressed(OTHER, "tftp", "snponly.efi", 0, 20), "r1")
        assert again.token == new.token
        assert desk.registry.client(OTHER) is None
    assert (new.id, [client.mac for client in journal.clients()]) == (known.id + 1, [OTHER])
    journal.flush()
    assert boot_of(desk.journal(), OTHER) == boot_of(journal, OTHER)
    assert desk.registry.client(OTHER) == journal.client(OTHER)
    assert desk.journal().open_or_continue(discover(MacAddress(7)), "r1").id == new.id + 1


def test_what_waits_to_be_written_is_bounded(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_EVENTS_HELD", 5)
    monkeypatch.setattr(recorder, "_BOOTS_HELD", 2)
    journal = desk.journal()
    desk.registry.wait_for_locks(0)
    with Registry(tmp_path / "r.sqlite3") as other, other.transaction():
        boots = [journal.open_or_continue(ScriptServed(MacAddress(number)), "r") for number in range(1, 10)]
    journal.flush()
    assert [row.id for row in desk.registry.latest_boots()] == [boot.id for boot in boots[-2:]]
    assert len(journal.boots()) == len(boots)


def test_boots_of_a_batch_are_committed_together(desk: Desk) -> None:
    journal = desk.journal()
    macs = [MacAddress(MAC.value + number) for number in range(20)]
    for mac in macs:
        journal.open_or_continue(ScriptServed(mac), "r")
        journal.record(Reported(mac, "reported"))
    journal.flush()
    known = {boot.mac: boot.token for boot in desk.journal().boots()}
    tokens = {mac: journal.open_or_continue(discover(mac), "r", commit=False).token for mac in macs}
    assert {boot.mac: boot.token for boot in desk.journal().boots()} == known
    journal.commit()
    assert {boot.mac: boot.token for boot in desk.journal().boots()} == tokens


def test_endless_discovers_are_not_published_endlessly(desk: Desk) -> None:
    journal = desk.journal()
    for _ in range(50):
        desk.now += 0.1
        journal.open_or_continue(discover(), "r")
    assert len(desk.published) == 3
    journal.open_or_continue(discover(ipxe=True), "r")
    assert len(desk.published) == 4
