"""The outbox: what is committed with what, when a delivery is tried, and when it is given up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config.notify import NotifyAddress
from appliance.control.notify import outbox
from appliance.control.notify.judge import judge
from appliance.control.notify.outbox import FEWEST_TRIES, GIVE_UP, LEASE, SENT, Delivery
from appliance.control.notify.rules import RuleName
from appliance.control.notify.sightings import Sightings
from appliance.control.notify.tally import Hour
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from tests.unit.appliance.control.notify.room import NOON, only

MAIL, HOOK = NotifyAddress("admin@example.org"), NotifyAddress("json://127.0.0.1/x")
DISK = only(RuleName.DISK)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as opened:
        yield opened


def look(registry: Registry, second: float, used: float) -> int:
    seen = Sightings(NOON + second, "boot", disk_used=used)
    return len(outbox.look(registry, seen, DISK, [MAIL, HOOK]))


def tell(registry: Registry) -> None:
    """Two notices for two addresses: the disk fills up, and is well again."""
    assert look(registry, 0, 50) == 0
    assert [look(registry, second, 95) for second in (60, 120)] == [0, 1]
    told = [look(registry, 120 + 60 * n, 50) for n in range(1, 70)]
    assert sum(told) == 1


def claim(registry: Registry, second: float, *busy: str) -> list[tuple[int, str]]:
    return [(each.notice.id, each.address) for each in outbox.claim(registry, [MAIL, HOOK], busy, NOON + second)]


def claim_one(registry: Registry, second: float) -> Delivery:
    (found,) = outbox.claim(registry, [MAIL, HOOK], [HOOK.key], NOON + second)
    return found


def test_memory_and_notices_are_one_commit(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    look(registry, 0, 50)
    look(registry, 60, 95)
    before = outbox.memories(registry)

    def fail(*_: object) -> None:
        raise UserError("killed here")

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "_add", fail)
        with pytest.raises(UserError):
            look(registry, 120, 95)
    assert outbox.memories(registry) == before
    assert outbox.recent(registry, 9) == []
    assert look(registry, 120, 95) == 1
    assert look(registry, 180, 95) == 0


def test_a_registry_that_cannot_be_written_loses_no_notice(registry: Registry) -> None:
    look(registry, 0, 50)
    look(registry, 60, 95)
    registry.sql.execute("PRAGMA query_only = ON")
    for second in (120, 180):
        with pytest.raises(SqlError):
            look(registry, second, 95)
    registry.sql.execute("PRAGMA query_only = OFF")
    assert look(registry, 240, 95) == 1


def test_each_address_gets_its_notices_in_their_order(registry: Registry) -> None:
    tell(registry)
    assert outbox.pending(registry) == 4
    assert sorted(claim(registry, 5000)) == sorted([(1, MAIL.key), (1, HOOK.key)])
    # The second one would be next; an attempt for the same address is under way.
    assert claim(registry, 5001, MAIL.key, HOOK.key) == []
    assert sorted(claim(registry, 5001)) == sorted([(2, MAIL.key), (2, HOOK.key)])


def test_whoever_is_killed_after_claiming_sends_it_again_later(registry: Registry) -> None:
    tell(registry)
    first = claim_one(registry, 5000)
    outbox.record(registry, claim_one(registry, 5001), "", NOON + 5001)
    assert claim(registry, 5000 + LEASE - 1, HOOK.key) == []
    again = claim_one(registry, 5000 + LEASE)
    assert (again.notice, again.tries) == (first.notice, 1)


def test_an_address_that_fails_is_tried_less_and_less_often(registry: Registry) -> None:
    tell(registry)
    at, waits = 5000.0, []
    for _ in range(9):
        delivery = claim_one(registry, at)
        assert delivery.notice.id == 1
        outbox.record(registry, delivery, "503 not now", NOON + at)
        # The other notice for this address waits as well.
        began = at
        while not claim(registry, at, HOOK.key) and at - began < 9999:
            at += 20
        waits.append(at - began)
        # What was claimed just now was not sent.
        registry.sql.execute("UPDATE deliveries SET tries = tries - 1, due = ? WHERE tries > 0", (NOON + at,))
    assert waits[:4] == [60, 120, 240, 480]
    assert max(waits) == 3600


def test_it_is_given_up_after_a_day_and_shown(registry: Registry) -> None:
    tell(registry)
    for n in range(FEWEST_TRIES):
        outbox.record(registry, claim_one(registry, 5000 + 3600 * n), "503 not now", NOON + 5000 + 3600 * n)
    claim(registry, GIVE_UP + 9000)
    shown = {each.address: each for notice, found in outbox.recent(registry, 9) if notice.id == 1 for each in found}
    assert shown[MAIL.key].ended is not None
    assert shown[MAIL.key].result == "given up after a day: 503 not now"
    assert shown[HOOK.key].ended is None, "it was never tried: the box was off"


def test_an_address_that_is_gone_gets_nothing_more(registry: Registry) -> None:
    tell(registry)
    outbox.claim(registry, [HOOK], (), NOON + 5000)
    results = {each.result for _, found in outbox.recent(registry, 9) for each in found if each.address == MAIL.key}
    assert results == {"its address is not in the configuration any more"}


def test_a_clock_that_is_set_back_holds_up_nothing(registry: Registry) -> None:
    tell(registry)
    outbox.record(registry, claim_one(registry, 500_000), "503", NOON + 500_000)
    assert claim(registry, 5000, HOOK.key) != []


def test_a_sent_notice_stays_sent(registry: Registry) -> None:
    tell(registry)
    delivery = claim_one(registry, 5000)
    outbox.record(registry, delivery, "no answer for 120 s", NOON + 5120)
    # The attempt went on, and arrived.
    outbox.record(registry, delivery, "", NOON + 5200)
    outbox.record(registry, delivery, "late trouble", NOON + 5300)
    (stored,) = [e for n, f in outbox.recent(registry, 9) if n.id == 1 for e in f if e.address == MAIL.key]
    assert (stored.result, stored.ended) == (SENT, NOON + 5200)


def test_old_notices_are_deleted_and_open_ones_are_not(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(registry)
    outbox.record(registry, claim_one(registry, 5000), "", NOON + 5000)
    for found in outbox.claim(registry, [HOOK], (), NOON + 5000):
        outbox.record(registry, found, "", NOON + 5000)
    outbox.prune(registry, NOON + 6000)
    assert [notice.id for notice, _ in outbox.recent(registry, 9)] == [2, 1]
    # Notice 2 is not delivered yet.
    outbox.prune(registry, NOON + 100 * 86400)
    assert [notice.id for notice, _ in outbox.recent(registry, 9)] == [2]


def test_a_rule_that_is_switched_off_forgets(registry: Registry) -> None:
    tell(registry)
    seen = Sightings(NOON + 9000, "boot")
    outbox.look(registry, seen, only(RuleName.SILENT), [MAIL], counted={("p", 1): Hour(1, {"a": 2})})
    assert set(outbox.memories(registry)) == {RuleName.SILENT}
    assert outbox.load_tally(registry) == {("p", 1): Hour(1, {"a": 2})}
    outbox.forget_rules(registry)
    assert outbox.memories(registry) == {}


def test_two_processes_do_not_tell_the_same(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    look(registry, 0, 50)
    look(registry, 60, 95)

    def meanwhile(*given: Any, **more: Any) -> object:
        monkeypatch.setattr(outbox, "judge", judge)
        with Registry(registry.path) as other:
            assert look(other, 120, 95) == 1
        return judge(*given, **more)

    monkeypatch.setattr(outbox, "judge", meanwhile)
    assert look(registry, 121, 95) == 0
    assert len(outbox.recent(registry, 9)) == 1


@pytest.mark.parametrize(
    "damage",
    ["UPDATE notice_rules SET state = '{}'", "UPDATE notice_rules SET state = '[]'", "UPDATE notices SET made = -1.0"],
)
def test_damaged_rows_are_an_error_for_people(registry: Registry, damage: str) -> None:
    tell(registry)
    registry.sql.execute(damage)
    with pytest.raises(UserError, match="is damaged"):
        outbox.memories(registry)
        outbox.recent(registry, 9)
