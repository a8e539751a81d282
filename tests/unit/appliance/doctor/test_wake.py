"""Who never woke, and who sends the packets."""

from pathlib import Path

from appliance.allowlist import Entry
from appliance.config.file import Config, parse
from appliance.doctor.finding import Severity
from appliance.doctor.wake import NEEDS, check, judge
from appliance.registry.database import Registry
from appliance.registry.server_lock import only_server
from appliance.wake import requests
from appliance.wake.request import WakeRequest, WakeResult
from services.ethernet import MacAddress, MacRange

A, B, C = (MacAddress(0x525400AABB01 + number) for number in range(3))
NOW = 1_790_000_000.0
NIGHT = '[schedules.night]\nwindows = ["20:00-06:00"]\nat_start = "wake"\n'


def away(*macs: MacAddress) -> list[WakeRequest]:
    return [WakeRequest(1, mac, "hand", NOW, 5, NOW, NOW, WakeResult.DID_NOT_COME) for mac in macs]


def test_healthy() -> None:
    (found,) = judge((), {A}, ["night"], True, 3)
    assert (found.severity, found.what) == (Severity.OK, "all PCs that were woken came")
    (found,) = judge((), (), [], False, 0)
    assert (found.severity, found.what) == (Severity.OK, "no PC was woken in the last 30 days")


def test_one_that_never_came_and_one_that_came_before() -> None:
    never, once = judge(away(A, B), {B}, [], True, 0)
    assert never.what == f"PCs that have never come when they were woken: {A}"
    assert never.what_to_do == NEEDS
    for word in ("Wake on LAN", "ErP", "EuP", "S5", "EEE", "UDP port 9"):
        assert word in NEEDS
    assert once.what == f"PCs that did not come when they were woken last: {B}"
    (many,) = judge(away(*(MacAddress(number) for number in range(20))), (), [], True, 0)
    assert many.what.endswith("and 12 more (wake list --away)")


def test_nobody_sends() -> None:
    (found,) = judge((), (), ["night"], False, 0)
    assert found.what == "schedules wake PCs (night), and the control process does not run"
    (found,) = judge((), (), [], False, 2)
    assert found.what == "2 PCs are to be woken, and the control process does not run"


def box(tmp_path: Path, text: str = "") -> Config:
    return parse(f'[server]\ndata = "{tmp_path}"\n{text}', tmp_path / "c.toml")


def test_a_real_registry(tmp_path: Path) -> None:
    config = box(tmp_path, NIGHT)
    assert [each.severity for each in check(config)] == [Severity.OK], "nothing has run here yet"
    with Registry(config.registry) as registry:
        registry.allow([Entry(MacRange(A, B))])
        asked = requests.ask(registry, [A, B, C], "hand", NOW)
        requests.end(registry, dict.fromkeys((each.id for each in asked), WakeResult.DID_NOT_COME), NOW + 500)
    with only_server(config.registry, "control"):
        (found,) = check(config)
    assert found.what.endswith(f": {B}, {A}"), "one that may not boot any more is nobody's concern"
    assert "control process" in check(config)[0].what


def test_a_registry_that_cannot_be_read(tmp_path: Path) -> None:
    config = box(tmp_path)
    config.registry.parent.mkdir()
    config.registry.write_text("no database")
    (found,) = check(config)
    assert (found.severity, found.what.split(":")[0]) == (Severity.NOTE, "not checked")
