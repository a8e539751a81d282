"""Requests to wake PCs in the registry: asked, tried, postponed, ended, replaced, forgotten."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.wake import requests
from appliance.wake.request import WakeRequest, WakeResult
from services.ethernet import MacAddress

A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
NOW = 1_790_000_000.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def test_requests_for_two_pcs(registry: Registry) -> None:
    asked = requests.ask(registry, [B, A], "hand", NOW)
    assert asked == [WakeRequest(1, B, "hand", NOW, 0, NOW), WakeRequest(2, A, "hand", NOW, 0, NOW)]
    assert requests.open_requests(registry) == asked
    assert requests.latest(registry, A) == asked[1]
    assert requests.latest_of_all(registry) == {B: asked[0], A: asked[1]}
    assert not registry.changed(), "the server has nothing to read anew"


def test_a_newer_request_takes_the_place_of_the_open_one(registry: Registry) -> None:
    (first,) = requests.ask(registry, [A], "schedule night", NOW)
    (second,) = requests.ask(registry, [A], "hand", NOW + 5)
    assert requests.open_requests(registry) == [second]
    (ended,) = requests.numbered(registry, [first.id])
    assert (ended.ended, ended.result) == (NOW + 5, WakeResult.REPLACED)


def test_tries_are_counted_and_the_next_is_due_later(registry: Registry) -> None:
    (asked,) = requests.ask(registry, [A], "hand", NOW)
    requests.note_tries(registry, {asked.id: NOW + 60})
    requests.note_tries(registry, {asked.id: NOW + 120})
    requests.postpone(registry, {asked.id: NOW + 900})
    assert requests.open_requests(registry) == [WakeRequest(1, A, "hand", NOW, 2, NOW + 900)]


def test_what_has_ended_stays_as_it_ended(registry: Registry) -> None:
    (asked,) = requests.ask(registry, [A], "hand", NOW)
    assert requests.end(registry, {asked.id: WakeResult.CANCELLED}, NOW + 1) == [asked.id]
    assert requests.end(registry, {asked.id: WakeResult.CAME}, NOW + 2) == []
    requests.note_tries(registry, {asked.id: NOW + 60})
    assert requests.latest(registry, A) == WakeRequest(1, A, "hand", NOW, 0, NOW, NOW + 1, WakeResult.CANCELLED)
    assert requests.ever_came(registry) == set()


def test_pages_of_requests(registry: Registry) -> None:
    one, two, three = (requests.ask(registry, [mac], "hand", NOW)[0] for mac in (A, B, A))
    assert [each.id for each in requests.recent(registry, 2)] == [three.id, two.id]
    assert [each.id for each in requests.recent(registry, 2, before=two.id)] == [one.id]
    assert [each.id for each in requests.recent(registry, -1, only_open=True)] == [three.id, two.id]


def test_those_that_ended_long_ago_are_forgotten(registry: Registry) -> None:
    old, kept = requests.ask(registry, [A, B], "hand", NOW)
    requests.end(registry, {old.id: WakeResult.CAME}, NOW)
    assert requests.ever_came(registry) == {A}
    requests.forget_old(registry, NOW + requests.KEPT_SECONDS + 1)
    assert requests.all_of(registry) == [kept], "one that is open is never deleted"


@pytest.mark.parametrize(
    "row",
    [
        "(NULL, -1, 'hand', 1.0, 0, 1.0, NULL, '')",
        "(NULL, 1, 'hand', 1.0, -1, 1.0, NULL, '')",
        "(NULL, 1, 'hand', 1.0, 0, 1.0, 2.0, '')",
        "(NULL, 1, 'hand', 1.0, 0, 1.0, NULL, 'came')",
        "(NULL, 1, 'hand', 1.0, 0, 1.0, 2.0, 'something')",
    ],
)
def test_rows_that_the_program_does_not_write(registry: Registry, row: str) -> None:
    registry.sql.execute(f"INSERT INTO wakes VALUES {row}")
    with pytest.raises(UserError, match="wakes"):
        requests.all_of(registry)
