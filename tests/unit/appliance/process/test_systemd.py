"""What systemd is told, on a socket of the test's own, and what happens when an essential task ends."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from appliance.process import systemd

Said = Callable[[], list[str]]


@pytest.fixture(params=["path", "abstract"])
def said(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """Call it for the messages since the last call."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notify:
        name = str(tmp_path / "notify") if request.param == "path" else f"@netboot-appliance-{os.getpid()}"
        notify.bind(name.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", name)

        def read() -> list[str]:
            messages = []
            while True:
                try:
                    messages.append(notify.recv(4096).decode())
                except BlockingIOError:
                    return messages

        yield read


def test_a_reload_is_announced_with_its_time(said: Said) -> None:
    systemd.reloading()
    systemd.ready()
    reloading, ready = said()
    first, second = reloading.split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0
    assert ready == "READY=1"


def test_a_status_is_one_line(said: Said) -> None:
    systemd.status("/etc/c.toml: wrong\nREADY=1")
    assert said() == ["STATUS=/etc/c.toml: wrong READY=1"]


async def test_signs_of_life_come_while_the_loop_turns(said: Said) -> None:
    task = asyncio.create_task(systemd.keep_alive(0.01))
    messages: list[str] = []
    async with asyncio.timeout(60):
        while len(messages) < 4:
            await asyncio.sleep(0.01)
            messages += said()
    task.cancel()
    assert set(messages) == {"WATCHDOG=1"}


def test_a_systemd_that_does_not_read_does_not_stop_the_server(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_SEND_TIMEOUT", 0.01)
    queue = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    for _ in range(queue + 5):
        systemd.ready()
    assert 0 < len(said()) < queue + 5


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    systemd.ready()


@pytest.mark.parametrize(
    ("microseconds", "pid", "interval"),
    [
        ("60000000", None, 20.0),
        pytest.param("60000000", str(os.getpid()), 20.0, id="ours"),
        ("60000000", "1", None),  # meant for another process, which started this one
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_a_sign_of_life_each_third_of_the_watchdog_s_time(
    monkeypatch: pytest.MonkeyPatch, microseconds: str | None, pid: str | None, interval: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_interval() == interval


async def forever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise RuntimeError("the disk has gone")


async def returns() -> None:
    """Like an essential task that ends."""


async def test_a_server_that_is_told_to_stop_has_not_failed() -> None:
    stop, task = asyncio.Event(), asyncio.create_task(forever())
    waiting = asyncio.create_task(systemd.until(stop, [task]))
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.set()
    assert await waiting is None
    task.cancel()


@pytest.mark.parametrize(("ends", "cause"), [(fails, "the disk has gone"), (returns, "None")])
async def test_a_task_that_ends_is_named(ends: Callable[[], Coroutine[None, None, None]], cause: str) -> None:
    tasks = [asyncio.create_task(forever(), name="watch"), asyncio.create_task(ends(), name="exports")]
    async with asyncio.timeout(60):
        failure = await systemd.until(asyncio.Event(), tasks)
    assert failure is not None
    assert failure.code == 1
    assert "'exports'" in failure.message
    assert cause in failure.message
    tasks[0].cancel()


async def test_a_task_that_was_cancelled_has_ended_as_well() -> None:
    task = asyncio.create_task(forever(), name="watch")
    waiting = asyncio.create_task(systemd.until(asyncio.Event(), [task]))
    await asyncio.sleep(0)
    task.cancel()
    assert (failure := await waiting)
    assert "'watch'" in failure.message
