"""Which PCs should be gone: by the window of their schedule, by an order, and what keeps them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.config.file import Config, parse
from appliance.diagnosis.fault import DueOff
from appliance.heartbeats import orders
from appliance.journal.timeline import Boot
from appliance.registry.database import Registry
from appliance.schedules import holds
from appliance.schedules.hold import Hold
from appliance.view.overdue import SLACK, gather_overdue
from services.ethernet import MacAddress, MacRange
from services.http.heartbeats import OrderVerb

A, B = MacAddress(0x525400AABB01), MacAddress(0x525400AABB02)
MORNING = 1_790_056_800.0 - 1_790_056_800.0 % 86400 + 6 * 3600
TEXT = """
[server]
data = "{data}"
[schedules.night]
windows = ["20:00-06:00"]
time_zone = "UTC"
grace = 300
[schedules.stays]
windows = ["20:00-06:00"]
time_zone = "UTC"
at_end = "nothing"
[schedules.always]
windows = ["Mon-Sun"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse(TEXT.format(data=tmp_path), tmp_path / "c.toml")


@pytest.fixture
def registry(config: Config) -> Iterator[Registry]:
    with Registry(config.registry) as found:
        yield found


NOW = MORNING + 3600


def of(schedule: str) -> Entry:
    return Entry(MacRange(A, B), "room 12", BootSettings(schedule=schedule))


def boot(mac: MacAddress, started: float) -> Boot:
    return Boot(1, mac, started, "token", "release", last_event=started)


def test_after_the_window_and_its_grace(config: Config, registry: Registry) -> None:
    seen = gather_overdue(config, registry, MORNING + 60)
    assert seen.of(boot(A, MORNING - 3600), of("night"), NOW) == DueOff(MORNING + 300 + SLACK, by_order=False)
    assert seen.of(boot(A, MORNING + 30), of("night"), NOW) is None, "somebody has switched it on since"
    for name in ("stays", "always", ""):
        assert seen.of(boot(A, MORNING - 3600), of(name), NOW) is None, name
    assert gather_overdue(config, registry, MORNING - 60).windows == {}
    assert gather_overdue(config, registry, MORNING + 14 * 3600 + 60).windows == {}, "the next one is open"


def test_one_that_was_told_to_go_on(config: Config, registry: Registry) -> None:
    orders.give(registry, [A], OrderVerb.RESUME, MORNING + 20)
    orders.give(registry, [B], OrderVerb.RESUME, MORNING - 20)
    seen = gather_overdue(config, registry, MORNING + 3600)
    assert seen.of(boot(A, MORNING - 3600), of("night"), NOW) is None
    assert seen.of(boot(B, MORNING - 3600), of("night"), NOW), "that was for the night"


def test_one_that_was_told_to_go(config: Config, registry: Registry) -> None:
    (off,) = orders.give(registry, [A], OrderVerb.OFF, MORNING)
    (finish,) = orders.give(registry, [B], OrderVerb.FINISH, MORNING)
    assert gather_overdue(config, registry, MORNING).told == {}, "it has not fetched it yet"
    orders.record(registry, {off.id: MORNING + 9, finish.id: MORNING + 9}, {})
    seen = gather_overdue(config, registry, MORNING)
    assert seen.of(boot(A, MORNING - 9), of(""), NOW) == DueOff(MORNING + 9 + SLACK, by_order=True)
    assert seen.of(boot(B, MORNING - 9), of(""), NOW) is None, "finishing its work may take a day"
    orders.record(registry, {}, {off.id: (MORNING + 20, "done")})
    assert gather_overdue(config, registry, MORNING).told == {}


def test_a_room_that_is_held_on_may_go_on(config: Config, registry: Registry) -> None:
    holds.put(registry, Hold("Room 12", True, MORNING - 60, NOW + 60))
    late = boot(A, MORNING - 3600)
    assert gather_overdue(config, registry, NOW).of(late, of("night"), NOW) is None
    assert gather_overdue(config, registry, NOW).of(late, of("night"), NOW + 61), "it is over"
    holds.put(registry, Hold("Room 12", False, MORNING - 60))
    assert gather_overdue(config, registry, NOW).of(late, of("night"), NOW)
