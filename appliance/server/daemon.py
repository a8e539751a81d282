"""`serve`: the composition root. Opens the sockets, hands each service its callables, wires the event stream.

SIGHUP reloads the configuration (appliance/server/reload.py). SIGTERM and SIGINT drain: transfers under way
have DRAIN_SECONDS to finish.
"""

import asyncio
import contextlib
import logging
import resource
import signal
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from pathlib import Path

import structlog

from appliance.config import file as configuration
from appliance.dhcp.subnets import gives_addresses
from appliance.errors import UserError
from appliance.journal.recorder import Journal
from appliance.journal.timeline import Boot
from appliance.network.interface_watch import InterfaceWatch
from appliance.network.interfaces import interfaces, with_interfaces_named
from appliance.registry.database import Registry
from appliance.registry.server_lock import only_server
from appliance.server import systemd
from appliance.server.box import Box
from appliance.server.export_task import choose_installer, keep_exports
from appliance.server.lease_service import lease_server
from appliance.server.registry_sync import RegistrySync
from appliance.server.reload import ConfigReload
from image.bootfiles import BootFileError
from image.bootfiles import install as install_bootfiles
from services.dhcp import packet
from services.dhcp.lease_server import LeaseServer
from services.dhcp.server import ProxyDhcp
from services.events import (
    AddressSeen,
    Event,
    Ignored,
    LeaseChosen,
    Offered,
    Reported,
    TransferFailed,
    TransferProgressed,
)
from services.http.server import HttpServer
from services.linux.neighbours import Interface, Neighbours
from services.linux.neighbours import load as load_pyroute2
from services.linux.sockets import BindError
from services.tftp.content_cache import ContentCache
from services.tftp.files import Files
from services.tftp.server import TftpServer

DRAIN_SECONDS = 10.0
_WATCH_SECONDS = 0.25
_CONFIRM_SECONDS = 0.1
_OPEN_FILES = 65536
"""That many may be needed: a PC that loads by HTTP has up to two. Those 1024 that systemd and shells give by default
are spent by 400 PCs."""

log = structlog.get_logger("serve")


async def serve(path: Path) -> None:
    """Run the box until SIGTERM or SIGINT; raises UserError when it cannot start or go on."""
    stop, hangup = _signals()
    _raise_file_limit()
    hands = choose_installer()
    config = with_interfaces_named(configuration.load(path))
    with only_server(config.registry), Registry(config.registry, durable=False) as registry:
        registry.check()
        served = interfaces(config)
        try:
            install_bootfiles(config.boot_root, config.boot.names, config.boot.directory)
        except BootFileError as error:
            raise UserError(str(error), error.hint, code=1) from error
        moved = asyncio.Event()
        moved.set()
        journal = Journal(registry, time.time, _log_event)
        neighbours = Neighbours(served)
        box = Box(config, registry, journal, neighbours, served, moved.set)
        unwatch = neighbours.watch(box.neighbour_changed)
        box.recheck_addresses()
        leases = lease_server(box, registry, neighbours, served)
        if not config.dhcp.force:
            await _assert_alone([each for each in served if gives_addresses(config, each.address.network)])
        async with _services(box, served, leases) as bound:
            reloading = ConfigReload(box, registry, served, moved.set)
            footing = InterfaceWatch(served)
            _say_started(registry, box, bound)
            threading.Thread(target=_load_the_rest, name="imports").start()
            bookkeeping = RegistrySync(registry, box, journal, leases)
            tasks = _start(
                watch=_watch(box, bookkeeping, reloading, footing),
                interfaces=footing.watch(partial(registry.set_server, "trouble")),
                confirm=_confirm(box),
                exports=keep_exports(box, registry, journal, moved, hands),
                reload=reloading.at_each(hangup),
            )
            failure = await systemd.until(stop, tasks)
            systemd.stopping()
            log.info("draining", seconds=DRAIN_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        unwatch()
        bookkeeping.close()
        log.info("stopped")
    if failure:
        raise failure


def _load_the_rest() -> None:
    """Libraries that cost a start more than all else, and that nobody needs at once."""
    packet.load()
    load_pyroute2()


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """The events of SIGTERM (or SIGINT) and of SIGHUP, which do nothing else from now on."""
    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    return stop, hangup


async def _assert_alone(interfaces: list[Interface]) -> None:
    if interfaces:
        # A box that gives no addresses starts without this and scapy, which cost it half of its start.
        from appliance.dhcp.other_servers import assert_alone  # noqa: PLC0415

        await assert_alone(interfaces)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Under systemd the unit says it (LimitNOFILE=), and its filter forbids the call.
        with contextlib.suppress(OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _start(**tasks: Coroutine[None, None, None]) -> list[asyncio.Task[None]]:
    """Start the tasks that run as long as the server, with the names that the log gives them."""
    if interval := systemd.watchdog_interval():
        tasks["watchdog"] = systemd.keep_alive(interval)
    return [asyncio.create_task(task, name=name) for name, task in tasks.items()]


@contextlib.asynccontextmanager
async def _services(
    box: Box, served: list[Interface], leases: LeaseServer | None
) -> AsyncIterator[list[tuple[str, str, int]]]:
    """All sockets of all interfaces, open; drained and closed at the end. Raises UserError when a port is taken."""
    dhcp: list[ProxyDhcp] = []
    tftp: list[TftpServer] = []
    http: list[HttpServer] = []
    bound: list[tuple[str, str, int]] = []
    arena = ContentCache()
    port = box.config.server.http_port
    broadcasts = box.config.dhcp.hears_broadcasts
    try:
        for interface in served:
            address = interface.address.ip
            dhcp.append(
                ProxyDhcp(
                    interface.name,
                    address,
                    allowed=box.holds,
                    plan=partial(box.plan, address),
                    emit=box.emit,
                    commit=box.commit,
                    basis=box.basis,
                    broadcasts=broadcasts,
                    leases=leases,
                )
            )
            dhcp[-1].open()
            script = partial(box.loader_script, address)
            files = Files(box.config.boot_root, box.config.images, script, box.config.boot.raspberry_pi)
            as_said = box.config.tftp.ports
            tftp.append(TftpServer(address, files, admit=box.admit, emit=box.emit, ports=as_said, arena=arena))
            tftp[-1].open()
            http.append(
                HttpServer(
                    address,
                    port,
                    images=box.config.images,
                    loaders=box.config.boot_root,
                    admit=box.admit,
                    script=partial(box.script, address),
                    chosen=partial(box.chosen, address),
                    secrets=box.secrets,
                    report=box.report,
                    emit=box.emit,
                )
            )
            await http[-1].start()
            where = str(address)
            bound += [("dhcp", where, 67)] if broadcasts else []
            bound += [("pxe", where, 4011), ("tftp", where, 69), ("http", where, port)]
        yield bound
    except BindError as error:
        # Looking for who holds the port takes psutil, which no server that starts has to wait for.
        from appliance.network import ports  # noqa: PLC0415

        raise ports.explain(error) from error
    finally:
        # Offers first: nobody should begin a boot that nobody will finish.
        if leases is not None:
            leases.close()
        for each in dhcp:
            each.close()
        await asyncio.gather(*(t.drain(DRAIN_SECONDS) for t in tftp), *(h.close(DRAIN_SECONDS) for h in http))


def _say_started(registry: Registry, box: Box, bound: list[tuple[str, str, int]]) -> None:
    registry.set_server("started", time.time())
    registry.set_server("trouble", [])
    registry.set_server("services", [{"name": n, "address": a, "port": p} for n, a, p in bound])
    systemd.ready()
    log.info(
        "serving",
        on=" ".join(f"{name}/{address}:{port}" for name, address, port in bound),
        allowed=len(box.allowlist),
        image=box.release,
    )
    if not box.config.written:
        log.warning(
            "there is no configuration file; the defaults are in force", do="sudo netboot-appliance config init"
        )
    if not box.allowlist:
        log.warning("nobody may boot yet", do="netboot-appliance allow add MAC")
    if box.release is None:
        log.warning("no image is active", do="netboot-appliance image build")


def _status(box: Box, rejected: str, trouble: tuple[str, ...]) -> str:
    """The line in `systemctl status`: what is wrong, what is served, what to do next."""
    config, addresses = box.config, box.allowlist.addresses
    words = [*trouble, *([rejected] if rejected else [])]
    words.append(f"serves {', '.join(config.server.interfaces)}")
    words.append(f"image {box.release or 'none'}")
    many = "1 MAC address" if addresses == 1 else f"{addresses:,} MAC addresses"
    words.append(f"{many} may boot" if addresses else "nobody may boot yet")
    if not config.written:
        words.append("next: sudo netboot-appliance config init")
    elif box.release is None:
        words.append("next: sudo netboot-appliance image build")
    elif not addresses:
        words.append("next: sudo netboot-appliance allow add MAC")
    return "; ".join(words)


async def _watch(box: Box, bookkeeping: RegistrySync, reloading: ConfigReload, footing: InterfaceWatch) -> None:
    """Keep the registry, follow the active image, and keep systemd's line right."""
    line, failing = "", False
    while True:
        troubles = (*footing.trouble, *([bookkeeping.trouble] if bookkeeping.trouble else []))
        if (fresh := _status(box, reloading.rejected, troubles)) != line:
            line = fresh
            systemd.status(line)
        await asyncio.sleep(_WATCH_SECONDS)
        now = time.monotonic()
        try:
            box.follow_release(now)
            failing = False
        except Exception:
            if not failing:
                log.exception("it cannot be told which image is active; trying again")
            failing = True
        bookkeeping.turn(now)


async def _confirm(box: Box) -> None:
    """Confirm claimed addresses soon after their clients use them: a mount may be the next thing they ask for."""
    while True:
        await box.claims.some.wait()
        await asyncio.sleep(_CONFIRM_SECONDS)
        try:
            box.claims.check(time.monotonic())
        except OSError:
            log.exception("the neighbour table cannot be read; trying again")


def _log_event(event: Event, boot: Boot | None) -> None:
    match event:
        case Ignored():
            detail = {"detail": event.detail} if event.detail else {}
            log.warning("ignored", service=event.service, client=event.client, reason=event.reason.value, **detail)
        case TransferProgressed():
            pass
        case AddressSeen() | LeaseChosen() | Offered():
            if logging.root.isEnabledFor(logging.DEBUG):
                log.debug(type(event).__name__, **_fields(event))
        case TransferFailed():
            log.warning("transfer failed", **_fields(event))
        case Reported():
            log.info("reported", mac=str(event.mac), stage=event.stage, **event.details)
        case _:
            log.info(_WORDS.get(type(event).__name__, type(event).__name__), **_fields(event))


_WORDS = {
    "Discovered": "discovered",
    "ScriptServed": "script served",
    "EntryStarted": "menu entry started",
    "TransferServed": "served",
}


def _fields(event: Event) -> dict[str, object]:
    values = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}
