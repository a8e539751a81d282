"""The rendered BOINC files, word for word, and the archive."""

import io
import tarfile
import xml.etree.ElementTree as ElementTree
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.boinc.accounts import Account, AccountManager, login_hash
from services.boinc.files import CA_FILE, TAG_FILE, ClientSettings, Proxy, archive, render, tag
from services.boinc.preferences import Preferences

GOLDEN = Path(__file__).parent / "golden"
KEY = "1_00112233445566778899aabbccddeeff"
ACCOUNT = Account("https://project.example/science", KEY)
MANAGERS = (IPv4Address("192.0.2.10"), IPv4Address("192.0.2.9"))
ONE = ClientSettings(
    accounts=(ACCOUNT,),
    preferences=Preferences(max_ncpus_pct=62.5, start_hour=18, end_hour=7.5, leave_apps_in_memory=True),
    management_hosts=MANAGERS,
)
SEVERAL = ClientSettings(
    accounts=(
        Account("https://project.example/science", KEY, 150),
        Account("http://10.0.0.8:8080/", "2_00112233445566778899aabbccddeeff", 0),
    ),
    proxy=Proxy("proxy.example", 3128, "pc<1>", "a&b", ("project.example", "10.0.0.8")),
    ca="-----BEGIN CERTIFICATE-----\nTWlJ\n-----END CERTIFICATE-----\n",
)
MANAGED = ClientSettings(
    manager=AccountManager("https://manager.example/am", "Site<1>", login_hash("Site<1>", "secret"))
)


@pytest.mark.parametrize(("name", "settings"), [("one", ONE), ("several", SEVERAL), ("managed", MANAGED)])
def test_the_files_are_the_golden_ones(name: str, settings: ClientSettings) -> None:
    rendered = render(settings, "quite-a-secret")
    assert rendered == {path.name: path.read_bytes() for path in (GOLDEN / name).iterdir()}


def test_without_account_and_managers_the_client_has_neither() -> None:
    files = render(ClientSettings(), "x")
    assert not [name for name in files if name.startswith("acc")]
    assert files["remote_hosts.cfg"] == b""
    assert files["gui_rpc_auth.cfg"] == b"x\n"
    assert CA_FILE not in files


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255))
def test_any_key_and_password_arrive_as_they_are(key: str) -> None:
    files = render(ClientSettings((Account("http://project.example/", key),)), key)
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
        render(ONE, password)


def test_the_archive_is_private_and_always_the_same() -> None:
    files = render(ONE, "x")
    packed = archive(files, 731, 732)
    assert packed == archive(dict(reversed(files.items())), 731, 732)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted([*files, TAG_FILE])
        for member in members:
            assert (member.mode, member.uid, member.gid, member.mtime, member.uname) == (0o600, 731, 732, 0, "")
            assert member.isreg()
            extracted = tar.extractfile(member)
            assert extracted
            assert extracted.read() == (files | {TAG_FILE: f"{tag(files)}\n".encode()})[member.name]


@pytest.mark.parametrize("name", ["", "../x", "/etc/x", "a/b", ".hidden", "x" * 101])
def test_the_archive_takes_plain_names_only(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        archive({name: b""}, 731, 731)


def test_a_tag_is_of_all_files_and_their_names() -> None:
    files = {"a": b"1", "b": b"2"}
    assert tag(files) == tag(dict(reversed(files.items()))) != tag({})
    assert len(tag(files)) == 16
    assert (
        len(
            {
                tag(each)
                for each in ({"a": b"1", "b": b"2"}, {"a": b"1"}, {"a": b"2", "b": b"2"}, {"b": b"1a", "a": b""})
            }
        )
        == 4
    )


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ({"exceptions": ("10.0.0.8:80",)}, "is not a host"),
        ({"exceptions": ("localhost",)}, "is not a host"),
        ({"exceptions": ("a.example",) * 30}, "255 characters"),
        ({"user": "a b"}, "printable ASCII"),
        ({"password": "x"}, "no user"),
    ],
)
def test_a_proxy_that_the_client_could_not_use_is_refused(proxy: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Proxy("proxy.example", 3128, **proxy)


def test_only_a_proxy_with_an_address_has_one() -> None:
    assert Proxy("10.0.0.8", 3128).address == IPv4Address("10.0.0.8")
    assert Proxy("proxy.example", 3128).address is None
    assert "secret" not in repr(Proxy("proxy.example", 3128, "u", "secret"))
