"""The running server's task that keeps the NFS exports in step with which PCs are allowed and where they are.

As root the server puts them in force itself. Under systemd it is not root: it writes a request, which root's helper
checks and carries out (appliance.exports.root_helper, docs/adr/0006-root-parts-apart.md).
"""

import asyncio
import contextlib
import math
import os
import secrets
import threading
import time
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

import structlog

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.exports import install, mailbox, wall
from appliance.exports.grants import ExportGrant, decide_grants
from appliance.exports.ownership import ForeignClaim, facts
from appliance.exports.request import ExportAnswer, digest, encode
from appliance.journal.recorder import Journal
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from appliance.server.box import Box
from services.linux import atomic_file
from services.nfs.backend import NfsError

RESEND_SECONDS = 1.0
"""An unanswered request is written again after this time: systemd misses a change while root's helper ends."""

ANSWER_SECONDS = 20.0
"""After this time without any answer the exports count as not in force. The helper takes 4 s to start on a slow PC."""

LOOK_SECONDS = 30.0
"""While there are exports they are put in force again this often: the answer says which PCs were heard from, and what
somebody else removed from the kernel's tables comes back."""

_READ_SECONDS = 0.05  # between two looks at a file in memory, while an answer is due
_CLAIMS_SECONDS = 3.0
_RETRY_SECONDS = (5.0, 30.0)
# While a room is being switched on, exports change every few milliseconds, and each change renders all of them again.
# That may use a quarter of the time. A PC that is to lose its exports keeps them no longer than the longest rest.
_REST = 3.0
_LONGEST_REST = 0.2

log = structlog.get_logger("exports")


class Installer(Protocol):
    """A way to put grants in force."""

    def close(self) -> None:
        """The server ends. Blocks."""

    async def install(
        self, config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], stale: asyncio.Event
    ) -> ExportAnswer | None:
        """Returns None when `stale` is set meanwhile: then other grants are wanted. Raises UserError when the grants
        are not in force."""


def choose_installer() -> Installer:
    """The installer that this process can use; raises UserError when there is none."""
    if os.geteuid() == 0:
        return _DirectInstaller()
    directory = os.environ.get(mailbox.ENVIRONMENT)
    if not directory:
        raise UserError(
            "serve is not root, and nothing applies its NFS exports",
            "run it with sudo, or start its unit: systemctl start netboot-appliance",
            code=1,
        )
    return RootHelperInstaller(Path(directory))


class _DirectInstaller:
    def __init__(self) -> None:
        self._turn = threading.Lock()

    def close(self) -> None:
        """Unpin the neighbours, after an installation that may still be under way."""
        with self._turn, contextlib.suppress(NfsError):
            wall.unpin()

    def _install(
        self, config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant]
    ) -> install.Installed:
        with self._turn:
            return install.install(config, networks, grants)

    async def install(
        self, config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], _stale: asyncio.Event
    ) -> ExportAnswer:
        done = await asyncio.to_thread(self._install, config, networks, grants)
        known = done.observed
        return ExportAnswer(
            "",
            done.backend.value,
            done.why,
            done.changed,
            done.directories,
            heard=known.heard,
            claims=known.claims,
            left_out=done.left_out,
        )


class RootHelperInstaller:
    """Asks root's helper, by files. `directory` is the server's own directory below /run."""

    def __init__(self, directory: Path) -> None:
        self._request = mailbox.request_file(directory)
        self._answer = mailbox.answer_file(directory)
        self._last_answered = ""
        self._waiting_since: float | None = None

    def close(self) -> None:
        """Nothing: netboot-appliance-pins.service is stopped with the server."""

    async def install(
        self, config: Config, _networks: Sequence[IPv4Network], grants: Sequence[ExportGrant], stale: asyncio.Event
    ) -> ExportAnswer | None:
        """Ask until there is an answer; raises UserError for one that refuses, or when none comes."""
        try:
            content = encode(grants, secrets.token_hex(8), config.digest)
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
            if answer and answer.request != self._last_answered:
                # An answer to an earlier request: root's helper is at work.
                self._last_answered, self._waiting_since = answer.request, now
            if written > 0 and stale.is_set():
                return None
            if now - self._waiting_since > ANSWER_SECONDS:
                self._waiting_since = None
                raise UserError(
                    f"root's helper for the exports has not answered for {ANSWER_SECONDS:.0f} s",
                    "systemctl status netboot-appliance-exports.path netboot-appliance-exports.service",
                    code=1,
                )
            if now - written > RESEND_SECONDS:
                atomic_file.write(self._request, content, durable=False)
                written = now
            await asyncio.sleep(_READ_SECONDS)
        self._last_answered, self._waiting_since = wanted, None
        if answer.error:
            raise UserError(answer.error, answer.hint, code=1)
        return answer


async def keep_exports(
    box: Box, registry: Registry, journal: Journal, stale: asyncio.Event, installer: Installer
) -> None:
    """Put the exports in force whenever `stale` is set, and while there are any every LOOK_SECONDS; runs until it is
    cancelled."""
    complaint, pause = "", _RETRY_SECONDS[0]
    told, first, look_at = _Told(registry), True, time.monotonic() + LOOK_SECONDS
    granted = False
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stale.wait(), max(0.0, look_at - time.monotonic()) if granted else None)
        stale.clear()
        begun = time.monotonic()
        try:
            if looks := begun >= look_at:
                look_at = begun + LOOK_SECONDS
                box.addresses.look()
            boots = {boot.mac: boot for boot in journal.boots()}
            numbers = {client.mac: client.number for client in journal.clients()}
            grants = decide_grants(box.networks, box.allowlist, numbers, boots, box.addresses.running())
            granted = bool(grants)
            done = await installer.install(box.config, box.networks, grants, stale)
            if done is None:
                continue
            if box.addresses.hear(grants, done):
                # PCs that run after all: their addresses are to be pinned, too.
                stale.set()
            if first:
                # Not before: what was heard while the server was not running says which PCs keep their addresses.
                first = False
                box.addresses.recheck_all()
            if done.left_out:
                raise UserError(
                    done.left_out, "the others are exported; for the cause: netboot-appliance doctor", code=1
                )
            told.save(done.backend, done.why, "")
            told.save_claims(box.addresses.claims(), at_once=looks)
            if done.changed:
                log.info("exports in force", backend=done.backend, directories=done.directories)
            complaint, pause = "", _RETRY_SECONDS[0]
            await asyncio.sleep(min(_REST * (time.monotonic() - begun), _LONGEST_REST))
        except Exception as error:
            if first:
                first = False
                with contextlib.suppress(OSError):
                    box.addresses.recheck_all()
            message = error.message if isinstance(error, UserError) else repr(error)
            if message != complaint:
                hint = error.hint if isinstance(error, UserError) else ""
                log.error("the exports are not in force; trying again", error=message, hint=hint)
                told.save("", hint, message)
            complaint = message
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stale.wait(), pause)
            pause = min(2 * pause, _RETRY_SECONDS[1])
            stale.set()


class _Told:
    """What `status` is told. If the registry cannot be written now, it is saved later."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._saved: dict[str, object] = {}
        self._claims_saved = -math.inf

    def save(self, backend: str, why: str, error: str) -> None:
        self._save("exports", {"backend": backend, "why": why, "error": error})

    def save_claims(self, claims: Sequence[ForeignClaim], *, at_once: bool) -> None:
        """Somebody who makes up MAC addresses brings new claims all the time: they are not written as often."""
        now = time.monotonic()
        if at_once or now - self._claims_saved >= _CLAIMS_SECONDS:
            self._claims_saved = now
            self._save("claims", facts(claims, time.time() - now))

    def _save(self, key: str, value: object) -> None:
        if self._saved.get(key) != value:
            self._saved[key] = value
            with contextlib.suppress(SqlError):
                self._registry.set_server(key, value)
