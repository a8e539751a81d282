"""Heartbeats in the registry: the latest of each PC."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.registry.database import Registry
from services.ethernet import MacAddress

A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def test_the_latest_is_kept(registry: Registry) -> None:
    first, second = (StoredHeartbeat(A, 3, at, {"model": "Präzision"}, '{"doing":"idle"}') for at in (1.0, 61.0))
    other = StoredHeartbeat(B, 4, 2.0, {}, "{}")
    store.write(registry, [first, other])
    store.write(registry, [second])
    assert store.latest(registry, A) == second
    assert store.latest(registry, MacAddress(1)) is None
    assert store.latest_of_all(registry) == {A: second, B: other}
    assert store.latest_of(registry, [A, MacAddress(1)]) == {A: second}
    assert store.latest_of(registry, []) == {}
    assert not registry.changed(), "nothing that a server reads has changed"


@pytest.mark.parametrize("facts", ["[]", "{", '{"a": 1}', "null"])
def test_damaged_rows_are_reported(registry: Registry, facts: str) -> None:
    registry.sql.execute("INSERT INTO heartbeats VALUES (1, 1, 1.0, '', ?, '{}')", (facts,))
    with pytest.raises(UserError, match="a row of its table 'heartbeats' cannot be read"):
        store.latest_of_all(registry)
