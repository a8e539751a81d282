"""Follows the configuration: SIGHUP, or a changed file, puts the new one in force, or keeps the old one and says so."""

import asyncio
import contextlib
import ssl
import time
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import structlog

from appliance.config import file as configuration
from appliance.config.file import Config
from appliance.control.context import Context
from appliance.control.door import Door
from appliance.errors import UserError
from appliance.page import certificate
from appliance.page.certificate import Certificate
from appliance.page.networks import admitted
from appliance.process import systemd
from appliance.registry import reload_result
from appliance.registry.database import Registry
from appliance.registry.reload_result import ReloadResult

_RESTART = "systemctl restart netboot-appliance-control"
_LOOK = 1.0  # seconds between two looks at the file
_LOOK_AROUND = 30.0  # seconds between two looks at the networks, and at the certificate

log = structlog.get_logger("control")

Seen = tuple[int, int, int] | None


class Follower:
    """Keeps `context` and the door as the file says. `found`: the certificate in force, None for plain HTTP; `stop` is
    set when the page is switched off."""

    def __init__(self, context: Context, gate: Door, found: Certificate | None, stop: asyncio.Event) -> None:
        self._context = context
        self._door = gate
        self._stop = stop
        self._seen = _seen(context.path)
        self._files = _certificate_files(context.config)
        self._found = found
        self._know(admitted(context.config))

    async def follow(self, hangup: asyncio.Event) -> None:
        """Runs until it is cancelled. A file that somebody is still writing is not read: half of it may be a good
        configuration, without the line that says who may connect. The start counts as a good reload."""
        await self._record(reload_result.begin())
        before = self._seen
        around = time.monotonic() + _LOOK_AROUND
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hangup.wait(), _LOOK)
            seen = await asyncio.to_thread(_seen, self._context.path)
            settled, before = seen == before, seen
            if hangup.is_set() or (settled and seen != self._seen):
                hangup.clear()
                self._seen = seen
                await self._reload()
            elif time.monotonic() >= around:
                around = time.monotonic() + _LOOK_AROUND
                await self._renew()

    async def _reload(self) -> None:
        systemd.reloading()
        result = reload_result.begin()
        try:
            await self._apply(await asyncio.to_thread(self._load))
            log.info("configuration reloaded", file=str(self._context.path))
        except UserError as error:
            result = replace(result, error=error.message, hint=error.hint)
            log.error("the configuration was not reloaded; the old one stays", error=error.message, hint=error.hint)
        systemd.status(f"REJECTED: {result.error}" if result.error else "")
        await self._record(result)
        systemd.ready()

    async def _record(self, result: ReloadResult) -> None:
        """For `status` and the room."""

        def write(registry: Registry) -> None:
            reload_result.write(registry, result, reload_result.PAGE)

        try:
            await self._context.with_registry(write)
        except UserError as error:
            log.error("cannot write the result of the reload to the registry", error=error.message)

    def _load(self) -> Config:
        fresh = configuration.load(self._context.path)
        if self._context.config.written and not fresh.written:
            raise UserError(f"the configuration file {fresh.path} is gone", "put it back, or restart")
        if fresh.written and not self._context.path.stat().st_size:
            raise UserError(f"the configuration file {fresh.path} is empty", "is the disk full? Write it again")
        return fresh

    async def _apply(self, fresh: Config) -> None:
        """Put it in force, all of it or nothing; raises UserError."""
        running = self._context.config
        if not fresh.control.enabled:
            log.info("the page was switched off: [control] enabled = false")
            self._stop.set()
            return
        if fresh.server.data != running.server.data:
            log.warning("[server] data changed: takes effect after a restart", do=_RESTART)
            fresh = replace(fresh, server=replace(fresh.server, data=running.server.data))
        if fresh.control.behind_proxy != running.control.behind_proxy:
            log.warning(
                "[control] behind_proxy changed: takes effect after a restart, as all of [control]", do=_RESTART
            )
            fresh = replace(fresh, control=running.control)
        tls, found = await self._tls(fresh)
        networks = await asyncio.to_thread(admitted, fresh)
        listening = fresh.control.listen
        if listening != running.control.listen:
            self._door.move(listening.address, listening.port)
            log.info("the page listens elsewhere", on=str(listening))
        self._door.tls = tls
        self._context.config = fresh
        self._files, self._found = _certificate_files(fresh), found
        self._know(networks)

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
        self._know(await asyncio.to_thread(admitted, config))

    def _know(self, networks: tuple[IPv4Network, ...]) -> None:
        self._context.networks = networks
        names = self._context.config.control.names
        known = (*certificate.host_names(), *names, *(self._found.names if self._found else ()))
        self._context.names = tuple(dict.fromkeys(name.lower() for name in known))


def _seen(path: Path) -> Seen:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _certificate_files(config: Config) -> tuple[Seen, Seen]:
    return _seen(certificate.path_of(config)), _seen(Path(config.control.key)) if config.control.key else None
