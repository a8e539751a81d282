"""Who did not come when woken last."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.journal.recorder import Journal
from appliance.registry.database import Registry
from appliance.wake import requests
from appliance.wake.absence import absent
from appliance.wake.request import WakeResult
from services.ethernet import MacAddress
from services.events import Discovered

A, B = MacAddress(0x525400AABB01), MacAddress(0x525400AABB02)
NOW = 1_790_000_000.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def woken(registry: Registry, mac: MacAddress, result: WakeResult, at: float) -> None:
    (asked,) = requests.ask(registry, [mac], "hand", at)
    requests.end(registry, {asked.id: result}, at + 400)


def macs(registry: Registry) -> list[MacAddress]:
    return [each.mac for each in absent(registry)]


def test_the_last_answer_counts_whatever_else_was_asked(registry: Registry) -> None:
    woken(registry, A, WakeResult.DID_NOT_COME, NOW)
    woken(registry, B, WakeResult.DID_NOT_COME, NOW)
    assert macs(registry) == [B, A], "the latest first"
    woken(registry, A, WakeResult.CANCELLED, NOW + 1000)
    requests.ask(registry, [A], "hand", NOW + 2000)
    assert macs(registry) == [B, A], "it is still one that did not come"
    woken(registry, A, WakeResult.CAME, NOW + 3000)
    assert macs(registry) == [B]


def test_one_that_was_seen_since_is_there(registry: Registry) -> None:
    now = NOW - 5000
    journal = Journal(registry, lambda: now, lambda *_: None)
    boot = journal.open_or_continue(Discovered(A, 0, ipxe=False, xid=1, secs=0), "")
    journal.flush()
    woken(registry, A, WakeResult.DID_NOT_COME, NOW)
    assert macs(registry) == [A], "that was before"
    with registry.transaction():
        store.write(registry, [StoredHeartbeat(A, boot.id, NOW + 9000, {}, "{}")])
    assert macs(registry) == []


def test_a_registry_with_nonsense(registry: Registry) -> None:
    woken(registry, A, WakeResult.DID_NOT_COME, NOW)
    registry.sql.execute(
        "INSERT INTO boots (id, mac, started, token, release, inherited, latest, last_at, state)"
        " VALUES (1, ?, 1.0, '', '', '', 1, -1.0, '')",
        (A.value,),
    )
    with pytest.raises(UserError, match="boots"):
        absent(registry)
