"""[project], [[projects]] and [account_manager]: whom the PCs compute for. PURE."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.config import selection
from services.boinc.accounts import Account, AccountManager, login_hash

MOST_PROJECTS = 8
"""Each may add an address to the kernel's command line."""


_KEY = re.compile(r"[0-9A-Za-z_]+")
"""Projects make keys of 32 hexadecimal digits; a weak one has the account's number and _ before them."""


def _check_key(url: str, key: str) -> None:
    """Refuse what can only be a password. The message does not repeat it."""
    if not _KEY.fullmatch(key):
        page = f"{url.rstrip('/')}/weak_auth.php" if url.startswith("http") else "weak_auth.php"
        raise ValueError(
            "account_key: a key has only digits, letters and _, so this looks like a password; log in at the project's "
            f"website and copy the weak account key from {page}"
        )


@dataclass(frozen=True)
class ProjectSettings:
    """[project]: the BOINC project every PC joins. Set both keys or neither (then the PCs boot and wait)."""

    url: str = ""
    account_key: str = ""

    def __post_init__(self) -> None:
        if bool(self.url) != bool(self.account_key):
            raise ValueError("url and account_key belong together: set both or neither")
        if self.url:
            _check_key(self.url, self.account_key)
            Account(self.url, self.account_key)

    @property
    def account(self) -> Account | None:
        """The account to attach to, or None while no project is configured."""
        return Account(self.url, self.account_key) if self.url else None


@dataclass(frozen=True)
class ProjectEntry:
    """[[projects]]: one of several BOINC projects.

    `resource_share`: see services/boinc/accounts.py. `backup`: only while no other project has work. `for`: the PCs
    that join it, all if empty.
    """

    url: str = ""
    account_key: str = ""
    resource_share: float | None = None
    backup: bool = False
    for_: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.url or not self.account_key:
            raise ValueError("each project needs url and account_key")
        if self.backup and self.resource_share:
            raise ValueError("resource_share: a backup project has none: remove one of the two")
        selection.check(self.for_)
        _check_key(self.url, self.account_key)
        Account(self.url, self.account_key, self.resource_share)

    @property
    def account(self) -> Account:
        """The account to attach to."""
        return Account(self.url, self.account_key, 0 if self.backup else self.resource_share)


@dataclass(frozen=True)
class ManagerSettings:
    """[account_manager]: the manager that names the PCs' projects. No url: there is none. Either the password, or the
    login hash that BOINC sends in its place."""

    url: str = ""
    name: str = ""
    password: str = ""
    login_hash: str = ""

    def __post_init__(self) -> None:
        if not self.url:
            if self.name or self.password or self.login_hash:
                raise ValueError("url is missing")
            return
        if not self.name:
            raise ValueError("name is missing: that of your account there")
        if bool(self.password) == bool(self.login_hash):
            raise ValueError("password: set either password or login_hash")
        AccountManager(self.url, self.name, self._hash)

    @property
    def manager(self) -> AccountManager | None:
        """The manager to attach to, or None."""
        return AccountManager(self.url, self.name, self._hash) if self.url else None

    @property
    def _hash(self) -> str:
        return self.login_hash or login_hash(self.name, self.password)


def check(project: ProjectSettings, projects: Sequence[ProjectEntry], manager: ManagerSettings) -> tuple[str, str]:
    """What is wrong with the three together, and what to do; empty if nothing is."""
    if project.url and projects:
        return (
            "[project] and [[projects]] are both there",
            "move url and account_key of [project] to a [[projects]]",
        )
    if manager.url and (project.url or projects):
        name = "[[projects]]" if projects else "[project]"
        return f"{name} and [account_manager] are both there", "the manager names the projects: remove one of the two"
    if len(projects) > MOST_PROJECTS:
        return f"{len(projects)} [[projects]]: at most {MOST_PROJECTS}", "an account manager can name more"
    everybodys = [entry.account.file_name for entry in projects if not entry.for_]
    if len(everybodys) != len(set(everybodys)):
        return "[[projects]]: a project is there twice for all PCs", 'give one of the two a for = ["RANGE or label"]'
    return "", ""
