"""`python -m bench.watched_control CONFIG REPORT`: the real control process, whose event loop is watched.

Each turn of a callback is timed: for how long it held the loop, and how much of that it was given a processor; from the
moment on at which the page is open, since nobody waits before. At SIGUSR1 the worst ones since the last time are
written to REPORT, as JSON.
"""

import asyncio
import gc
import json
import signal
import socket
import sys
import time
from asyncio import events, tasks
from pathlib import Path
from typing import Any

from appliance.control.door import Door
from appliance.control.process import control

_KEPT = 8
"""Turns that are reported: those that took most of the processor."""

worst: list[tuple[float, float, str]] = []


def watch() -> None:
    """Time all callbacks of event loops from now on."""
    # One that says what it runs.
    asyncio.Task = tasks.Task = tasks._PyTask  # type: ignore[attr-defined, misc]
    run: Any = events.Handle._run
    collecting = 0.0

    def collects(phase: str, _: dict[str, int]) -> None:
        nonlocal collecting
        collecting += time.thread_time() * (1 if phase == "stop" else -1)

    gc.callbacks.append(collects)

    def timed(handle: Any) -> None:
        nonlocal collecting
        what, collecting = _name(handle), 0.0
        begun, used = time.perf_counter(), time.thread_time()
        run(handle)
        used, took = time.thread_time() - used, time.perf_counter() - begun
        if len(worst) < _KEPT or used > worst[-1][0]:
            worst.append((used, took, f"{what}, {collecting * 1e3:.1f} ms of it to find garbage"))
            worst.sort(reverse=True)
            del worst[_KEPT:]

    events.Handle._run = timed  # type: ignore[method-assign, assignment]
    unwatched = Door.open

    def opened(door: Door, tcp: socket.socket) -> None:
        unwatched(door, tcp)
        worst.clear()

    Door.open = opened  # type: ignore[method-assign, assignment]


def _name(handle: Any) -> str:
    """What the callback runs; of a request, its path."""
    owner = getattr(handle._callback, "__self__", None)
    coroutine = getattr(owner, "_coro", None)
    if coroutine is None:
        return str(getattr(handle._callback, "__qualname__", handle._callback))
    name = str(coroutine.__qualname__)
    if name.endswith("run_asgi") and (frame := coroutine.cr_frame):
        return f"{name} {frame.f_locals['self'].scope['path']}"
    return name


def main() -> None:
    """Run it."""
    config, report = map(Path, sys.argv[1:])

    def tell(*_: object) -> None:
        found = [{"cpu_ms": used * 1e3, "ms": took * 1e3, "what": what} for used, took, what in worst]
        worst.clear()
        fresh = report.with_suffix(".new")
        fresh.write_text(json.dumps(found), encoding="utf-8")
        fresh.replace(report)

    signal.signal(signal.SIGUSR1, tell)
    watch()
    asyncio.run(control(config))


if __name__ == "__main__":
    main()
