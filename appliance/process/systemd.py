"""What the server and systemd tell each other: sd_notify(3), the watchdog, and stopping when an essential task dies.

Without systemd nothing is sent, and there is no watchdog.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterable

import structlog

from appliance.errors import UserError
from services.foreign_text import printable

_SEND_TIMEOUT = 1.0  # seconds

log = structlog.get_logger("serve")


def absent() -> bool:
    """Whether this process was started by hand, and is no service of systemd that says when it is ready."""
    return not os.environ.get("NOTIFY_SOCKET")


def ready() -> None:
    """All sockets are bound, or a reload has ended."""
    _notify("READY=1")


def reloading() -> None:
    """The configuration is being read again; `ready` ends it."""
    _notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """The server accepts no new work."""
    _notify("STOPPING=1")


def status(line: str) -> None:
    """What `systemctl status` shows of the server."""
    _notify(f"STATUS={printable(' '.join(line.split()))}")


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, a third of the time after which systemd kills the server; None without a
    watchdog."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 3e6 if ours and microseconds.isdecimal() and int(microseconds) else None


async def keep_alive(interval: float) -> None:
    """Tell systemd every `interval` seconds that the event loop turns; runs until it is cancelled."""
    while True:
        _notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def until(stop: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> UserError | None:
    """Wait for `stop`, or until one of the tasks ends. All are essential: then return the error that names it."""
    stopped = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    if stopped in ended:
        return None
    stopped.cancel()
    (task, *_) = ended
    cause = None if task.cancelled() else task.exception()
    if isinstance(cause, UserError):
        return cause
    log.critical("a task of the server has ended", task=task.get_name(), exc_info=cause)
    return UserError(
        f"the server cannot go on without its task {task.get_name()!r}, which ended: {cause!r}",
        "systemd starts it again; please report this with the log: journalctl -u netboot-appliance",
        code=1,
    )


def _notify(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
            # Losing a message is better than blocking while systemd is not reading.
            unix.settimeout(_SEND_TIMEOUT)
            unix.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
