"""Preferences: their bounds, what counts if several say something, and that a website changes nothing."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from services.boinc.preferences import STANDARD, Preferences, render

READ_BY_THE_CLIENT = {
    "battery_charge_min_pct",
    "battery_max_temperature",
    "run_on_batteries",
    "run_if_user_active",
    "run_gpu_if_user_active",
    "idle_time_to_run",
    "suspend_if_no_recent_input",
    "suspend_cpu_usage",
    "start_hour",
    "end_hour",
    "net_start_hour",
    "net_end_hour",
    "day_prefs",
    "leave_apps_in_memory",
    "confirm_before_connecting",
    "hangup_if_dialed",
    "dont_verify_images",
    "work_buf_min_days",
    "work_buf_additional_days",
    "max_ncpus_pct",
    "max_cpus",
    "disk_interval",
    "cpu_scheduling_period_minutes",
    "disk_max_used_gb",
    "disk_max_used_pct",
    "disk_min_free_gb",
    "vm_max_used_pct",
    "ram_max_used_busy_pct",
    "ram_max_used_idle_pct",
    "max_bytes_sec_up",
    "max_bytes_sec_down",
    "cpu_usage_limit",
    "daily_xfer_limit_mb",
    "daily_xfer_period_days",
    "network_wifi_only",
}
"""GLOBAL_PREFS::parse_override of client 7.20.7. The newer niu_* follow their counterparts of the same file."""
OF_PHONES = {"battery_charge_min_pct", "battery_max_temperature", "network_wifi_only"}
OF_GRAPHICS_CARDS = {"run_gpu_if_user_active"}


def test_every_element_that_a_website_could_set_is_ours() -> None:
    xml = ElementTree.fromstring(render(Preferences()))
    assert {element.tag for element in xml} == READ_BY_THE_CLIENT - OF_PHONES - OF_GRAPHICS_CARDS


def test_the_defaults_suit_idle_office_pcs() -> None:
    xml = ElementTree.fromstring(render(Preferences()))
    found = {element.tag: element.text for element in xml if element.tag != "day_prefs"}
    assert found == {
        "run_on_batteries": "1",
        "run_if_user_active": "1",
        "idle_time_to_run": "3",
        "suspend_if_no_recent_input": "0",
        "suspend_cpu_usage": "0",
        "leave_apps_in_memory": "0",
        "max_ncpus_pct": "100",
        "cpu_usage_limit": "100",
        "ram_max_used_busy_pct": "60",
        "ram_max_used_idle_pct": "60",
        "vm_max_used_pct": "75",
        "disk_max_used_gb": "10",
        "disk_max_used_pct": "90",
        "disk_min_free_gb": "0.1",
        "disk_interval": "300",
        "cpu_scheduling_period_minutes": "60",
        "work_buf_min_days": "0.1",
        "work_buf_additional_days": "0.25",
        "max_bytes_sec_down": "0",
        "max_bytes_sec_up": "0",
        "daily_xfer_limit_mb": "0",
        "daily_xfer_period_days": "0",
        "start_hour": "0",
        "end_hour": "24",
        "net_start_hour": "0",
        "net_end_hour": "24",
        "max_cpus": "0",
        "confirm_before_connecting": "0",
        "hangup_if_dialed": "0",
        "dont_verify_images": "0",
    }


def test_the_hours_are_those_of_each_single_day() -> None:
    """Else the hours that the account's website has for a day would win."""
    xml = ElementTree.fromstring(render(Preferences(start_hour=18, end_hour=7.5)))
    days = [{element.tag: element.text for element in day} for day in xml.iter("day_prefs")]
    hours = {"start_hour": "18", "end_hour": "7.5", "net_start_hour": "0", "net_end_hour": "24"}
    assert days == [{"day_of_week": str(day), **hours} for day in range(7)]


def test_every_number_of_the_standard_is_in_bounds_and_none_is_missing() -> None:
    assert None not in vars(STANDARD).values()
    assert Preferences(**vars(STANDARD)) == STANDARD


def test_what_is_not_set_comes_from_below() -> None:
    night = Preferences(start_hour=18, end_hour=7, max_ncpus_pct=50)
    assert Preferences(max_ncpus_pct=25).over(night) == Preferences(start_hour=18, end_hour=7, max_ncpus_pct=25)
    assert Preferences(run_on_batteries=False).over(STANDARD).run_on_batteries is False


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("suspend_cpu_usage", -1, "0 to 100"),
        ("suspend_cpu_usage", 100.5, "0 to 100"),
        ("max_ncpus_pct", 0, "1 to 100"),
        ("cpu_usage_limit", 101, "1 to 100"),
        ("ram_max_used_busy_pct", 0, "1 to 100"),
        ("ram_max_used_idle_pct", float("nan"), "1 to 100"),
        ("disk_max_used_gb", 0, "0.1 to 100000"),
        ("disk_max_used_pct", 0, "1 to 100"),
        ("disk_min_free_gb", -1, "0 to 100000"),
        ("work_buf_min_days", 0, "0.01 to 10"),
        ("work_buf_additional_days", 11, "0 to 10"),
        ("disk_interval", 1, "10 to 86400"),
        ("disk_interval", float("inf"), "10 to 86400"),
        ("max_bytes_sec_up", -1, "0 to 1e+10"),
        ("daily_xfer_period_days", 367, "0 to 366"),
    ],
)
def test_preferences_out_of_bounds_are_refused_by_name_and_range(name: str, value: float, allowed: str) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"^{name} is {value}: it must be from {re.escape(allowed)}$"):
        Preferences(**changes)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [(8, None, "belong together"), (None, 8, "belong together"), (8, 8, "equals"), (25, 8, "start_hour is 25")],
)
@pytest.mark.parametrize("prefix", ["", "net_"])
def test_hours_come_in_pairs(prefix: str, start: float | None, end: float | None, message: str) -> None:
    changes: dict[str, Any] = {f"{prefix}start_hour": start, f"{prefix}end_hour": end}
    with pytest.raises(ValueError, match=message):
        Preferences(**changes)


def test_a_limit_of_transfers_needs_its_days() -> None:
    with pytest.raises(ValueError, match="daily_xfer_limit_mb and daily_xfer_period_days belong together"):
        Preferences(daily_xfer_limit_mb=100)
