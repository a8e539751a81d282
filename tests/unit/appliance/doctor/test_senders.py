"""What the doctor says about machines that ask under one name after another."""

from dataclasses import replace

from appliance.doctor import senders
from appliance.doctor.finding import Severity
from appliance.registry.records import IgnoredRow
from services.decision import Reason

MANY = IgnoredRow("", "tftp", Reason.MAC_MISMATCH.value, 900.0, 1000.0, 12_345, "10.77.0.66", "02:66:00:00:00:01")


def test_one_name_is_nothing_to_speak_of() -> None:
    assert senders.judge([replace(MANY, client="52:54:00:00:00:09")], 1010.0) == []


def test_the_machine_is_named_with_both_addresses() -> None:
    (finding,) = senders.judge([MANY, replace(MANY, service="http", count=5)], 1010.0)
    assert finding.severity is Severity.WARNING
    assert "10.77.0.66 (02:66:00:00:00:01), 12,350 times" in finding.what


def test_made_up_senders_do_not_fill_the_screen() -> None:
    (finding,) = senders.judge([replace(MANY, sender=f"10.77.1.{number}") for number in range(200)], 1010.0)
    assert "and 192 more" in finding.what
    assert len(finding.what) < 700


def test_only_the_last_day_counts() -> None:
    assert senders.judge([MANY], 100_000.0) == []
