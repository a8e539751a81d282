"""`config check --online`: asks each project, or the account manager, whether it takes the key."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.config.file import Config
from services.boinc import online
from services.boinc.accounts import Account, AccountManager
from services.boinc.online import Key, KeyVerdict
from services.boinc.web import Page, Web, WebError


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server said. `key` is empty if it could not be asked. `problem` is empty if all is well; `note` is worth
    knowing nevertheless."""

    url: str
    name: str = ""
    key: str = ""
    problem: str = ""
    what_to_do: str = ""
    note: str = ""


def ask(config: Config, web: Web) -> Iterator[Answer]:
    """One answer for each project of the configuration, or that of the account manager. Takes up to minutes."""
    if (manager := config.manager) is not None:
        yield _ask_manager(manager, web)
    accounts = [entry.account for entry in config.all_projects]
    for account in dict.fromkeys(accounts):
        yield _ask_project(account, web)


def _ask_project(account: Account, web: Web) -> Answer:
    try:
        page = web.get(f"{account.url}get_project_config.php")
    except WebError as error:
        return _unreachable(account.url, error)
    described = online.describe(page.content)
    if described is None:
        return Answer(
            account.url,
            problem="there is a web server, but no BOINC project",
            what_to_do="look up the project's URL: https://boinc.berkeley.edu/projects.php",
        )
    if described.stopped:
        return Answer(
            account.url, described.name, problem="the project is stopped for now", what_to_do="ask again later"
        )
    try:
        verdict = _verdict(account, web)
    except WebError as error:
        return _unreachable(account.url, error, described.name)
    notes = []
    if _moved(account.url, page):
        notes.append(f"moved to {page.url.removesuffix('get_project_config.php')}")
    if verdict.key is Key.ACCEPTED and not account.weak:
        notes.append(
            "this is the full account key: every program of BOINC on the PCs can read it; use the weak one, "
            f"which the project shows at {account.url}weak_auth.php"
        )
    return Answer(
        account.url,
        described.name,
        str(verdict.key),
        problem="" if verdict.key is Key.ACCEPTED else _problem("the key", verdict),
        what_to_do=""
        if verdict.key is not Key.REFUSED
        else "the weak key changes with the account's password: take the present one from "
        f"{account.url}weak_auth.php, then reload the server",
        note="; ".join(notes),
    )


def _verdict(account: Account, web: Web) -> KeyVerdict:
    if not account.weak:
        try:
            verdict = online.read_account_info(web.get(online.account_info_url(account.url, account.key)).content)
        except WebError:
            verdict = KeyVerdict(Key.UNKNOWN)
        if verdict.key is not Key.UNKNOWN:
            return verdict
    page = web.get(account.url)
    scheduler = online.scheduler_url(page.content, page.url)
    if scheduler is None:
        return KeyVerdict(Key.UNKNOWN, "its page names no scheduler")
    return online.read_scheduler_reply(web.post(scheduler, online.scheduler_request(account.url, account.key)).content)


def _ask_manager(manager: AccountManager, web: Web) -> Answer:
    try:
        page = web.post(f"{manager.url}rpc.php", online.manager_request(manager))
    except WebError as error:
        return _unreachable(manager.url, error)
    verdict = online.read_manager_reply(page.content)
    accepted = verdict.key is Key.ACCEPTED
    return Answer(
        manager.url,
        key=str(verdict.key),
        problem="" if accepted else _problem("the login", verdict),
        what_to_do="" if accepted else "check url, name and password in [account_manager]",
    )


def _problem(what: str, verdict: KeyVerdict) -> str:
    says = f": {verdict.says}" if verdict.says else ""
    return (
        f"{what} is refused{says}" if verdict.key is Key.REFUSED else f"whether {what} is accepted is not known{says}"
    )


def _moved(url: str, page: Page) -> bool:
    asked, came = urlsplit(url), urlsplit(page.url)
    return (asked.scheme, asked.netloc) != (came.scheme, came.netloc)


def _unreachable(url: str, error: WebError, name: str = "") -> Answer:
    return Answer(
        url, name, problem=f"not reachable: {error}", what_to_do="check the URL, and [boinc] proxy and ca_file"
    )
