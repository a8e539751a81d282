"""What the services did, in numbers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.registry.database import Registry
from appliance.server.counters import EVERY, FACT, ServerCounters
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import Discovered, Ignored, Offered, TransferFailed, TransferProgressed, TransferServed

MAC = MacAddress(7)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3", durable=False) as registry:
        yield registry


def test_what_is_counted(registry: Registry) -> None:
    counters = ServerCounters(registry, lambda: 0.0)
    for event in (
        Discovered(MAC, 7, ipxe=False, xid=1, secs=0),
        Discovered(MAC, 7, ipxe=True, xid=2, secs=0),
        Offered(MAC, "snponly.efi", 67),
        TransferProgressed(MAC, "http", "vmlinuz", 500, 1000),
        TransferServed(MAC, "http", "vmlinuz", 1000, 0.5),
        TransferServed(MAC, "http", "initrd.img", 2000, 0.5),
        TransferFailed(MAC, "tftp", "snponly.efi", 300, "given up"),
        Ignored("dhcp", str(MAC), Reason.NOT_ALLOWED, count=4),
        Ignored("dhcp", str(MAC), Reason.NOT_ALLOWED),
    ):
        counters.count(event)
    counters.count_heartbeat()
    counters.flush()
    assert registry.server()[FACT] == {
        "events": {"Discovered": 2, "Offered": 1, "TransferServed": 2, "TransferFailed": 1},
        "ignored": [["dhcp", "its MAC address is not in the allowlist", 5]],
        "transfers": [["http", "served", 2], ["tftp", "failed", 1]],
        "bytes": {"http": 3000, "tftp": 300},
        "heartbeats": 1,
    }


def test_they_are_written_every_few_seconds_and_only_if_they_changed(registry: Registry) -> None:
    now = 100.0
    counters = ServerCounters(registry, lambda: now)
    counters.flush()
    assert registry.server()[FACT]["heartbeats"] == 0, "what an earlier server counted is gone"
    writes = registry.sql.total_changes
    for seconds in (0.0, EVERY - 1, EVERY):
        now = 100.0 + seconds
        counters.flush()
    assert registry.sql.total_changes == writes, "nothing has changed"
    counters.count_heartbeat()
    counters.flush()
    counters.count_heartbeat()
    counters.flush()
    assert registry.server()[FACT]["heartbeats"] == 1
    now += EVERY
    counters.flush()
    assert registry.server()[FACT]["heartbeats"] == 2
