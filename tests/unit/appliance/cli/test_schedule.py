"""`schedule` as its user types it, and what other verbs say of schedules. The server's clocks are in Berlin."""

import json
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.allowlist import Allowlist
from appliance.cli.arguments import schedule_names
from appliance.cli.schedule import in_words
from appliance.config.file import ENVIRONMENT, load, parse
from appliance.doctor import settings
from appliance.doctor.finding import Severity
from appliance.view.schedules import WindowView, schedule_now, schedule_views
from tests.unit.appliance.cli.program import Run, assert_refused
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, IDLE, fill

SCHEDULES = """
[schedules.night]
windows = ["Mon-Fri 19:00-06:30", "Sat-Sun"]
time_zone = "Europe/Berlin"
holidays = ["2026-12-02"]

[schedules.always]
windows = ["Mon-Sun"]
at_end = "suspend BOINC"
"""
MOMENT = r"\w{3} (\d{4}-\d\d-\d\d )?\d\d:\d\d"


@pytest.fixture
def scheduled(run: Run, tmp_path: Path) -> Run:
    with (tmp_path / "c.toml").open("a") as file:
        file.write(SCHEDULES)
    return run


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


def test_the_coming_week() -> None:
    config = parse(SCHEDULES, Path("c.toml"))
    night, always = schedule_views(config, config.schedules, Allowlist.of([]), at("2026-12-01 03:00"))
    assert [(each.begin, each.end) for each in night.coming] == [
        (at("2026-11-30 19:00"), at("2026-12-01 06:30")),
        # Wednesday is a holiday.
        (at("2026-12-01 19:00"), at("2026-12-03 06:30")),
        (at("2026-12-03 19:00"), at("2026-12-04 06:30")),
        (at("2026-12-04 19:00"), at("2026-12-07 00:00")),
        (at("2026-12-07 19:00"), at("2026-12-08 06:30")),
    ]
    assert (night.now.open, night.now.window) == (True, WindowView(*(night.coming[0].begin, night.coming[0].end)))
    assert [each.end for each in always.coming] == [None]


def test_what_a_schedule_says_now(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse(SCHEDULES, Path("c.toml"))
    monkeypatch.setattr(
        "appliance.cli.schedule.time.localtime",
        lambda at: datetime.fromtimestamp(at, ZoneInfo("Europe/Berlin")).timetuple(),
    )

    def words(name: str, now: str) -> str:
        monkeypatch.setattr("appliance.cli.schedule.time.time", lambda: at(now))
        found = schedule_now(config, name, at(now))
        assert found
        return in_words(found)

    assert words("night", "2026-12-01 03:00") == "computes until Tue 06:30, then: power off"
    assert words("night", "2026-12-01 12:00") == "computes from Tue 19:00 until Thu 06:30, then: power off"
    assert words("always", "2026-12-01 12:00") == "computes at any time"
    assert schedule_now(config, "lost", 0.0) is None


def test_list_show_and_next(scheduled: Run) -> None:
    scheduled("allow", "add", "52:54:00:*", "--schedule", "night")
    name, windows, ranges, now = re.split(r"  +", scheduled("schedule", "list").stdout.splitlines()[1])
    assert (name, windows, ranges) == ("night", "Mon-Fri 19:00-06:30, Sat-Sun", "1")
    assert re.fullmatch(rf"computes (from {MOMENT} )?until {MOMENT}, then: power off", now)
    shown = scheduled("schedule", "show", "night").stdout
    for line in (
        "schedule   night\n",
        "windows    Mon-Fri 19:00-06:30, Sat-Sun (Europe/Berlin)\n",
        "holidays   2026-12-02\n",
        "at end     power off, after at most 600 seconds\n",
        "ranges     1\n",
    ):
        assert line in shown
    assert len(re.findall(rf"^({MOMENT}|now) +{MOMENT}$", shown, re.MULTILINE)) in (4, 5, 6)
    assert re.search(r"^now +never +always +suspend BOINC$", scheduled("schedule", "next").stdout, re.MULTILINE)
    document = json.loads(scheduled("schedule", "list", "--json").stdout)
    assert [each["name"] for each in document] == ["night", "always"]
    assert document[0] == json.loads(scheduled("schedule", "show", "night", "--json").stdout)
    assert set(document[0]) == {
        *("name", "open", "window", "at_start", "at_end", "windows", "time_zone", "holidays", "grace", "ranges"),
        "coming",
    }
    coming = json.loads(scheduled("schedule", "next", "--json").stdout)
    assert [each["begin"] for each in coming] == sorted(each["begin"] for each in coming)
    assert {"schedule": "always", "end": None, "at_end": "suspend BOINC"}.items() <= coming[0].items()


def test_without_schedules(run: Run) -> None:
    for verb in ("list", "next"):
        assert run("schedule", verb).stdout == "There is no schedule: PCs compute at any time.\n"
        assert json.loads(run("schedule", verb, "--json").stdout) == []
    assert_refused(run, ("schedule", "show", "night"), "there is no schedule 'night'\nhint: there is none: write a")


def test_an_unknown_schedule_is_refused_with_the_known_ones(scheduled: Run) -> None:
    assert_refused(scheduled, ("schedule", "show", "nihgt"), "there are: always, night")


def test_the_shell_completes_their_names(scheduled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "c.toml"))
    assert schedule_names("") == ["always", "night"]
    assert schedule_names("ni") == ["night"]
    monkeypatch.setenv(ENVIRONMENT, "/nonexistent")
    assert schedule_names("") == []


def test_status_and_clients_show_when_the_window_ends(scheduled: Run, tmp_path: Path) -> None:
    fill(tmp_path / "data" / "registry" / "registry.sqlite3")
    scheduled("allow", "add", str(COMPUTES), "--schedule", "night")
    scheduled("allow", "add", str(IDLE), "--schedule", "always")
    status = scheduled("status").stdout
    words = rf"computes (from {MOMENT} )?until {MOMENT}, then: power off"
    assert re.search(rf"^schedule  night: {words}$", status, re.MULTILINE)
    assert "\nschedule  always: computes at any time\n" in status
    assert [each["name"] for each in json.loads(scheduled("status", "--json").stdout)["schedules"]] == [
        "night",
        "always",
    ]
    assert re.search(
        rf"^schedule           night: {words}$", scheduled("clients", "show", str(COMPUTES)).stdout, re.MULTILINE
    )
    shown = json.loads(scheduled("clients", "show", str(IDLE), "--json").stdout)["schedule"]
    assert (shown["name"], shown["open"], shown["window"]["end"]) == ("always", True, None)


def test_a_schedule_that_the_configuration_has_lost_is_named(scheduled: Run, tmp_path: Path) -> None:
    fill(tmp_path / "data" / "registry" / "registry.sqlite3")
    scheduled("allow", "add", str(COMPUTES), "--schedule", "night")
    assert "note: " not in scheduled("config", "check").stderr
    file = tmp_path / "c.toml"
    file.write_text(file.read_text().replace("[schedules.night]", "[schedules.day]"))
    assert (
        "note: there is no schedule 'night', but a range of the allowlist has it, and its PCs compute at any time; "
        "there are: always, day\n"
    ) in scheduled("config", "check").stderr
    assert json.loads(scheduled("clients", "show", str(COMPUTES), "--json").stdout)["schedule"] is None
    assert "schedule  day: " in scheduled("status").stdout
    (finding,) = settings.check_allowlist(load(file))[1:]
    assert (finding.severity, finding.check) == (Severity.WARNING, "schedules")
    assert "names a schedule 'night', which the configuration does not have" in finding.what


def test_config_check_shows_the_schedules(scheduled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("interfaces", "networks"):
        monkeypatch.setattr(f"appliance.network.interfaces.{name}", lambda *_: [])
    assert (
        "schedule  night: Mon-Fri 19:00-06:30, Sat-Sun; at the end: power off\n"
        "schedule  always: Mon-Sun; at the end: suspend BOINC\n"
    ) in scheduled("config", "check").stdout
