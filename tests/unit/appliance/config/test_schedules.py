"""[schedules.NAME]: what is read, and how mistakes are answered."""

from datetime import UTC, date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.config.file import Config, parse, redacted
from appliance.errors import UserError
from appliance.schedules.schedule import Schedule

HERE = Path("/etc/c.toml")
NIGHT = '[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30", "Sat-Sun"]\n'


def read(text: str) -> Config:
    return parse(text, HERE)


def schedule(config: Config, name: str = "night") -> Schedule:
    settings = config.schedule(name)
    assert settings is not None
    return settings.schedule(config.time_zone)


def test_a_schedule_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Moscow")
    config = read(
        NIGHT
        + 'time_zone = "Asia/Kolkata"\nholidays = ["2026-12-24", 2026-12-25]\nat_end = "suspend BOINC"\ngrace = 0\n'
        + '[schedules."room-12"]\nwindows = ["12:00-13:00"]\n'
    )
    night = schedule(config)
    assert night.zone == ZoneInfo("Asia/Kolkata")
    assert night.holidays == {date(2026, 12, 24), date(2026, 12, 25)}
    settings = config.schedules
    assert [(str(name), each.at_end, each.grace) for name, each in settings.items()] == [
        ("night", "suspend BOINC", 0),
        ("room-12", "power off", 600),
    ]
    other = schedule(config, "room-12")
    assert (other.zone, other.holidays) == (ZoneInfo("Europe/Moscow"), frozenset())
    assert config.schedule("") is config.schedule("nihgt") is None
    shown = redacted(config)["schedules"]["night"]
    assert shown["windows"] == ["Mon-Fri 19:00-06:30", "Sat-Sun"]
    assert shown["holidays"] == ["2026-12-24", "2026-12-25"]


def test_the_time_zone_is_that_of_the_pcs() -> None:
    assert schedule(read(NIGHT + '[live]\ntime_zone = "Asia/Kolkata"\n')).zone == ZoneInfo("Asia/Kolkata")


def test_a_server_without_a_time_zone_has_utc() -> None:
    settings = read(NIGHT).schedule("night")
    assert settings is not None
    assert settings.schedule("").zone is UTC


def test_a_file_of_holidays(tmp_path: Path) -> None:
    file = tmp_path / "holidays"
    file.write_text("# school\n\n2026-12-24\n 2026-12-25  # Christmas\n")
    config = read(f'{NIGHT}holidays = "{file}"\n')
    assert schedule(config).holidays == {date(2026, 12, 24), date(2026, 12, 25)}
    assert redacted(config)["schedules"]["night"]["holidays"] == str(file)
    for text, message in (
        ("2026-12-24\n24.12.\n", "line 2: write a date as 2026-12-24"),
        ("2026-02-30\n", "line 1: write a date"),
        ("\xff\n", "line 1: write a date"),
        ("#" * 65537, "has more than 64 kB"),
        ("2026-12-24\n" * 1001, "holidays: at most 1000 days"),
    ):
        file.write_text(text, encoding="latin-1")
        with pytest.raises(UserError) as caught:
            read(f'{NIGHT}holidays = "{file}"\n')
        assert caught.value.message.startswith("/etc/c.toml:3: [schedules.night] holidays")
        assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[schedules.night]\n", "/etc/c.toml:1: [schedules.night] windows: write 1 to 64", 'windows = ["Mon-Fri'),
        ("[schedules.night]\nwindows = []\n", "/etc/c.toml:2: [schedules.night] windows: write 1", ""),
        ('[schedules.night]\nwindows = "Mon"\n', "/etc/c.toml:2: [schedules.night] windows", "write a list in [ ]"),
        (
            '[schedules.night]\nwindows = ["Mo-Fr 19:00-06:30"]\n',
            "/etc/c.toml:2: [schedules.night] windows = [\"Mo-Fr 19:00-06:30\"]: 'Mo-Fr 19:00-06:30': write",
            "Mon-Fri 19:00-06:30",
        ),
        (
            NIGHT.replace("night", '"last night"'),
            "[schedules.last night] a name is 1 to 32 letters",
            "[schedules.night]",
        ),
        ("[schedules]\nnight = 5\n", "/etc/c.toml:2: night is a section", "write [schedules.night]"),
        ('[schedules]\nwindows = ["Sat"]\n', "/etc/c.toml:2: windows is a section", ""),
        ("schedules = 5\n", "/etc/c.toml:1: schedules is a section", "write [schedules]"),
        (NIGHT + 'at_begin = "wake"\n', "/etc/c.toml:3: unknown key 'at_begin' in [schedules.night]", ""),
        (NIGHT + 'at_end = "sleep"\n', "/etc/c.toml:3: [schedules.night] at_end", "power off, reboot to local disk"),
        (NIGHT + "grace = 86401\n", "/etc/c.toml:3: [schedules.night] grace: must be from 0 to 86400 seconds", ""),
        (NIGHT + 'grace = "10 min"\n', "/etc/c.toml:3: [schedules.night] grace", "write a whole number"),
        (NIGHT + "respite = -1\n", "/etc/c.toml:3: [schedules.night] respite: must be from 0 to 604800 seconds", ""),
        (NIGHT + 'time_zone = "Berlin"\n', "/etc/c.toml:3: [schedules.night] time_zone: this server knows no", ""),
        (NIGHT + 'holidays = ["24.12."]\n', "/etc/c.toml:3: [schedules.night] holidays", "write a date as 2026-12-24"),
        (NIGHT + "holidays = [2026-12-24T00:00:00]\n", "/etc/c.toml:3: [schedules.night] holidays", "write a date"),
        (NIGHT + 'holidays = "holidays"\n', "/etc/c.toml:3: [schedules.night] holidays", "the absolute path of a file"),
        (NIGHT + 'holidays = "/nonexistent/h"\n', "/etc/c.toml:3: [schedules.night] holidays", "No such file"),
        (NIGHT + "holidays = 5\n", "/etc/c.toml:3: [schedules.night] holidays", "write text in quotes"),
        (
            "".join(NIGHT.replace("night", f"n{n}") for n in range(65)),
            "/etc/c.toml: 65 schedules: at most 64",
            "several ranges can have one",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_hint(text: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text)
    assert message in caught.value.message
    assert hint in f"{caught.value.message} {caught.value.hint}"
