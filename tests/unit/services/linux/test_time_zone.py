"""The time zone of this host, from wherever it is kept."""

from pathlib import Path

import pytest

from services.linux import time_zone


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TZ", raising=False)
    folder = tmp_path / "zoneinfo"
    for name in ("Europe/Berlin", "Asia/Kolkata", "Etc/UTC", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "UTC"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    monkeypatch.setattr(time_zone, "DATABASE", folder)
    return folder


def named(tmp_path: Path, link: str = "", text: str | None = None) -> str:
    """The zone of a host with this link /etc/localtime, and this /etc/timezone."""
    localtime, timezone = tmp_path / "localtime", tmp_path / "timezone"
    if link:
        localtime.symlink_to(link)
    else:
        localtime.write_bytes(b"TZif2")
    if text is not None:
        timezone.write_text(text)
    return time_zone.of_this_host(localtime, timezone)


@pytest.mark.parametrize("link", ["/usr/share/zoneinfo/Asia/Kolkata", "../usr/share/zoneinfo/Asia/Kolkata"])
def test_the_link_that_systemd_keeps_counts_before_debians_file(tmp_path: Path, link: str) -> None:
    assert named(tmp_path, link, "Europe/Berlin\n") == "Asia/Kolkata"


def test_a_copy_of_a_zone_has_its_name_in_debians_file(tmp_path: Path) -> None:
    assert named(tmp_path, text="Europe/Berlin\n") == "Europe/Berlin"


@pytest.mark.parametrize("tz", ["Europe/Berlin", ":Europe/Berlin"])
def test_the_servers_environment_counts_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tz: str) -> None:
    monkeypatch.setenv("TZ", tz)
    assert named(tmp_path, "/usr/share/zoneinfo/Asia/Kolkata") == "Europe/Berlin"


def test_what_is_no_name_of_a_zone_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert named(tmp_path, "/etc/elsewhere", "../../etc/passwd") == ""


def test_a_host_without_either_has_none(tmp_path: Path) -> None:
    assert named(tmp_path) == ""


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "UTC"])
def test_names_of_tzdata_are_known(name: str) -> None:
    assert time_zone.is_known(name)


@pytest.mark.parametrize(
    "name", ["", "Europe", "Europe/", "/Europe/Berlin", "../zoneinfo/UTC", "UTC ", "UTC\n", "CET-1"]
)
def test_other_names_are_not(name: str) -> None:
    assert not time_zone.is_known(name)
