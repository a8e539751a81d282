"""The fleet that tests and benches look at: each state is in it, and `serve` could have written it."""

from pathlib import Path

import pytest

from appliance.heartbeats import census, days, store
from appliance.heartbeats.states import Kind, condition
from appliance.journal import history
from appliance.journal.codec import encode_state
from appliance.registry.database import Registry
from services.boinc.condition import Doing
from tests.fakes import fleet

NOW = 1.79e9


@pytest.mark.parametrize("pcs", [0, 1, 40, 130])
def test_a_fleet_of_any_size(tmp_path: Path, pcs: int) -> None:
    with Registry(tmp_path / "registry.sqlite3", durable=False) as registry:
        fleet.fill(registry, pcs, 3, NOW, with_events=2, days=9)
        registry.check()
        found = census.take(registry, NOW).counts
        boots = {boot.mac: boot for boot in history.latest(registry)}
        assert len(boots) == sum(found.values()) == pcs
        for number in range(pcs):
            first, second, last = registry.boots(fleet.mac_of(number))
            assert encode_state(boots[fleet.mac_of(number)]) == last.state
            assert not registry.events(first.id)
            assert registry.events(second.id)
            assert registry.events(last.id)
        assert [each.pcs for each in days.totals(registry, 0, days.LAST)] == ([pcs] * 9 if pcs else [])
        said = [condition(each) for each in store.latest_of_all(registry).values()]
    assert all(each.running == len(each.tasks) for each in said if each.doing is Doing.COMPUTING)
    assert pcs < 128 or all(found.values()), "every state"
    assert pcs != 40 or sum(count > 0 for count in found.values()) == 6
    assert pcs != 1 or found[Kind.COMPUTING] == 1
