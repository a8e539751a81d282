"""The fake account manager answers as clients can read it."""

import hashlib
from pathlib import Path

import pytest

from tests.fakes import boinc_control
from tests.fakes.boinc_account_manager import LOGIN, PASSWORD_HASH, AccountManager
from tests.fakes.boinc_control import ManagedAccount
from tests.fakes.boinc_signing import EXPONENT, SigningKey
from tests.fakes.boinc_xml import element

KEY = SigningKey.generate()
URL = "http://192.0.2.3/fake/"


@pytest.fixture
def manager(tmp_path: Path) -> AccountManager:
    return AccountManager(tmp_path, KEY, lambda line: None)


def request(login: str = LOGIN, password: str = PASSWORD_HASH) -> str:
    return (
        f"<acct_mgr_request><name>{login}</name><password_hash>{password}</password_hash>"
        "<domain_name>a</domain_name></acct_mgr_request>"
    )


def test_a_wrong_login_or_password_is_an_error_and_nothing_else(manager: AccountManager, tmp_path: Path) -> None:
    boinc_control.change(tmp_path, managed=(ManagedAccount(URL, "1_key"),))
    for wrong in (request(login="other"), request(password="0" * 32), "<acct_mgr_request></acct_mgr_request>"):
        reply = manager.answer(wrong)
        assert element(reply, "error_num") == "-206"
        assert "1_key" not in reply


def test_a_projects_url_is_signed_and_the_key_sent_with_it(manager: AccountManager, tmp_path: Path) -> None:
    boinc_control.change(tmp_path, managed=(ManagedAccount(URL, "1_key"),))
    reply = manager.answer(request())
    account = element(reply, "account")
    assert (element(account, "url"), element(account, "authenticator")) == (URL, "1_key")
    assert element(reply, "signing_key").split() == KEY.public_text().split()
    signature = int(element(account, "url_signature").replace("\n", "").rstrip("."), 16)
    block = pow(signature, EXPONENT, KEY.modulus).to_bytes(128, "big")
    assert block.rpartition(b"\xff\x00")[2] == hashlib.md5(URL.encode()).hexdigest().encode()


def test_only_what_is_wanted_is_said(manager: AccountManager, tmp_path: Path) -> None:
    boinc_control.change(tmp_path, managed=(ManagedAccount(URL, "1_key"),))
    plain = manager.answer(request())
    assert "<suspend>" not in plain
    assert "<global_preferences>" not in plain
    wanted = ManagedAccount(URL, "1_key", suspend=False, dont_request_more_work=True, resource_share=50.0)
    boinc_control.change(tmp_path, managed=(wanted,), managed_preferences="<max_ncpus_pct>50</max_ncpus_pct>\n")
    reply = manager.answer(request())
    for part in (
        "<suspend>0</suspend>",
        "<dont_request_more_work>1</dont_request_more_work>",
        "<resource_share>50.0</resource_share>",
        "<max_ncpus_pct>50</max_ncpus_pct>",
    ):
        assert part in reply
