"""`serve`: the composition root. It makes the parts of the server, and wires them to each other.

SIGHUP reloads the configuration (appliance/server/reload.py). SIGTERM and SIGINT drain: transfers in progress have
DRAIN_SECONDS to finish.
"""

import asyncio
import contextlib
import gc
import resource
import signal
import threading
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

import structlog

from appliance.config import file as configuration
from appliance.config import sections
from appliance.config.file import Config
from appliance.dhcp.subnets import gives_addresses
from appliance.journal.recorder import Journal
from appliance.journal.stream import Stream
from appliance.network.interface_watch import InterfaceWatch
from appliance.network.interfaces import interfaces, with_interfaces_named
from appliance.process import systemd
from appliance.registry.database import Registry
from appliance.registry.server_lock import only_server
from appliance.server import boot_files, control_process
from appliance.server.boot_scripts import BootScripts
from appliance.server.box import Box
from appliance.server.control_process import ControlProcess
from appliance.server.event_log import EventLogger
from appliance.server.export_task import choose_installer, keep_exports
from appliance.server.heartbeat_writer import HeartbeatWriter
from appliance.server.lease_service import lease_server
from appliance.server.listeners import DRAIN_SECONDS, open_services
from appliance.server.registry_sync import RegistrySync
from appliance.server.reload import ConfigReload
from image.names import DEFAULT
from services.boinc import condition
from services.boinc.condition import Condition
from services.dhcp import packet
from services.linux.interfaces import Interface
from services.linux.interfaces import load as load_pyroute2
from services.linux.neighbours import Neighbours

_WATCH_SECONDS = 0.25
_CONFIRM_SECONDS = 0.1
_CHECK_SECONDS = 0.3
"""How long the start looks for damage in the registry: enough for 1,000 PCs. More is found when it is read."""

_OPEN_FILES = 65536
"""A PC that loads by HTTP needs up to two, so 400 PCs use up the 1024 that systemd and shells give by default."""

_GARBAGE = 10_000, 20, 50
"""How many objects are made between two searches for reference cycles, which hardly anything here has. With Python's
own numbers the searches through all known PCs took a quarter of the time when a room was switched on."""

log = structlog.get_logger("serve")


async def serve(path: Path) -> None:
    """Run the box until SIGTERM or SIGINT; raises UserError when it cannot start or go on."""
    stop, hangup = _signals()
    _raise_file_limit()
    gc.set_threshold(*_GARBAGE)
    installer = choose_installer()
    config = with_interfaces_named(configuration.load(path))
    stream = Stream()
    with (
        only_server(config.registry),
        Registry(config.registry, durable=False) as registry,
        contextlib.closing(EventLogger(stream)) as event_logger,
    ):
        registry.check(_CHECK_SECONDS)
        served = interfaces(config)
        installed = boot_files.install_at_start(config)
        exports_stale = asyncio.Event()
        exports_stale.set()
        neighbours = Neighbours(served)
        journal = Journal(registry, time.time, stream.publish, neighbours.mac_in_words)
        box = Box(config, registry, journal, neighbours, served, exports_stale.set)
        unwatch = neighbours.watch(box.addresses.neighbour_changed)
        leases = lease_server(box, registry, neighbours, served)
        await _assert_alone(config, served)
        await asyncio.to_thread(box.live.overlays.start, lambda: (box.config.live.directory, box.config.live.overlays))
        async with open_services(box, BootScripts(box, journal), served, leases) as bound:
            reload = ConfigReload(box, registry, exports_stale.set)
            interface_watch = InterfaceWatch(served)
            heartbeat_writer = HeartbeatWriter(
                config.registry, box.heartbeats.pending, _read_boinc, history=lambda: box.config.history
            )
            heartbeat_writer.start()
            _say_started(registry, box, bound)
            threading.Thread(target=_import_slow_libraries, name="imports").start()
            registry_sync = RegistrySync(registry, box, journal, leases)
            page = ControlProcess(lambda: box.config, control_process.command(path))
            if systemd.absent():
                page.start()
            tasks = _start(
                watch=_watch(box, registry_sync, heartbeat_writer, reload, interface_watch),
                interfaces=interface_watch.watch(partial(registry.set_server, "trouble")),
                confirm=_confirm(box),
                exports=keep_exports(box, registry, journal, exports_stale, installer),
                boot_files=boot_files.follow(box, installed),
                reload=reload.at_each(hangup),
                log=event_logger.follow(),
            )
            failure = await systemd.until(stop, tasks)
            systemd.stopping()
            log.info("draining", seconds=DRAIN_SECONDS)
        await _cancel(tasks)
        await asyncio.to_thread(page.close)
        await asyncio.to_thread(installer.close)
        await asyncio.to_thread(heartbeat_writer.close)
        await asyncio.to_thread(box.live.overlays.close)
        unwatch()
        registry_sync.close()
    log.info("stopped")
    if failure:
        raise failure


def _read_boinc(answers: bytes, before: str, at: float) -> Condition:
    """What BOINC's answers say."""
    return condition.follow(condition.from_json(before), condition.read(answers), at)


def _import_slow_libraries() -> None:
    """Importing these would take most of the start-up time, and nothing needs them right away."""
    packet.load()
    load_pyroute2()


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events that SIGTERM (or SIGINT) and SIGHUP set from now on, instead of ending the process."""
    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    return stop, hangup


async def _assert_alone(config: Config, served: list[Interface]) -> None:
    """Raise UserError if another DHCP server answers where this box would give out addresses."""
    leasing = [each for each in served if gives_addresses(config, each.address.network)]
    if leasing and not config.dhcp.force:
        # Imported only here: it loads scapy, which doubles the start-up time. A box without leases does not need it.
        from appliance.dhcp.other_servers import assert_alone  # noqa: PLC0415

        await assert_alone(leasing)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Under systemd the unit sets it (LimitNOFILE=), and its system call filter forbids this.
        with contextlib.suppress(OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _start(**tasks: Coroutine[None, None, None]) -> list[asyncio.Task[None]]:
    """Start the tasks that run as long as the server, under the names that the log gives them."""
    if interval := systemd.watchdog_interval():
        tasks["watchdog"] = systemd.keep_alive(interval)
    return [asyncio.create_task(task, name=name) for name, task in tasks.items()]


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _say_started(registry: Registry, box: Box, bound: list[tuple[str, str, int]]) -> None:
    registry.set_server("started", time.time())
    registry.set_server("started_with", sections.fixed(box.config))
    registry.set_server("trouble", [])
    registry.set_server("heartbeats_lost", 0)
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
    if not box.active:
        log.warning("no image is active", do="netboot-appliance image build")


def _status(box: Box, troubles: list[str]) -> str:
    """The line in `systemctl status`: what is wrong, what is served, what to do next."""
    config, addresses = box.config, box.allowlist.addresses
    words = list(filter(None, troubles))
    words.append(f"serves {', '.join(config.server.interfaces)}")
    words.append(f"image {box.release or 'none'}")
    words += [f"image {image}: {release}" for image, release in box.active.items() if image != DEFAULT]
    many = "1 MAC address" if addresses == 1 else f"{addresses:,} MAC addresses"
    words.append(f"{many} may boot" if addresses else "nobody may boot yet")
    if not config.written:
        words.append("next: sudo netboot-appliance config init")
    elif not box.active:
        words.append("next: sudo netboot-appliance image build")
    elif not addresses:
        words.append("next: sudo netboot-appliance allow add MAC")
    return "; ".join(words)


async def _watch(
    box: Box,
    registry_sync: RegistrySync,
    heartbeat_writer: HeartbeatWriter,
    reload: ConfigReload,
    interface_watch: InterfaceWatch,
) -> None:
    """Keep the registry in step, follow the active image, and keep systemd's status line right."""
    line, failing = "", False
    while True:
        unwritten = registry_sync.trouble or heartbeat_writer.trouble
        fresh = _status(box, [*interface_watch.trouble, unwritten, reload.rejected])
        if fresh != line:
            line = fresh
            systemd.status(line)
        await asyncio.sleep(_WATCH_SECONDS)
        now = time.monotonic()
        try:
            box.follow_release(now)
            failing = False
        except Exception:
            if not failing:
                log.exception("cannot tell which image is active; trying again")
            failing = True
        registry_sync.turn(now)


async def _confirm(box: Box) -> None:
    """Confirm claimed addresses soon after the clients use them: a mount may be the next thing they ask for."""
    while True:
        await box.claims.some.wait()
        await asyncio.sleep(_CONFIRM_SECONDS)
        try:
            box.claims.check(time.monotonic())
        except OSError:
            log.exception("cannot read the neighbour table; trying again")
