"""What anybody can broadcast in the name of an allowed PC lets neither memory nor the registry grow."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.journal.recorder import Journal
from appliance.journal.timeline import MOST_ADDRESSES
from appliance.registry.database import Registry
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    EntryStarted,
    Event,
    LeaseChosen,
    Offered,
    Reported,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

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


def test_a_pc_that_loads_a_file_for_ever_fills_no_registry(registry: Registry) -> None:
    journal = Journal(registry, lambda: 1000.0, lambda *_: None)
    boot = journal.open_or_continue(discover(), "r")
    for number in range(5000):
        journal.record(TransferProgressed(MAC, "http", "initrd.img", 0, 9))
        journal.record(TransferFailed(MAC, "http", "initrd.img", number, "closed"))
    journal.flush()
    assert len(registry.events(boot.id)) <= 1100
    assert Journal(registry, lambda: 1000.0, lambda *_: None).boot(MAC) == journal.boot(MAC)


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


def test_a_script_that_is_fetched_all_the_time_is_recorded_now_and_then(registry: Registry) -> None:
    """Not a hundred times a second; but a loader's own retries, ten seconds apart, are, and so is what differs."""
    now = 1000.0
    journal = Journal(registry, lambda: now, lambda *_: None)
    for _ in range(1000):
        boot = journal.open_or_continue(ScriptServed(MAC), "r")
        now += 0.01
    journal.open_or_continue(ScriptServed(MAC, "http"), "r")
    for _ in range(3):
        now += 10.0
        journal.open_or_continue(ScriptServed(MAC, "http"), "r")
    journal.flush()
    assert len(registry.events(boot.id)) == 5 + 1 + 3
