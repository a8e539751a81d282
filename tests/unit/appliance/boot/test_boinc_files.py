"""Which projects and preferences a PC gets."""

from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.boot import boinc_files
from appliance.config.file import Config, parse
from services.boinc.preferences import Preferences
from services.ethernet import MacAddress, MacRange

ROOM = Entry(MacRange.parse("52:54:00:aa:*"), "room 12")
PC, NEIGHBOUR = MacAddress.parse("52:54:00:aa:bb:cc"), MacAddress.parse("52:54:00:aa:00:01")
ELSEWHERE = Entry(MacRange.parse("00:11:22:33:44:55"), "")
STRANGER = ELSEWHERE.range.first


def config(text: str) -> Config:
    return parse(text, Path("/etc/c.toml"))


def projects(found: Config, mac: MacAddress, allowed: Entry) -> list[tuple[str, str]]:
    return [(account.url, account.key) for account in boinc_files.accounts(found, mac, allowed)]


def test_everybody_joins_the_only_project() -> None:
    found = config('[project]\nurl = "https://a.example/"\naccount_key = "1_a"\n')
    assert projects(found, STRANGER, ELSEWHERE) == [("https://a.example/", "1_a")]


def test_projects_are_for_ranges_and_labels() -> None:
    found = config(
        '[[projects]]\nurl = "https://a.example/"\naccount_key = "all"\n'
        '[[projects]]\nurl = "https://a.example/"\naccount_key = "room"\nfor = ["room 12"]\n'
        '[[projects]]\nurl = "https://a.example/"\naccount_key = "pc"\nfor = ["52:54:00:aa:bb:cc"]\n'
        '[[projects]]\nurl = "https://b.example/"\naccount_key = "b"\nfor = ["52:54:00:*"]\n'
    )
    assert projects(found, STRANGER, ELSEWHERE) == [("https://a.example/", "all")]
    assert projects(found, NEIGHBOUR, ROOM) == [("https://a.example/", "room"), ("https://b.example/", "b")]
    assert projects(found, PC, ROOM) == [("https://a.example/", "pc"), ("https://b.example/", "b")]


@pytest.mark.parametrize(
    ("mac", "allowed", "expected"),
    [
        (STRANGER, ELSEWHERE, Preferences(max_ncpus_pct=50, disk_interval=60)),
        (NEIGHBOUR, ROOM, Preferences(max_ncpus_pct=25, disk_interval=60)),
        (PC, ROOM, Preferences(max_ncpus_pct=50, disk_interval=900)),
    ],
)
def test_of_the_exceptions_only_the_narrowest_counts(mac: MacAddress, allowed: Entry, expected: Preferences) -> None:
    found = config(
        "[boinc.preferences]\nmax_ncpus_pct = 50\ndisk_interval = 60\n"
        '[[boinc.exceptions]]\nfor = ["52:54:00:aa:bb:cc"]\ndisk_interval = 900\n'
        '[[boinc.exceptions]]\nfor = ["52:54:00:*"]\nmax_ncpus_pct = 10\n'
        '[[boinc.exceptions]]\nfor = ["room 12", "00:00:00:*"]\nmax_ncpus_pct = 25\n'
    )
    assert boinc_files.preferences(found, mac, allowed) == expected


def test_the_rest_is_the_same_for_all() -> None:
    found = config(
        '[boinc]\nproxy = "http://10.0.0.8:3128"\nmanagement_hosts = ["10.0.0.9"]\n'
        '[account_manager]\nurl = "https://m.example/"\nname = "me"\npassword = "x"\n'
    )
    settings = boinc_files.settings(found, STRANGER, ELSEWHERE, found.boinc.web_proxy)
    assert (settings.accounts, settings.manager, settings.proxy) == ((), found.manager, found.boinc.web_proxy)
    assert [str(host) for host in settings.management_hosts] == ["10.0.0.9"]
