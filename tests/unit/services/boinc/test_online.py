"""What projects and account managers answer, as BOINC's server 8.3.0 writes it, and what is made of it."""

import time
import xml.etree.ElementTree as ElementTree

import pytest

from services.boinc import online
from services.boinc.accounts import AccountManager
from services.boinc.online import Key, KeyVerdict

URL = "https://a.example/science/"
CONFIG = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<project_config>
    <name>Sci &amp; ence</name>
    <master_url>https://a.example/science/</master_url>
    <web_stopped>0</web_stopped>
    <sched_stopped>0</sched_stopped>
</project_config>
"""
REFUSED = "Invalid or missing account key.  To fix, remove and add this project ."
# A full key: html/user/am_get_info.php.
INFO = "<am_get_info_reply>\n <success/>\n <id>1</id>\n<weak_auth>1_abc</weak_auth>\n</am_get_info_reply>\n"
ERROR = "<error>\n    <error_num>{number}</error_num>\n{rest}</error>\n"


def test_a_project_describes_itself() -> None:
    assert online.describe(CONFIG.encode()) == online.Described("Sci & ence", stopped=False)
    stopped = CONFIG.replace("<sched_stopped>0", "<sched_stopped>1")
    assert online.describe(stopped.encode()) == online.Described("Sci & ence", stopped=True)
    assert online.describe(b"<html>It works!</html>") is None
    named = online.describe(CONFIG.replace("Sci", "\x1b[2J").encode())
    assert named
    assert "\x1b" not in named.name


@pytest.mark.parametrize(
    ("page", "url"),
    [
        ('<link rel="boinc_scheduler" href="https://a.example/cgi">', "https://a.example/cgi"),
        ("<LINK x='1' rel=boinc_scheduler href=/cgi>".replace("LINK", "link"), "https://a.example/cgi"),
        ("<!--\n<scheduler>http://b.example/cgi?a=1&amp;b=2</scheduler>\n-->", "http://b.example/cgi?a=1&b=2"),
        ('<link rel="boinc_scheduler" href="file:///etc/passwd">', None),
        ('<link rel="boinc_scheduler" href="http://[a">', None),
        ("<scheduler>/[http://[</scheduler>", "https://a.example/[http://["),
        ("<html></html>", None),
    ],
)
def test_the_page_names_the_scheduler(page: str, url: str | None) -> None:
    assert online.scheduler_url(page.encode(), URL) == url


@pytest.mark.parametrize("piece", ["<link ", "<scheduler>", "<scheduler>x", "<link rel=boinc_scheduler ", "<name "])
def test_a_page_that_never_closes_its_elements_is_read_in_one_pass(piece: str) -> None:
    page = f"<project_config>{piece * 30_000}".encode()
    began = time.process_time()
    assert online.scheduler_url(page, URL) is None
    assert online.describe(page) == online.Described("", stopped=False)
    assert time.process_time() - began < 1, "not in the square of its length"


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (INFO, KeyVerdict(Key.ACCEPTED)),
        (ERROR.format(number=-136, rest=""), KeyVerdict(Key.REFUSED, "there is no such account")),
        (
            ERROR.format(number=-183, rest="<error_msg>Down</error_msg>"),
            KeyVerdict(Key.UNKNOWN, "Down"),
        ),
        (ERROR.format(number=-183, rest=""), KeyVerdict(Key.UNKNOWN, "error -183")),
        ("<html>", KeyVerdict(Key.UNKNOWN, "its answer makes no sense")),
    ],
)
def test_the_account_of_a_full_key(content: str, verdict: KeyVerdict) -> None:
    assert online.read_account_info(content.encode()) == verdict


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        ("<userid>7</userid>\n<hostid>12</hostid>", KeyVerdict(Key.ACCEPTED)),
        (f'<message priority="low">{REFUSED}</message>', KeyVerdict(Key.REFUSED, REFUSED)),
        (
            '<userid>7</userid>\n<message priority="notice">No work sent</message>',
            KeyVerdict(Key.ACCEPTED),
        ),
        (
            '<message priority="notice">Project is temporarily shut down for maintenance</message>',
            KeyVerdict(Key.UNKNOWN, "Project is temporarily shut down for maintenance"),
        ),
        ("", KeyVerdict(Key.UNKNOWN, "its scheduler says nothing of the key")),
    ],
)
def test_the_scheduler_tells_of_any_key(content: str, verdict: KeyVerdict) -> None:
    assert online.read_scheduler_reply(f"<scheduler_reply>\n{content}\n</scheduler_reply>".encode()) == verdict


def test_a_page_that_is_no_scheduler() -> None:
    assert online.read_scheduler_reply(b"<html>404</html>").key is Key.UNKNOWN


def test_the_question_wants_no_work_and_is_always_of_the_same_computer() -> None:
    xml = ElementTree.fromstring(online.scheduler_request(URL, "1_a&b"))
    assert xml.findtext("authenticator") == "1_a&b"
    assert xml.findtext("work_req_seconds") == "0"
    assert xml.findtext("host_info/domain_name") == online.COMPUTER
    other = ElementTree.fromstring(online.scheduler_request("http://b.example/", "2"))
    assert xml.findtext("host_info/host_cpid") == other.findtext("host_info/host_cpid") != ""


def test_an_account_managers_login() -> None:
    manager = AccountManager("https://m.example/", "me<1>", "0" * 32)
    xml = ElementTree.fromstring(online.manager_request(manager))
    assert (xml.findtext("name"), xml.findtext("password_hash")) == ("me<1>", "0" * 32)
    reply = "<acct_mgr_reply>\n{}\n</acct_mgr_reply>"
    for content, key in (
        ("<name>M</name>\n<repeat_sec>86400</repeat_sec>", Key.ACCEPTED),
        ("<error_num>0</error_num>", Key.ACCEPTED),
        ("<error_num>-206</error_num>\n<error_msg>Invalid password</error_msg>", Key.REFUSED),
        ("<error_num>-1</error_num>", Key.UNKNOWN),
        ("<error>Database down</error>", Key.UNKNOWN),
    ):
        assert online.read_manager_reply(reply.format(content).encode()).key is key, content
    assert online.read_manager_reply(b"<html>").key is Key.UNKNOWN


def test_words_of_others_are_harmless_and_bounded() -> None:
    verdict = online.read_scheduler_reply(
        b"<scheduler_reply><message>\x1b[31m" + b"a" * 10_000 + b"</message></scheduler_reply>"
    )
    assert "\x1b" not in verdict.says
    assert len(verdict.says) <= 4096
