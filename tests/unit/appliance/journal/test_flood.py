"""What anybody can broadcast in the name of an allowed PC lets neither memory nor the registry grow."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.heartbeats import orders, store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.journal import numbers, recorder
from appliance.journal.newcomers import MOST_NEWCOMERS
from appliance.journal.recorder import Journal
from appliance.journal.refusals import MOST_SENDERS, ROWS_OF_A_SENDER
from appliance.journal.timeline import MOST_ADDRESSES, Stage
from appliance.registry import forgetting
from appliance.registry.database import Registry
from appliance.registry.overview import count_boots, newcomers_boots
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    EntryStarted,
    Event,
    Ignored,
    LeaseChosen,
    Offered,
    Reported,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)
from services.http.heartbeats import OrderVerb

MAC = MacAddress.parse("52:54:00:aa:bb:01")
BASE = int(IPv4Address("10.99.0.0"))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def discover(xid: int = 1) -> Discovered:
    return Discovered(MAC, architecture=7, ipxe=False, xid=xid, secs=0)


def test_repetitions_are_not_written_again(registry: Registry) -> None:
    journal = Journal(registry, lambda: 1000.0, lambda *_: None)
    for xid in range(300):
        boot = journal.open_or_continue(discover(xid), "r")
        journal.record(Offered(MAC, "snponly.efi", 67))
        journal.record(AddressSeen(MAC, IPv4Address(BASE)))
        journal.record(LeaseChosen(MAC, IPv4Address("10.77.0.2"), ours=False))
    journal.flush()
    kinds = [kind for _, kind, _ in registry.events(boot.id)]
    assert kinds == ["Discovered", "Offered", "AddressSeen", "LeaseChosen"]


def test_only_so_much_of_what_is_made_up_is_written(registry: Registry) -> None:
    journal = Journal(registry, lambda: 1000.0, lambda *_: None)
    boot = journal.open_or_continue(discover(), "r")
    journal.record(TransferServed(MAC, "tftp", "snponly.efi", 1, 0.1))
    for number in range(500):
        journal.record(LeaseChosen(MAC, IPv4Address(BASE + number), ours=False))
    journal.record(ScriptServed(MAC))
    journal.flush()
    kinds = [kind for _, kind, _ in registry.events(boot.id)]
    assert len(kinds) == 203
    assert kinds[-1] == "ScriptServed", "what only a confirmed peer can do is written too"
    assert Journal(registry, lambda: 1000.0, lambda *_: None).boot(MAC) == journal.boot(MAC), "the state has it all"


def test_the_latest_addresses_of_a_boot_are_kept(registry: Registry) -> None:
    journal = Journal(registry, lambda: 1000.0, lambda *_: None)
    journal.open_or_continue(discover(), "r")
    for number in range(150):
        journal.record(AddressSeen(MAC, IPv4Address(BASE + number)))
    boot = journal.boot(MAC)
    assert boot
    assert boot.addresses == tuple(IPv4Address(BASE + number) for number in range(150 - MOST_ADDRESSES, 150))
    assert set(journal._holders) == set(boot.addresses)
    journal.flush()
    assert Journal(registry, lambda: 1000.0, lambda *_: None).boot(MAC) == boot


def test_made_up_clients_are_few_and_forgotten_first(registry: Registry, tmp_path: Path) -> None:
    """A PC that asks again after its boot was forgotten is known from then on, with the time when it began."""
    now = 1000.0
    published: list[Event] = []
    journal = Journal(registry, lambda: now, lambda event, _: published.append(event))
    forgotten: list[MacAddress] = []
    journal.forgot = lambda mac, newcomer: forgotten.append(mac)
    known = MacAddress(7)
    journal.open_or_continue(TransferProgressed(known, "tftp", "snponly.efi", 0, 9), "r")
    journal.open_or_continue(discover(), "r")
    for number in range(40_000):
        now += 1 / 2000
        mac = MacAddress(0x020000000000 + number)
        journal.open_or_continue(Discovered(mac, 7, ipxe=False, xid=number, secs=0), "r", commit=False)
        journal.record(Offered(mac, "snponly.efi", 67))
        journal.commit()
        if number in (3000, 6000):
            journal.open_or_continue(discover(), "r")
            journal.record(Offered(MAC, "snponly.efi", 67))
        if number % 1000 == 0:
            journal.flush()
    journal.flush()
    boot = journal.boot(MAC)
    assert boot
    assert (boot.started, boot.stage) == (1000.0, Stage.OFFERED)
    assert len(journal.boots()) == MOST_NEWCOMERS + 1
    assert len(forgotten) > 37_000
    assert len(published) < 2 * (MOST_NEWCOMERS + 500)
    counts = count_boots(registry)
    assert (counts.clients, registry.clients()[0].mac) == (1, known)
    assert counts.newcomers <= MOST_NEWCOMERS
    assert MAC in [row.mac for row in newcomers_boots(registry, 10)], "who came back is shown first"
    assert registry.highest()[0] == 0, "no number of an export is spent"
    assert registry.server()["forgotten"]["newcomers"] == len(forgotten)
    again = Journal(registry, lambda: now, lambda *_: None)
    assert again.boot(MAC) == boot
    assert again.open_or_continue(ScriptServed(MAC), "r").id == boot.id
    again.flush()
    client = again.client(MAC)
    assert client
    assert client.number == 1
    assert registry.clients() == [again.client(known), client]


def test_numbers_of_exports_are_taken_from_those_away_longest(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "MOST_NUMBERS", 3)
    monkeypatch.setattr(recorder, "MOST_BOOTS", 2)
    now = 1000.0
    journal = Journal(registry, lambda: now, lambda *_: None)
    for number in range(1, 5):
        now += 10
        journal.open_or_continue(ScriptServed(MacAddress(number)), "r")
        journal.flush()
    assert {client.mac.value: client.number for client in registry.clients()} == {1: 0, 2: 2, 3: 3, 4: 1}
    assert [boot.mac.value for boot in journal.boots()] == [3, 4], "others are read when they are heard"
    now += 10
    journal.open_or_continue(ScriptServed(MacAddress(1)), "r")
    journal.flush()
    assert {client.mac.value: client.number for client in registry.clients()} == {1: 2, 2: 0, 3: 3, 4: 1}


def test_clients_that_load_a_file_under_made_up_names_are_bounded_too(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PC whose live system came up is not one of them."""
    monkeypatch.setattr(forgetting, "MOST_UNPROVEN", 50)
    monkeypatch.setattr(recorder, "_FORGET_EVERY", 10)
    now = 1000.0
    journal = Journal(registry, lambda: now, lambda *_: None)
    journal.open_or_continue(ScriptServed(MAC), "r")
    journal.record(Reported(MAC, "computing"))
    for mac in (MAC, MacAddress(1)):
        store.write(registry, [StoredHeartbeat(mac, 1, now, {}, "{}")])
        orders.give(registry, [mac], OrderVerb.SUSPEND, now)
        registry.sql.execute("INSERT INTO credits VALUES (?, '{}')", (mac.value,))
    for number in range(1, 301):
        now += 1
        journal.open_or_continue(TransferProgressed(MacAddress(number), "tftp", "snponly.efi", 0, 9), "r")
        journal.flush()
    found = {client.mac.value for client in registry.clients()}
    assert MAC.value in found
    assert len(found) <= 50 + 10 + 1
    assert 300 in found
    assert len(registry.latest_boots()) == len(found) == len(journal.boots())
    assert set(store.latest_of_all(registry)) == set(orders.open_orders(registry)) == {MAC}
    assert registry.sql.execute("SELECT mac FROM credits").fetchall() == [(MAC.value,)]


def refuse(client: str, sender: str = "", service: str = "tftp") -> Ignored:
    return Ignored(service, client, Reason.MAC_MISMATCH, "", sender)


def test_a_sender_has_few_rows_whatever_it_claims_to_be(registry: Registry) -> None:
    published: list[Event] = []
    journal = Journal(
        registry, lambda: 1000.0, lambda event, _: published.append(event), lambda address: "02:66:00:00:00:01"
    )
    journal.record(refuse("52:54:00:00:00:09", "10.77.0.9"))
    for number in range(20_000):
        journal.record(refuse(str(MacAddress(number)), "10.77.0.66"))
    journal.flush()
    rows = [row for row in registry.ignored() if row.sender == "10.77.0.66"]
    assert len(rows) == ROWS_OF_A_SENDER + 1
    assert {row.sender_mac for row in rows} == {"02:66:00:00:00:01"}
    assert sum(row.count for row in rows) == 20_000
    assert [row.client for row in registry.ignored() if row.sender == "10.77.0.9"] == ["52:54:00:00:00:09"]
    assert len(published) == ROWS_OF_A_SENDER + 2
    again = Journal(registry, lambda: 1000.0, lambda *_: None)
    again.record(refuse("52:54:00:00:00:10", "10.77.0.66"))
    again.flush()
    assert sum(row.count for row in registry.ignored()) == 20_002


def test_a_sender_whose_mac_address_is_found_later_gets_it(registry: Registry) -> None:
    """A broadcast says nothing to the neighbour table: a DHCP client is in it only once it was spoken to."""
    known: dict[str, str] = {}
    journal = Journal(registry, lambda: 1000.0, lambda *_: None, lambda address: known.get(address, ""))
    journal.record(refuse("52:54:00:00:00:09", "10.77.0.66", "dhcp"))
    journal.flush()
    assert [row.sender_mac for row in registry.ignored()] == [""]
    known["10.77.0.66"] = "02:66:00:00:00:01"
    journal.record(refuse("52:54:00:00:00:09", "10.77.0.66", "dhcp"))
    journal.flush()
    assert [(row.sender_mac, row.count) for row in registry.ignored()] == [("02:66:00:00:00:01", 2)]


def test_made_up_senders_do_not_push_out_those_who_ask_again(registry: Registry) -> None:
    """By DHCP there is no sender: there each MAC address counts as one."""
    now = 1000.0
    published: list[Event] = []
    journal = Journal(registry, lambda: now, lambda event, _: published.append(event))
    for number in range(20_000):
        now += 1 / 2000
        journal.record(refuse(str(MacAddress(0x020000000000 + number)), service="dhcp"))
        if number % 3000 == 0:
            journal.record(refuse("52:54:00:00:00:09", service="dhcp"))
        if number % 500 == 0:
            journal.flush()
    journal.flush()
    assert max(row.count for row in registry.ignored() if row.client == "52:54:00:00:00:09") >= 2
    assert len(registry.ignored()) <= MOST_SENDERS
    assert len(published) < 300, "a line a second"
    assert registry.server()["forgotten"]["refusals"] > 19_000


def test_addresses_are_not_inherited_for_ever(registry: Registry) -> None:
    now = 1000.0
    journal = Journal(registry, lambda: now, lambda *_: None)
    for number in range(3 * MOST_ADDRESSES):
        now += 1000.0
        journal.open_or_continue(discover(number), "r")
        journal.record(AddressSeen(MAC, IPv4Address(BASE + number)))
    boot = journal.boot(MAC)
    assert boot
    assert len(boot.known_addresses) == MOST_ADDRESSES + 1
    assert boot.known_addresses[0] == IPv4Address(BASE + 3 * MOST_ADDRESSES - 1)


def test_a_report_that_says_nothing_new_leaves_nothing(registry: Registry) -> None:
    """It only shows that the PC is alive."""
    now, published = 1000.0, list[Event]()
    journal = Journal(registry, lambda: now, lambda event, _: published.append(event))
    boot = journal.open_or_continue(ScriptServed(MAC), "r")
    for _ in range(500):
        now += 1.0
        journal.record(Reported(MAC, "computing", {"hostid": "7", "uptime": str(now)}))
    journal.flush()
    assert [kind for _, kind, _ in registry.events(boot.id)] == ["ScriptServed", "Reported"]
    assert len(published) == 2
    after = journal.boot(MAC)
    assert after
    assert after.last_event == now


def test_a_pc_that_asks_for_files_all_day_fills_no_registry(registry: Registry) -> None:
    published: list[Event] = []
    journal = Journal(registry, lambda: 1000.0, lambda event, _: published.append(event))
    boot = journal.open_or_continue(ScriptServed(MAC), "r")
    for number in range(1000):
        for event in (
            ScriptServed(MAC, "nfs" if number % 2 else "http"),
            EntryStarted(MAC, f"entry {number}"),
            TransferProgressed(MAC, "http", f"file {number}", 0, 9),
            TransferFailed(MAC, "http", f"file {number}", number, "gone"),
        ):
            journal.record(event)
    journal.record(TransferServed(MAC, "http", "image/r/vmlinuz", 9, 0.1))
    journal.record(Reported(MAC, "reported"))
    journal.flush()
    rows = registry.events(boot.id)
    assert len(rows) < 2010
    assert len(published) < 2010
    assert [kind for _, kind, _ in rows[-2:]] == ["TransferServed", "Reported"], "new stages"
    (excess,) = registry.ignored()
    assert (excess.client, excess.reason) == (str(MAC), Reason.TOO_MANY_EVENTS)
    assert excess.count == 4001 - 1000


def test_a_script_that_is_fetched_all_the_time_is_published_now_and_then(registry: Registry) -> None:
    """Not a hundred times a second; but a loader's own retries, ten seconds apart, are, and so is what differs."""
    now = 1000.0
    said: list[Event] = []
    journal = Journal(registry, lambda: now, lambda event, _: said.append(event))
    for _ in range(1000):
        boot = journal.open_or_continue(ScriptServed(MAC), "r")
        now += 0.01
    journal.open_or_continue(ScriptServed(MAC, "http"), "r")
    for _ in range(3):
        now += 10.0
        journal.open_or_continue(ScriptServed(MAC, "http"), "r")
    journal.flush()
    assert len(said) == 5 + 1 + 3
    assert len(registry.events(boot.id)) == 2, "what changed something"
