"""Follows the configuration: SIGHUP, or a changed file, puts the new one in force, or keeps the old one and says so."""

import asyncio
import contextlib
import ssl
import time
from dataclasses import replace
from pathlib import Path

import structlog

from appliance.config import file as configuration
from appliance.config.file import Config
from appliance.control import door
from appliance.control.context import Context
from appliance.errors import UserError
from appliance.page import certificate
from appliance.page.certificate import Certificate
from appliance.page.networks import admitted
from appliance.process import systemd

_LOOK = 1.0  # seconds between two looks at the file
_LOOK_AROUND = 30.0  # seconds between two looks at the networks, and at the certificate

log = structlog.get_logger("control")

Seen = tuple[int, int, int] | None


class Follower:
    """Keeps `context` and the door as the file says. `found`: the certificate in force, None for plain HTTP."""

    def __init__(self, context: Context, gate: door.Door, found: Certificate | None) -> None:
        self._context = context
        self._door = gate
        self._seen = _seen(context.path)
        self._files = _certificate_files(context.config)
        self._found = found
        self._look_around()

    async def follow(self, hangup: asyncio.Event) -> None:
        """Runs until it is cancelled."""
        around = time.monotonic() + _LOOK_AROUND
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hangup.wait(), _LOOK)
            seen = await asyncio.to_thread(_seen, self._context.path)
            if hangup.is_set() or seen != self._seen:
                hangup.clear()
                self._seen = seen
                await self._reload()
            elif time.monotonic() >= around:
                around = time.monotonic() + _LOOK_AROUND
                await self._renew()

    async def _reload(self) -> None:
        systemd.reloading()
        try:
            await self._apply(await asyncio.to_thread(self._load))
            self._context.rejected = ""
            log.info("configuration reloaded", file=str(self._context.path))
        except UserError as error:
            self._context.rejected = f"{error.message}"
            log.error("the configuration was not reloaded; the old one stays", error=error.message, hint=error.hint)
        systemd.status(f"REJECTED: {self._context.rejected}" if self._context.rejected else "")
        systemd.ready()

    def _load(self) -> Config:
        fresh = configuration.load(self._context.path)
        if self._context.config.written and not fresh.written:
            raise UserError(f"the configuration file {fresh.path} is gone", "put it back, or restart")
        return fresh

    async def _apply(self, fresh: Config) -> None:
        """Put it in force, all of it or nothing; raises UserError."""
        running = self._context.config
        if fresh.server.data != running.server.data or fresh.control.behind_proxy != running.control.behind_proxy:
            log.warning("[server] data or [control] behind_proxy changed", do="systemctl restart netboot-appliance-*")
            fresh = replace(
                fresh,
                server=replace(fresh.server, data=running.server.data),
                control=running.control
                if fresh.control.behind_proxy != running.control.behind_proxy
                else fresh.control,
            )
        tls, found = await self._tls(fresh)
        if fresh.control.listen != running.control.listen:
            self._door.open(door.listen(fresh.control.listen.address, fresh.control.listen.port))
            log.info("the page listens elsewhere", on=str(fresh.control.listen))
        self._door.tls = tls
        self._context.config = fresh
        self._files, self._found = _certificate_files(fresh), found
        self._look_around()

    async def _tls(self, config: Config) -> tuple[ssl.SSLContext | None, Certificate | None]:
        if config.control.behind_proxy:
            return None, None
        found = await asyncio.to_thread(certificate.ensure, config, self._context.clock())
        return certificate.context(config), found

    async def _renew(self) -> None:
        """The addresses of the interfaces may have changed, and the files of the certificate."""
        config = self._context.config
        files = await asyncio.to_thread(_certificate_files, config)
        ending = self._found is not None and certificate.is_ending(self._found, self._context.clock())
        if files != self._files or (ending and not config.control.certificate):
            self._files = files
            try:
                self._door.tls, self._found = await self._tls(config)
            except UserError as error:
                log.error("the certificate cannot be used; the one before stays", error=error.message, hint=error.hint)
            else:
                log.info("the certificate was read again", fingerprint=self._found.fingerprint if self._found else "")
        self._look_around()

    def _look_around(self) -> None:
        config = self._context.config
        self._context.networks = admitted(config)
        known = (*certificate.host_names(), *config.control.names, *(self._found.names if self._found else ()))
        self._context.names = tuple(dict.fromkeys(name.lower() for name in known))


def _seen(path: Path) -> Seen:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _certificate_files(config: Config) -> tuple[Seen, Seen]:
    return _seen(certificate.path_of(config)), _seen(Path(config.control.key)) if config.control.key else None
