"""URLs, keys and logins that are refused, and how they are written."""

import hashlib

import pytest

from services.boinc.accounts import Account, AccountManager, login_hash

KEY = "1_00112233445566778899aabbccddeeff"
ACCOUNT = Account("https://project.example/science", KEY)


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
        "http://project.example/" + "a" * 80,
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


@pytest.mark.parametrize("share", [-1, 1_000_001, float("nan")])
def test_a_share_out_of_bounds_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="resource_share is"):
        Account("http://project.example/", KEY, share)


def test_a_weak_key_is_known_by_its_form() -> None:
    assert ACCOUNT.weak
    assert not Account("http://project.example/", "00112233445566778899aabbccddeeff").weak


def test_the_login_hash_is_the_one_that_the_client_makes() -> None:
    """GUI RPC acct_mgr_rpc: md5 of the password and the name in lower case."""
    assert login_hash("Site", "Secret") == hashlib.md5(b"Secretsite").hexdigest()


@pytest.mark.parametrize(
    ("url", "login", "hash_", "message"),
    [
        ("ftp://manager.example/", "me", "0" * 32, "project URL"),
        ("https://manager.example/", "two words", "0" * 32, "login name"),
        ("https://manager.example/", "me", "Secret", "login hash"),
    ],
)
def test_a_manager_that_the_client_could_not_use_is_refused(url: str, login: str, hash_: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        AccountManager(url, login, hash_)
    assert "Secret" not in str(caught.value)


def test_the_hash_is_not_in_the_managers_repr() -> None:
    assert "0" * 32 not in repr(AccountManager("https://manager.example/", "me", "0" * 32))
