"""`control`: the control process. It makes the application, opens its door, and follows the configuration.

SIGTERM, SIGINT and the end of its supervisor stop it; SIGHUP, or a change of the file, makes it read the configuration.
It shares nothing with `serve` but the registry: neither waits for the other.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import structlog
import uvicorn

from appliance.config import file as configuration
from appliance.config.file import Config
from appliance.control import door, privileges
from appliance.control.access import credentials
from appliance.control.app import create_app
from appliance.control.connection import LARGEST_HEAD, PageConnection
from appliance.control.context import Context
from appliance.control.follow import Follower
from appliance.errors import UserError
from appliance.page import certificate
from appliance.page.networks import admits
from appliance.process import systemd
from appliance.registry.database import Registry
from appliance.registry.server_lock import only_server

_DRAIN_SECONDS = 2
_IDLE_SECONDS = 15
_GARBAGE = 5_000, 10, 100
"""How many objects are made between two searches for reference cycles. The thorough one looks at all PCs: with Python's
own numbers a flood of connections made it run every second, for 25 ms with 200 PCs."""

_NICE = 5
"""Beside a `serve` that started it. As in systemd/netboot-appliance-control.service."""

log = structlog.get_logger("control")


async def control(path: Path, *, supervised: bool = False) -> None:
    """Serve the page until SIGTERM or SIGINT; raises UserError when it cannot start or go on. `supervised`: until
    standard input ends, too."""
    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    if supervised:
        os.nice(_NICE)
        loop.add_reader(sys.stdin.fileno(), _read_standard_input, stop)
    # Its warnings are about requests of anybody, who could flood the log with them.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    gc.set_threshold(*_GARBAGE)
    config = configuration.load(path)
    if not config.control.enabled:
        log.info("the page is switched off: [control] enabled = false")
        systemd.ready()
        return
    listening = config.control.listen
    with contextlib.closing(door.listen(listening.address, listening.port)) as tcp:
        privileges.become_owner_of(config.registry.parent)
        with only_server(config.registry, "control"):
            await _serve(config, tcp, stop, hangup)
    log.info("stopped")


def _read_standard_input(stop: asyncio.Event) -> None:
    """It ends when the supervisor does."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


async def _serve(config: Config, tcp: socket.socket, stop: asyncio.Event, hangup: asyncio.Event) -> None:
    context = Context(config.path, config, time.time)
    if systemd.absent():
        await asyncio.to_thread(_make_first_password, config)
    tls = None
    found = None
    if not config.control.behind_proxy:
        found = await asyncio.to_thread(certificate.ensure, config, time.time())
        log.info("the certificate of the page", file=str(found.path), fingerprint=found.fingerprint)
        tls = certificate.context(config)
    server = _Server(context, tls, tcp)
    follower = Follower(context, server.door, found, stop)
    tasks = [
        asyncio.create_task(server.serve(), name="page"),
        asyncio.create_task(follower.follow(hangup), name="configuration"),
    ]
    if interval := systemd.watchdog_interval():
        tasks.append(asyncio.create_task(systemd.keep_alive(interval), name="watchdog"))
    failure = await systemd.until(stop, tasks)
    systemd.stopping()
    server.should_exit = True
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if failure:
        raise failure


def _make_first_password(config: Config) -> None:
    """By hand, nobody else has made one."""
    with Registry(config.registry) as registry:
        if credentials.password_of(registry) is None:
            password = credentials.random_password()
            if credentials.set_password(registry, password, only_first=True):
                log.warning("the page has a password now", password=password, do="netboot-appliance control password")


class _Server(uvicorn.Server):
    """uvicorn with a door of its own, and without signals."""

    def __init__(self, context: Context, tls: ssl.SSLContext | None, tcp: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(context),
                loop="asyncio",
                http=PageConnection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=context.config.control.behind_proxy,
                forwarded_allow_ips="127.0.0.0/8",
                server_header=False,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
                h11_max_incomplete_event_size=LARGEST_HEAD,
            )
        )
        self._context = context
        self._tcp = tcp
        self.door = door.Door(self._admits, self._connection, tls)

    def _admits(self, address: IPv4Address) -> bool:
        return admits(self._context.networks, address)

    def _connection(self) -> PageConnection:
        return PageConnection(self.config, self.server_state, self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: the process has its own handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and open the door."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise UserError("the page could not start", "the log says why: journalctl -u netboot-appliance-control")
        self.servers = []
        self.door.open(self._tcp)
        self.started = True
        # The garbage collector stops everything while it looks at all that there is. What was loaded by now stays: it
        # need not look at that again, which would take 50 ms each time.
        gc.freeze()
        address, port = self._tcp.getsockname()
        systemd.ready()
        log.info("the page is open", on=f"{address}:{port}", networks=" ".join(map(str, self._context.networks)))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, end what open pages are told, and give other requests a moment."""
        self.door.close()
        self._context.fleet.hub.end()
        await super().shutdown(sockets)
