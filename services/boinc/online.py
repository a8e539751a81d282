"""What a BOINC project, or an account manager, says of a key: the questions and how the answers are read. PURE.

Sources: BOINC's html/user/get_project_config.php and am_get_info.php, sched/handle_request.cpp, client/acct_mgr.cpp.
am_get_info.php knows full keys only. Of a weak key nothing but the scheduler can tell. It makes a computer for the
account when it accepts the key, so the question names one that is always the same: it is made once. It has no tasks.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from html import escape, unescape
from urllib.parse import quote, urljoin, urlsplit

from services.boinc.accounts import AccountManager
from services.foreign_text import printable

COMPUTER = "netboot-appliance-check"
"""The name that the account's list of computers shows for whoever asks."""

_ASKED_BY = hashlib.md5(COMPUTER.encode(), usedforsecurity=False).hexdigest()
_NOT_FOUND = ("-136", "-206", "-207", "-161")
"""ERR_DB_NOT_FOUND, ERR_BAD_PASSWD, ERR_BAD_EMAIL_ADDR and ERR_NOT_FOUND of BOINC's lib/error_numbers.h."""


class Key(StrEnum):
    """What became of a key, or of a login."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What an answer says of the key; `says` are the server's words, or ours if it did not make sense."""

    key: Key
    says: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """What a project says of itself. `stopped`: it takes no requests now."""

    name: str
    stopped: bool


def describe(content: bytes) -> Described | None:
    """Read the answer to get_project_config.php; None if it is none."""
    text = _text(content)
    if "<project_config>" not in text:
        return None
    stopped = any(_element(text, name) == "1" for name in ("web_stopped", "sched_stopped"))
    return Described(_element(text, "name"), stopped)


def scheduler_url(page: bytes, url: str) -> str | None:
    """The scheduler that a project's master page names; `url` is that of the page."""
    text = _text(page)
    for pattern in (
        r"<link\s[^<>]{0,300}rel=[\"']?boinc_scheduler[\"']?[^<>]{0,300}\shref=[\"']?([^\"'\s<>]+)",
        r"<scheduler>\s{0,99}([^\s<]+)\s{0,99}</scheduler>",
    ):
        if found := re.search(pattern, text):
            try:
                answer = urljoin(url, unescape(found[1]))
                urlsplit(answer)
            except ValueError:  # such as half an IPv6 address
                return None
            return answer if answer.startswith(("http://", "https://")) else None
    return None


def account_info_url(url: str, key: str) -> str:
    """Where a project tells of the account of a full key."""
    return f"{url}am_get_info.php?account_key={quote(key, safe='')}"


def read_account_info(content: bytes) -> KeyVerdict:
    """Whether the answer to that tells of an account."""
    text = _text(content)
    if "<am_get_info_reply>" in text and "<success/>" in text:
        return KeyVerdict(Key.ACCEPTED)
    return _by_error(text)


def scheduler_request(url: str, key: str) -> str:
    """A request of a computer that wants no work, for the project with this master URL."""
    return (
        f"<scheduler_request>\n<authenticator>{escape(key, quote=False)}</authenticator>\n<hostid>0</hostid>\n"
        "<rpc_seqno>0</rpc_seqno>\n<core_client_major_version>7</core_client_major_version>\n"
        "<core_client_minor_version>20</core_client_minor_version>\n<core_client_release>5</core_client_release>\n"
        "<platform_name>x86_64-pc-linux-gnu</platform_name>\n<work_req_seconds>0</work_req_seconds>\n"
        f"<master_url>{escape(url, quote=False)}</master_url>\n<host_info>\n"
        f"<domain_name>{COMPUTER}</domain_name>\n<ip_addr>127.0.0.1</ip_addr>\n<host_cpid>{_ASKED_BY}</host_cpid>\n"
        "<p_ncpus>1</p_ncpus>\n<p_vendor>none</p_vendor>\n<p_model>none</p_model>\n<m_nbytes>1000000000</m_nbytes>\n"
        "<os_name>Linux</os_name>\n<os_version>none</os_version>\n</host_info>\n</scheduler_request>\n"
    )


def read_scheduler_reply(content: bytes) -> KeyVerdict:
    """Whether the scheduler took the key. Only then it says who the user is."""
    text = _text(content)
    if "<scheduler_reply>" not in text:
        return KeyVerdict(Key.UNKNOWN, "its scheduler does not answer as one")
    says = _element(text, "message")
    if re.search(r"account key|authenticator", says, re.IGNORECASE):
        return KeyVerdict(Key.REFUSED, says)
    if any(_element(text, name) for name in ("userid", "hostid", "user_name")):
        return KeyVerdict(Key.ACCEPTED)
    return KeyVerdict(Key.UNKNOWN, says or "its scheduler says nothing of the key")


def manager_request(manager: AccountManager) -> str:
    """What a client without any project asks an account manager."""
    return (
        f"<acct_mgr_request>\n<name>{escape(manager.login, quote=False)}</name>\n"
        f"<password_hash>{manager.login_hash}</password_hash>\n<host_cpid>{_ASKED_BY}</host_cpid>\n"
        f"<domain_name>{COMPUTER}</domain_name>\n<client_version>7.20.5</client_version>\n"
        "<run_mode>auto</run_mode>\n</acct_mgr_request>\n"
    )


def read_manager_reply(content: bytes) -> KeyVerdict:
    """Whether the account manager took the login."""
    text = _text(content)
    if "<acct_mgr_reply>" not in text:
        return KeyVerdict(Key.UNKNOWN, "does not answer as an account manager")
    if _element(text, "error_num") in ("", "0") and not (_element(text, "error") or _element(text, "error_msg")):
        return KeyVerdict(Key.ACCEPTED)
    return _by_error(text)


def _by_error(text: str) -> KeyVerdict:
    number = _element(text, "error_num")
    says = _element(text, "error_msg") or _element(text, "error")
    if number in _NOT_FOUND:
        return KeyVerdict(Key.REFUSED, says or "there is no such account")
    return KeyVerdict(Key.UNKNOWN, says or (f"error {number}" if number else "its answer makes no sense"))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}(?:\s[^<>]*)?>([^<]*)</{name}>", text)
    return printable(unescape(found[1]).strip()) if found else ""
