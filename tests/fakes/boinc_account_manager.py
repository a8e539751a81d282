"""The fake account manager (BAM!, Science United): says which projects a PC computes for, by its `rpc.php`.

What it wants of each project is `managed` of boinc_control.py. The URL of a project is signed; its key never changes,
since no client takes another one. It pushes nothing: clients ask every `REPEAT_SECONDS`.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.fakes import boinc_control
from tests.fakes.boinc_control import ManagedAccount
from tests.fakes.boinc_signing import SigningKey
from tests.fakes.boinc_xml import element, written

LOGIN = "office"
PASSWORD = "manager"
PASSWORD_HASH = hashlib.md5(f"{PASSWORD}{LOGIN}".encode()).hexdigest()
"""As acct_mgr_login.xml and each request have it: of the password and the login name in lower case."""
REPEAT_SECONDS = 15
BAD_PASSWORD = -206


class AccountManager:
    """The manager whose wishes are in `directory`."""

    def __init__(self, directory: Path, key: SigningKey, log: Callable[[str], None]) -> None:
        self._directory = directory
        self._key = key
        self._log = log

    def answer(self, request: str) -> str:
        """Answer one request of a client."""
        name = element(request, "domain_name")
        if (element(request, "name"), element(request, "password_hash")) != (LOGIN, PASSWORD_HASH):
            self._log(f"account manager refused {name}: wrong login or password")
            return _reply(written(error_num=BAD_PASSWORD, error="Invalid password"))
        wanted = boinc_control.read(self._directory)
        self._log(
            f"account manager asked by {name}, which has {request.count('<project>')} projects and "
            f"{request.count('<result>')} tasks"
        )
        parts = [
            written(name="Fake manager", repeat_sec=REPEAT_SECONDS),
            f"<signing_key>\n{self._key.public_text()}</signing_key>\n<send_tasks_all/>\n",
            *map(self._account, wanted.managed),
        ]
        if wanted.managed_preferences:
            changed = int((self._directory / boinc_control.FILE).stat().st_mtime)
            parts.append(
                f"<global_preferences>\n<mod_time>{changed}</mod_time>\n{wanted.managed_preferences}"
                "</global_preferences>\n"
            )
        return _reply("".join(parts))

    def _account(self, wanted: ManagedAccount) -> str:
        return (
            f"<account>\n{written(url=wanted.url)}<url_signature>\n{self._key.sign(wanted.url.encode())}"
            "</url_signature>\n"
            + written(
                authenticator=wanted.authenticator,
                suspend=wanted.suspend,
                dont_request_more_work=wanted.dont_request_more_work,
                resource_share=wanted.resource_share,
                detach=wanted.detach,
                update=wanted.update,
            )
            + "</account>\n"
        )


def _reply(content: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<acct_mgr_reply>\n{content}</acct_mgr_reply>\n'
