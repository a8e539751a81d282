"""The control process as its own process: it starts, follows its configuration, and ends."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config.file import Config
from appliance.control import follow
from appliance.control.access import credentials
from appliance.control.context import Context
from appliance.control.door import Door
from appliance.control.follow import Follower
from appliance.registry import reload_result
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from tests.unit.appliance.cli.program import PROGRAM
from tests.unit.debian import need
from tests.unit.ports import free_port

SECONDS = 60.0


class Page:
    """A control process with a configuration of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "c.toml"
        self.data = directory / "data"
        self.log = directory / "log"
        self.port = free_port()
        self.write()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "--config", str(self.path), "control", "--supervised"],
                stdin=subprocess.PIPE,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
            )

    def write(self, more: str = "", port: int = 0) -> None:
        text = f'[server]\ndata = "{self.data}"\ninterfaces = ["lo"]\n[control]\n'
        self.path.write_text(f'{text}listen = "127.0.0.1:{port or self.port}"\n{more}')

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["event"] == event]

    def await_said(self, event: str, count: int = 1) -> dict[str, Any]:
        await_that(lambda: len(self.said(event)) >= count, self.log.read_text)
        return self.said(event)[-1]

    def rejected(self) -> str:
        with Registry(self.data / "registry" / "registry.sqlite3") as registry:
            latest = reload_result.read(registry, reload_result.PAGE)
        return latest.error if latest else "nothing is known"

    def answers(self, port: int = 0) -> bool:
        anybodys = ssl._create_unverified_context()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port or self.port), 10) as tcp,
            anybodys.wrap_socket(tcp) as tls,
        ):
            tls.sendall(b"GET /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return tls.recv(100).startswith(b"HTTP/1.1 200")
        return False


def await_that(what: Callable[[], object], else_say: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, else_say()
        time.sleep(0.02)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    need("openssl")
    page = Page(tmp_path)
    page.await_said("the page is open")
    yield page
    assert page.process.stdin is not None
    page.process.stdin.close()
    assert page.process.wait(SECONDS) == 0, page.log.read_text()
    assert "Traceback" not in page.log.read_text()


def test_a_first_start_by_hand_then_everything_that_a_file_can_change(page: Page) -> None:
    """One process for all of it: a start takes a second of a processor."""
    assert page.answers()
    registry = page.data / "registry" / "registry.sqlite3"
    assert holder(registry, "control") == page.process.pid
    password = page.await_said("the page has a password now")["password"]
    with Registry(registry) as opened:
        kept = credentials.password_of(opened)
    assert kept is not None
    assert kept.matches(password)

    # A second one finds the lock, or the port.
    second = [str(PROGRAM), "--config", str(page.path), "control"]
    done = subprocess.run(second, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr

    # A wrong file keeps the old one.
    page.write("enabeld = false\n")
    assert "did you mean enabled" in page.await_said("the configuration was not reloaded; the old one stays")["hint"]
    page.path.unlink()
    page.await_said("the configuration was not reloaded; the old one stays", 2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page.write(port=taken.getsockname()[1])
        said = page.await_said("the configuration was not reloaded; the old one stays", 3)
        assert "Address already in use" in said["error"]
    assert page.answers()
    page.write('certificate = "/nonexistent.pem"\n')
    page.await_said("the configuration was not reloaded; the old one stays", 4)
    assert page.answers()
    await_that(lambda: "cannot read the certificate" in page.rejected())
    status = [str(PROGRAM), "--config", str(page.path), "status"]
    shown = subprocess.run(status, capture_output=True, text=True, check=False).stdout
    assert "it keeps its old configuration: cannot read the certificate /nonexistent.pem" in shown
    page.path.write_text("")  # an editor on a full disk: the networks that may connect must not become others
    assert "is empty" in page.await_said("the configuration was not reloaded; the old one stays", 5)["error"]
    assert page.answers()

    # A good one is in force, also by SIGHUP.
    other = free_port()
    page.write(port=other)
    page.await_said("configuration reloaded")
    await_that(lambda: page.rejected() == "")
    assert page.answers(other)
    assert not page.answers()
    page.process.send_signal(signal.SIGHUP)
    page.await_said("configuration reloaded", 2)
    assert page.answers(other)

    # What cannot be put in force is said, and the rest is.
    page.write("behind_proxy = true\n", port=other)
    assert (
        "restart netboot-appliance-control"
        in page.await_said("[control] behind_proxy changed: takes effect after a restart, as all of [control]")["do"]
    )
    assert page.answers(other)

    page.write("enabled = false\n", port=other)
    page.await_said("the page was switched off: [control] enabled = false")
    assert page.process.wait(SECONDS) == 0


def test_sigterm_ends_it_while_a_page_is_open(page: Page) -> None:
    begun = time.monotonic()

    async def hold() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port, ssl=ssl._create_unverified_context())
        writer.write(b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        page.process.send_signal(signal.SIGTERM)
        rest = await reader.read()
        writer.transport.abort()
        return rest

    assert asyncio.run(hold())
    assert page.process.wait(SECONDS) == 0
    assert time.monotonic() - begun < SECONDS / 2
    assert page.said("stopped")


async def test_a_file_that_is_still_being_written_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    read: list[object] = []

    def look(_: Path) -> tuple[int, int, int]:
        looks.append(min(len(looks), 9))
        return 1, looks[-1], 0

    async def reload(self: Follower) -> None:
        read.append(self._seen)

    monkeypatch.setattr(follow, "_seen", look)
    monkeypatch.setattr(follow, "_LOOK", 0.01)
    monkeypatch.setattr(Follower, "_reload", reload)
    path = tmp_path / "c.toml"
    context = Context(path, Config(path), time.time)
    gate = Door(lambda _: True, lambda: pytest.fail("a connection"), None)
    follower = Follower(context, gate, None, asyncio.Event())
    following = asyncio.create_task(follower.follow(asyncio.Event()))
    async with asyncio.timeout(30):
        while len(looks) < 20:
            await asyncio.sleep(0.01)
    following.cancel()
    assert read == [(1, 9, 0)]


def test_it_imports_no_scapy() -> None:
    line = "import sys, appliance.control.process; sys.exit('scapy' in {name.split('.')[0] for name in sys.modules})"
    assert subprocess.run([sys.executable, "-c", line], check=False).returncode == 0
