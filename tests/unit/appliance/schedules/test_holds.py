"""Holds of rooms in the registry."""

from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.schedules import holds
from appliance.schedules.hold import Hold


def test_a_hold_takes_the_place_of_the_one_before_and_is_released(tmp_path: Path) -> None:
    with Registry(tmp_path / "r.sqlite3") as registry:
        holds.put(registry, Hold("Büro", True, 100.0, 200.0))
        holds.put(registry, Hold("BÜRO", False, 150.0))
        holds.put(registry, Hold("room", True, 150.0, 300.0))
        assert holds.all_of(registry) == {"BÜRO": Hold("BÜRO", False, 150.0), "room": Hold("room", True, 150.0, 300.0)}
        edits = registry.edits()
        assert holds.release(registry, "büro", 170.0)
        assert not holds.release(registry, "büro", 170.0)
        assert registry.edits() > edits, "the server looks"
        assert holds.release(registry, "ROOM", 200.0)
        assert not holds.release(registry, "room", 200.0)
        assert holds.all_of(registry) == {"room": Hold("room", True, 150.0, 200.0)}, "its PCs have to hear of it"
        holds.put(registry, Hold("other", True, 400.0 + holds.KEPT_SECONDS))
        assert list(holds.all_of(registry)) == ["other"], "what is long over goes"


@pytest.mark.parametrize("values", ["'x', 'maybe', 1.0, NULL", "'x', 'on', -1.0, NULL"])
def test_a_damaged_row_is_said(tmp_path: Path, values: str) -> None:
    with Registry(tmp_path / "r.sqlite3") as registry:
        registry.sql.execute(f"INSERT INTO holds (label, state, began, until) VALUES ({values})")
        with pytest.raises(UserError, match="holds"):
            holds.all_of(registry)
