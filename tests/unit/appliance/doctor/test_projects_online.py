"""What `config check --online` makes of the answers of projects and account managers."""

from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.doctor.projects_online import Answer, ask
from services.boinc.web import Page, Web, WebError

URL = "https://a.example/"
WEAK, FULL = "1_00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff"
DESCRIPTION = "<project_config><name>A</name><sched_stopped>0</sched_stopped></project_config>"
HOME = '<link rel="boinc_scheduler" href="https://a.example/cgi">'
ACCEPTED = "<scheduler_reply><userid>1</userid></scheduler_reply>"
REFUSED = "<scheduler_reply><message>Invalid or missing account key.</message></scheduler_reply>"
MANAGER = '[account_manager]\nurl = "https://m.example/"\nname = "me"\npassword = "hunter2"\n'


class Pages(Web):
    """Web servers with these pages; text that begins with ! is why there is none."""

    def __init__(self, pages: dict[str, str]) -> None:
        super().__init__()
        self.pages = pages
        self.asked: list[str] = []

    def get(self, url: str) -> Page:
        self.asked.append(url)
        page = self.pages.get(url.partition("?")[0], "!answers 404 Not Found")
        if page.startswith("!"):
            raise WebError(page[1:])
        return Page(url, page.encode())

    def post(self, url: str, body: str) -> Page:
        return self.get(url)


def project(key: str = WEAK, pages: dict[str, str] | None = None) -> tuple[Answer, Pages]:
    web = Pages({f"{URL}get_project_config.php": DESCRIPTION, URL: HOME, f"{URL}cgi": ACCEPTED} | (pages or {}))
    config = parse(f'[project]\nurl = "{URL}"\naccount_key = "{key}"\n', Path("/etc/c.toml"))
    (answer,) = ask(config, web)
    assert key not in f"{answer}"
    return answer, web


def test_a_weak_key_that_is_accepted() -> None:
    assert project()[0] == Answer(URL, "A", "accepted")


def test_a_key_that_is_refused_comes_with_the_cure() -> None:
    answer, _ = project(pages={f"{URL}cgi": REFUSED})
    assert (answer.key, answer.problem) == ("refused", "the key is refused: Invalid or missing account key.")
    assert "weak_auth.php" in answer.what_to_do


def test_a_full_key_is_accepted_with_a_warning() -> None:
    """The scheduler is not asked: it would make a computer."""
    info = "<am_get_info_reply><success/></am_get_info_reply>"
    answer, web = project(FULL, {f"{URL}am_get_info.php": info})
    assert (answer.key, answer.problem) == ("accepted", "")
    assert "full account key" in answer.note
    assert f"{URL}cgi" not in web.asked
    answer, _ = project(FULL)
    assert "full account key" in answer.note, "a project without that page: its scheduler tells"


def test_a_full_key_that_nobody_has() -> None:
    error = "<error><error_num>-136</error_num></error>"
    answer, web = project(FULL, {f"{URL}am_get_info.php": error})
    assert answer.key == "refused"
    assert f"{URL}cgi" not in web.asked


@pytest.mark.parametrize(
    ("pages", "problem"),
    [
        ({f"{URL}get_project_config.php": "!does not answer in time"}, "not reachable: does not answer in time"),
        ({f"{URL}get_project_config.php": "<html>"}, "there is a web server, but no BOINC project"),
        (
            {f"{URL}get_project_config.php": DESCRIPTION.replace("0</sched", "1</sched")},
            "the project is stopped for now",
        ),
        ({URL: "<html>"}, "whether the key is accepted is not known: its page names no scheduler"),
        ({f"{URL}cgi": "!refuses the connection"}, "not reachable: refuses the connection"),
    ],
)
def test_a_project_that_cannot_tell(pages: dict[str, str], problem: str) -> None:
    answer, _ = project(pages=pages)
    assert answer.problem == problem
    assert answer.key in ("", "not known")


@pytest.mark.parametrize(
    ("reply", "key", "problem"),
    [
        ("<acct_mgr_reply><name>M</name></acct_mgr_reply>", "accepted", ""),
        (
            "<acct_mgr_reply><error_num>-206</error_num><error_msg>Bad password</error_msg></acct_mgr_reply>",
            "refused",
            "the login is refused: Bad password",
        ),
        ("!answers 404 Not Found", "", "not reachable: answers 404 Not Found"),
        ("<html>", "not known", "whether the login is accepted is not known: does not answer as an account manager"),
    ],
)
def test_an_account_manager(reply: str, key: str, problem: str) -> None:
    (answer,) = ask(parse(MANAGER, Path("/etc/c.toml")), Pages({"https://m.example/rpc.php": reply}))
    assert (answer.key, answer.problem) == (key, problem)
    assert "hunter2" not in f"{answer}"


def test_each_project_is_asked_once_for_each_key() -> None:
    text = "".join(
        f'[[projects]]\nurl = "{URL}"\naccount_key = "{key}"\nfor = ["{label}"]\n'
        for key, label in ((WEAK, "a"), (WEAK, "b"), (WEAK.replace("1_", "2_"), "c"))
    )
    web = Pages({f"{URL}get_project_config.php": DESCRIPTION, URL: HOME, f"{URL}cgi": ACCEPTED})
    assert len(list(ask(parse(text, Path("/etc/c.toml")), web))) == 2
