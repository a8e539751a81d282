"""What the server tells systemd about itself: sd_notify(3). Without systemd nothing happens."""

import contextlib
import os
import socket
import time


def ready() -> None:
    """All sockets are bound, or a reload is over."""
    _notify("READY=1")


def reloading() -> None:
    """The configuration is being read again; `ready` ends it."""
    _notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """No new work is taken any more."""
    _notify("STOPPING=1")


def _notify(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
            unix.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
