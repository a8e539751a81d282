"""The running server's task that keeps the NFS exports in step with who is allowed and where they are.

As root the server brings them into force itself. Under systemd it is not root: it writes down what it wants, and a
unit of root's judges and does it (appliance.exports.root_helper, docs/adr/0006-root-parts-apart.md).
"""

import asyncio
import contextlib
import math
import os
import secrets
import time
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

import structlog

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.exports import install, mailbox
from appliance.exports.grants import ExportGrant, decide_grants
from appliance.exports.request import ExportAnswer, digest, encode
from appliance.journal.recorder import Journal
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from appliance.server.box import Box

RESEND_SECONDS = 1.0
"""After which an unanswered request is written again: systemd misses what changes while root's part ends."""

PATIENCE_SECONDS = 20.0
"""Without any answer, after which the exports are not in force. Root's part takes 4 s to start on a slow PC."""

_LOOK_SECONDS = 0.05  # at a file in memory, and only while an answer is due
_RETRY_SECONDS = (5.0, 30.0)
# In a room that is switched on something moves every few milliseconds, and each time all exports are made anew: that
# may take a quarter of the time. The limit is for who is to lose his exports meanwhile.
_REST = 3.0
_LONGEST_REST = 0.2

log = structlog.get_logger("exports")


class Installer(Protocol):
    """A way to bring grants into force. Returns None when `moved` is set first: then other grants are wanted."""

    async def install(
        self, config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], moved: asyncio.Event
    ) -> ExportAnswer | None:
        """Raises UserError when they are not in force."""


def choose_installer() -> Installer:
    """The way of this process; raises UserError when it has none."""
    if os.geteuid() == 0:
        return _OwnInstaller()
    directory = os.environ.get(mailbox.ENVIRONMENT)
    if not directory:
        raise UserError(
            "serve is not root, and nobody brings its NFS exports into force",
            "run it with sudo, or by its unit: systemctl start netboot-appliance",
            code=1,
        )
    return RootsInstaller(Path(directory))


class _OwnInstaller:
    async def install(
        self, config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], _moved: asyncio.Event
    ) -> ExportAnswer:
        done = await asyncio.to_thread(install.install, config, networks, grants)
        return ExportAnswer("", done.backend.value, done.why, done.changed, done.directories)


class RootsInstaller:
    """Asks root's part, by files. `directory` is ours, below /run."""

    def __init__(self, directory: Path) -> None:
        self._request = mailbox.request_file(directory)
        self._answer = mailbox.answer_file(directory)
        self._heard = ""
        self._waiting_since: float | None = None

    async def install(
        self, _config: Config, _networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], moved: asyncio.Event
    ) -> ExportAnswer | None:
        """Ask until there is an answer; raises UserError for one that refuses, or when none comes."""
        try:
            content = encode(grants, secrets.token_hex(8))
        except ValueError as error:
            raise UserError(str(error), "remove clients: netboot-appliance allow remove", code=1) from error
        wanted, written = digest(content), -math.inf
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        while True:
            answer = mailbox.read_answer(self._answer)
            now = time.monotonic()
            if answer and answer.request == wanted:
                break
            if answer and answer.request != self._heard:
                # To one of before: root's part is at work.
                self._heard, self._waiting_since = answer.request, now
            if written > 0 and moved.is_set():
                return None
            if now - self._waiting_since > PATIENCE_SECONDS:
                self._waiting_since = None
                raise UserError(
                    f"root's part of the exports has not answered for {PATIENCE_SECONDS:.0f} s",
                    "systemctl status netboot-appliance-exports.path netboot-appliance-exports.service",
                    code=1,
                )
            if now - written > RESEND_SECONDS:
                mailbox.write(self._request, content)
                written = now
            await asyncio.sleep(_LOOK_SECONDS)
        self._heard, self._waiting_since = wanted, None
        if answer.error:
            raise UserError(answer.error, answer.hint, code=1)
        return answer


async def keep_exports(box: Box, registry: Registry, journal: Journal, moved: asyncio.Event, hands: Installer) -> None:
    """Bring the exports into force whenever `moved` is set; runs until it is cancelled."""
    complaint, pause = "", _RETRY_SECONDS[0]
    while True:
        await moved.wait()
        moved.clear()
        begun = time.monotonic()
        try:
            boots = {boot.mac: boot for boot in journal.boots()}
            numbers = {client.mac: client.number for client in journal.clients()}
            grants = decide_grants(box.networks, box.allowlist, numbers, boots)
            done = await hands.install(box.config, box.networks, grants, moved)
            if done is None:
                continue
            _write_down(registry, done.backend, done.why, "")
            if done.changed:
                log.info("exports in force", backend=done.backend, directories=done.directories)
            complaint, pause = "", _RETRY_SECONDS[0]
            await asyncio.sleep(min(_REST * (time.monotonic() - begun), _LONGEST_REST))
        except Exception as error:
            message = error.message if isinstance(error, UserError) else repr(error)
            if message != complaint:
                hint = error.hint if isinstance(error, UserError) else ""
                log.error("the exports are not in force; trying again", error=message, hint=hint)
                _write_down(registry, "", hint, message)
            complaint = message
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(moved.wait(), pause)
            pause = min(2 * pause, _RETRY_SECONDS[1])
            moved.set()


def _write_down(registry: Registry, backend: str, why: str, error: str) -> None:
    """For `status`; later, when it cannot be written now."""
    with contextlib.suppress(SqlError):
        registry.set_server("exports", {"backend": backend, "why": why, "error": error})
