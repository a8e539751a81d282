"""The rendered BOINC files, word for word; URLs, keys and preferences that are refused; the archive."""

import io
import tarfile
import xml.etree.ElementTree as ElementTree
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.boinc.files import Account, Preferences, archive, render

GOLDEN = Path(__file__).parent / "golden"
KEY = "1_00112233445566778899aabbccddeeff"
ACCOUNT = Account("https://project.example/science", KEY)
MANAGERS = (IPv4Address("192.0.2.10"), IPv4Address("192.0.2.9"))


def test_the_files_are_the_golden_ones() -> None:
    preferences = Preferences(max_ncpus_pct=62.5, start_hour=18, end_hour=7.5)
    rendered = render(ACCOUNT, preferences, "quite-a-secret", MANAGERS)
    assert rendered == {path.name: path.read_bytes() for path in GOLDEN.iterdir()}


def test_the_defaults_suit_idle_office_pcs() -> None:
    xml = ElementTree.fromstring(render(None, Preferences(), "x", ())["global_prefs_override.xml"])
    assert {element.tag: element.text for element in xml} == {
        "run_on_batteries": "1",
        "run_if_user_active": "1",
        "suspend_cpu_usage": "0",
        "max_ncpus_pct": "100",
        "cpu_usage_limit": "100",
        "ram_max_used_busy_pct": "60",
        "ram_max_used_idle_pct": "60",
        "disk_max_used_gb": "10",
        "work_buf_min_days": "0.1",
        "work_buf_additional_days": "0.25",
        "disk_interval": "300",
    }


def test_without_account_and_managers_the_client_has_neither() -> None:
    files = render(None, Preferences(), "x", ())
    assert not [name for name in files if name.startswith("account_")]
    assert files["remote_hosts.cfg"] == b""
    assert files["gui_rpc_auth.cfg"] == b"x\n"


@pytest.mark.parametrize(
    ("url", "normal", "name"),
    [
        ("http://127.0.0.1:8090/fake/", "http://127.0.0.1:8090/fake/", "account_127.0.0.1_8090_fake.xml"),
        (
            "https://www.worldcommunitygrid.org",
            "https://www.worldcommunitygrid.org/",
            "account_www.worldcommunitygrid.org.xml",
        ),
        (
            " HTTP://Boinc.Bakerlab.ORG/rosetta ",
            "http://boinc.bakerlab.org/rosetta/",
            "account_boinc.bakerlab.org_rosetta.xml",
        ),
        ("https://a-b.example/~x/Y_z/", "https://a-b.example/~x/Y_z/", "account_a-b.example__x_Y_z.xml"),
    ],
)
def test_urls_are_normalised_and_escaped_as_the_client_does_it(url: str, normal: str, name: str) -> None:
    account = Account(url, KEY)
    assert account.url == normal
    assert account.file_name == name
    assert name in render(account, Preferences(), "x", ())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "project.example/",
        "ftp://project.example/",
        "http://localhost/",
        "http:///x/",
        "http://project.example:port/",
        "http://project.example:99999/",
        "http://[::1]/",
        "http://[/",
        "http://user:secret@project.example/",
        "http://project.example/?a=b",
        "http://project.example/#here",
        "http://project.example/a b/",
        "http://project.example/<x>/",
        "http://pröject.example/",
        "http://project.example/" + "a" * 255,
    ],
)
def test_urls_that_boinc_could_not_use_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="project URL"):
        Account(url, KEY)


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "ключ", "x" * 256])
def test_a_key_that_the_file_cannot_hold_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="account key") as caught:
        Account("http://project.example/", key)
    assert not key or key not in str(caught.value)


def test_the_key_is_not_in_the_accounts_repr() -> None:
    assert KEY not in repr(ACCOUNT)


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255))
def test_any_key_and_password_arrive_as_they_are(key: str) -> None:
    files = render(Account("http://project.example/", key), Preferences(), key, ())
    xml = ElementTree.fromstring(files["account_project.example.xml"])
    assert (xml.tag, xml.findtext("master_url"), xml.findtext("authenticator")) == (
        "account",
        "http://project.example/",
        key,
    )
    assert files["gui_rpc_auth.cfg"].decode() == key + "\n"


@pytest.mark.parametrize("password", ["", " ", "two words", "line\n", "пароль", "x" * 256])
def test_a_password_that_the_client_would_read_differently_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="GUI RPC password"):
        render(ACCOUNT, Preferences(), password, ())


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
        ("work_buf_min_days", 0, "0.01 to 10"),
        ("work_buf_additional_days", 11, "0 to 10"),
        ("disk_interval", 1, "10 to 86400"),
        ("disk_interval", float("inf"), "10 to 86400"),
    ],
)
def test_preferences_out_of_bounds_are_refused_by_name_and_range(name: str, value: float, allowed: str) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"^{name} is {value}: it must be from {allowed}$"):
        Preferences(**changes)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [(8, None, "belong together"), (None, 8, "belong together"), (8, 8, "equals"), (25, 8, "start_hour is 25")],
)
def test_hours_come_in_pairs(start: float | None, end: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preferences(start_hour=start, end_hour=end)


def test_the_archive_is_private_and_always_the_same() -> None:
    files = render(ACCOUNT, Preferences(), "x", MANAGERS)
    packed = archive(files, 731, 732)
    assert packed == archive(dict(reversed(files.items())), 731, 732)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(files)
        for member in members:
            assert (member.mode, member.uid, member.gid, member.mtime, member.uname) == (0o600, 731, 732, 0, "")
            assert member.isreg()
            extracted = tar.extractfile(member)
            assert extracted
            assert extracted.read() == files[member.name]


@pytest.mark.parametrize("name", ["", "../x", "/etc/x", "a/b", ".hidden", "x" * 101])
def test_the_archive_takes_plain_names_only(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        archive({name: b""}, 731, 731)
