"""`serve`: the composition root. Opens the sockets, hands each service its callables, wires the event stream.

SIGHUP reloads the configuration (one that does not load changes nothing). SIGTERM and SIGINT drain: what is under way
may finish, for DRAIN_SECONDS.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from appliance import config as configuration
from appliance import ports, supervision
from appliance.box import Box
from appliance.errors import UserError
from appliance.exporter import keep_exports
from appliance.journal import Journal
from appliance.lock import only_server
from appliance.network import interfaces, networks
from appliance.registry import Registry
from appliance.timeline import Boot
from image.bootfiles import BootFileError
from image.bootfiles import install as install_bootfiles
from services.dhcp.server import ProxyDhcp
from services.events import AddressSeen, Event, Ignored, Offered, Reported, TransferFailed, TransferProgressed
from services.http.server import HttpServer
from services.neighbours import Interface, Neighbours
from services.sockets import BindError
from services.tftp.server import TftpServer

DRAIN_SECONDS = 10.0
_WATCH_SECONDS = 0.25
_CONFIRM_SECONDS = 0.1

log = structlog.get_logger("serve")


async def serve(path: Path) -> None:
    """Run the box until SIGTERM or SIGINT; raises UserError when it cannot start."""
    config = configuration.load(path)
    with only_server(config.registry), Registry(config.registry, durable=False) as registry:
        served = interfaces(config)
        try:
            install_bootfiles(config.boot_root)
        except BootFileError as error:
            raise UserError(str(error), error.hint, code=1) from error
        moved = asyncio.Event()
        moved.set()
        journal = Journal(registry, time.time, _log_event)
        neighbours = Neighbours(served)
        box = Box(config, registry, journal, neighbours, served, moved.set)
        unwatch = neighbours.watch(box.neighbour_changed)
        box.recheck_addresses()
        stop = _signals(box, path, served, moved)
        async with _services(box, served) as bound:
            _say_started(registry, box, bound)
            tasks = [
                asyncio.create_task(_watch(registry, box, journal)),
                asyncio.create_task(_confirm(box)),
                asyncio.create_task(keep_exports(box, registry, journal, moved)),
            ]
            await stop.wait()
            supervision.stopping()
            log.info("draining", seconds=DRAIN_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        unwatch()
        journal.flush()
        log.info("stopped")


@contextlib.asynccontextmanager
async def _services(box: Box, served: list[Interface]) -> AsyncIterator[list[tuple[str, str, int]]]:
    """All sockets of all interfaces, open; drained and closed at the end. Raises UserError when a port is taken."""
    dhcp: list[ProxyDhcp] = []
    tftp: list[TftpServer] = []
    http: list[HttpServer] = []
    bound: list[tuple[str, str, int]] = []
    port = box.config.server.http_port
    try:
        for interface in served:
            address = interface.address.ip
            dhcp.append(
                ProxyDhcp(interface.name, address, allowed=box.allowed, plan=partial(box.plan, address), emit=box.emit)
            )
            dhcp[-1].open()
            tftp.append(TftpServer(address, box.config.boot_root, admit=box.admit, emit=box.emit))
            tftp[-1].open()
            http.append(
                HttpServer(
                    address,
                    port,
                    images=box.config.images,
                    admit=box.admit,
                    script=partial(box.script, address),
                    secrets=box.secrets,
                    report=box.report,
                    emit=box.emit,
                )
            )
            await http[-1].start()
            where = str(address)
            bound += [("dhcp", where, 67), ("pxe", where, 4011), ("tftp", where, 69), ("http", where, port)]
        yield bound
    except BindError as error:
        raise ports.explain(error) from error
    finally:
        # Offers first: nobody should begin a boot that nobody will finish.
        for each in dhcp:
            each.close()
        await asyncio.gather(*(t.drain(DRAIN_SECONDS) for t in tftp), *(h.close(DRAIN_SECONDS) for h in http))


def _say_started(registry: Registry, box: Box, bound: list[tuple[str, str, int]]) -> None:
    registry.set_server("started", time.time())
    registry.set_server("services", [{"name": n, "address": a, "port": p} for n, a, p in bound])
    supervision.ready()
    log.info(
        "serving",
        on=" ".join(f"{name}/{address}:{port}" for name, address, port in bound),
        allowed=len(box.allowlist.entries),
        image=box.release,
    )
    if not box.allowlist.entries:
        log.warning("nobody may boot yet", do="netboot-appliance allow add MAC")
    if box.release is None:
        log.warning("no image is active", do="netboot-appliance image build")


async def _watch(registry: Registry, box: Box, journal: Journal) -> None:
    """Write the journal down, and take over within a moment what the CLI committed."""
    seen = registry.changed()
    # In this order: what was committed since the box read its list is in this reading or in the next number.
    box.refresh_allowlist()
    failing = False
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        try:
            box.refresh_release()
            journal.flush()
            if (now := registry.changed()) != seen:
                seen = now
                box.refresh_allowlist()
                log.info("allowlist read", entries=len(box.allowlist.entries))
            failing = False
        except Exception:
            # A full disk or a locked registry must not end the service: boots that are open go on from memory.
            if not failing:
                log.exception("cannot write to the registry; PCs that boot go on, new ones wait; trying again")
            failing = True


async def _confirm(box: Box) -> None:
    """Confirm claimed addresses soon after their clients use them: a mount may be the next thing they ask for."""
    while True:
        await asyncio.sleep(_CONFIRM_SECONDS)
        try:
            box.claims.check(time.monotonic())
        except OSError:
            log.exception("the neighbour table cannot be read; trying again")


def _signals(box: Box, path: Path, served: list[Interface], moved: asyncio.Event) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, box, path, served, moved)
    return stop


def _reload(box: Box, path: Path, served: list[Interface], moved: asyncio.Event) -> None:
    supervision.reloading()
    try:
        fresh = configuration.load(path)
        if fresh.server != box.config.server:
            log.warning("[server] has changed: that takes effect at the next start", do="restart the service")
        box.config = replace(fresh, server=box.config.server)
        box.networks = networks(box.config, served)
        moved.set()
        log.info("configuration reloaded", file=str(path))
    except UserError as error:
        log.error("the configuration was not reloaded; the old one stays", error=error.message, hint=error.hint)
    supervision.ready()


def _log_event(event: Event, boot: Boot | None) -> None:
    match event:
        case Ignored():
            log.warning("ignored", service=event.service, client=event.client, reason=event.reason.value)
        case TransferProgressed():
            pass
        case AddressSeen() | Offered():
            log.debug(type(event).__name__, **_fields(event))
        case TransferFailed():
            log.warning("transfer failed", **_fields(event))
        case Reported():
            log.info("reported", mac=str(event.mac), stage=event.stage, **event.details)
        case _:
            log.info(_WORDS.get(type(event).__name__, type(event).__name__), **_fields(event))


_WORDS = {"Discovered": "discovered", "ScriptServed": "script served", "TransferServed": "served"}


def _fields(event: Event) -> dict[str, object]:
    values = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}
