"""What the doctor says about relays that the box does not serve."""

from appliance.doctor import relays
from appliance.doctor.finding import Severity
from appliance.registry.records import IgnoredRow
from services.decision import Reason


def row(client: str, reason: Reason = Reason.UNKNOWN_RELAY, at: float = 1000.0) -> IgnoredRow:
    return IgnoredRow(client, "dhcp", reason.value, at, at, 3)


def test_no_such_relay_is_nothing_to_speak_of() -> None:
    assert relays.judge([]) == []


def test_a_relay_and_the_line_that_serves_it() -> None:
    (finding,) = relays.judge(["10.99.0.1", "10.99.0.2", "10.99.0.1"])
    assert finding.severity is Severity.WARNING
    assert "10.99.0.1, 10.99.0.2" in finding.what
    assert 'relays = ["10.99.0.1", "10.99.0.2"] under [dhcp]' in finding.what_to_do


def test_made_up_relays_do_not_fill_the_screen() -> None:
    (finding,) = relays.judge(f"10.99.0.{number}" for number in range(200))
    assert len(finding.what) < 300


def test_only_relays_of_the_last_day_count() -> None:
    rows = [row("10.99.0.1"), row("10.99.0.2", at=-90_000.0), row("52:54:00:00:00:01", Reason.NOT_ALLOWED)]
    assert relays.recent(rows, 1010.0) == ["10.99.0.1"]
