"""How often programs may ask."""

from types import SimpleNamespace

import pytest

from appliance.control.access import pace
from appliance.control.access.pace import RequestPace
from tests.unit.appliance.control.box_of_pcs import BoxOfPcs


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: 1000.0))


def statuses(box: BoxOfPcs, many: int, token: str | None = None, path: str = "/api/v1/boxes") -> list[int]:
    return [box.ask(path, token=token).status_code for _ in range(many)]


def test_a_token_that_asks_too_often_waits_and_the_others_do_not(own: BoxOfPcs) -> None:
    own.app.state.pace = RequestPace(burst=3)
    assert statuses(own, 3) == [200] * 3
    answer = own.ask("/api/v1/boxes")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "10 a second" in answer.json()["message"]
    assert own.ask("/metrics").status_code == 429
    assert own.ask("/api/v1/openapi.json").status_code == 429
    assert statuses(own, 3, own.writer) == [200] * 3


def test_a_change_that_is_refused_changes_nothing(own: BoxOfPcs) -> None:
    own.app.state.pace = RequestPace(burst=1)
    assert own.change("/api/v1/allowlist", "POST", json={"range": "02:00:00:00:00:01"}).status_code == 201
    assert own.change("/api/v1/allowlist", "POST", json={"range": "02:00:00:00:00:02"}).status_code == 429
    assert not own.ask("/api/v1/allowlist/check/020000000002").json()["allowed"]


def test_an_address_that_guesses_tokens_is_not_looked_up_any_more(own: BoxOfPcs) -> None:
    own.app.state.pace = RequestPace(address_burst=4)
    assert [own.ask("/api/v1/boxes", token=f"nba_{n}").status_code for n in range(6)] == [401] * 4 + [429] * 2
    assert own.ask("/healthz", token="").status_code == 200


def test_a_script_that_asks_for_several_things_each_second_is_not_slowed_down() -> None:
    limit = pace.RequestPace()
    taken = [limit._callers.take("script", float(second)) for second in range(600) for _ in range(10)]
    assert all(taken)
