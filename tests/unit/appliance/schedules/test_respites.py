"""PCs that their owners took back: a table of the registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.schedules.respites import give, of
from services.ethernet import MacAddress

A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def test_a_later_one_takes_the_place_of_an_earlier_one(registry: Registry, tmp_path: Path) -> None:
    assert of(registry) == {}
    give(registry, A, 100, 3700)
    give(registry, B, 100, 3700)
    give(registry, A, 200, 260)
    with Registry(tmp_path / "registry.sqlite3") as other:
        assert of(other) == {A: 260, B: 3700}


def test_those_that_are_over_are_deleted_with_the_next_one(registry: Registry) -> None:
    give(registry, A, 100, 200)
    give(registry, B, 199, 300)
    assert of(registry) == {A: 200, B: 300}
    give(registry, B, 200, 300)
    assert of(registry) == {B: 300}


def test_one_of_no_seconds_is_none_and_ends_an_earlier_one(registry: Registry) -> None:
    give(registry, A, 100, 3700)
    give(registry, A, 200, 200)
    assert of(registry) == {}


def test_a_running_server_sees_it(registry: Registry, tmp_path: Path) -> None:
    with Registry(tmp_path / "registry.sqlite3") as other:
        assert not other.changed()
        give(registry, A, 100, 200)
        assert other.changed()


def test_a_damaged_row_is_an_error_with_words(registry: Registry) -> None:
    registry.sql.execute("INSERT INTO respites VALUES (-1, 0, 1)")
    with pytest.raises(UserError):
        of(registry)
