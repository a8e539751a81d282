"""How the server asks root's helper for exports, and what it makes of answers, of late ones and of none."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.exports import mailbox
from appliance.exports.grants import ExportGrant
from appliance.exports.ownership import ForeignClaim
from appliance.exports.request import ExportAnswer, ExportRequest, decode, digest, encode_answer
from appliance.journal.timeline import Boot
from appliance.server import export_task
from appliance.server.export_task import RootHelperInstaller, choose_installer, keep_exports
from services.ethernet import MacAddress
from services.linux import atomic_file

CONFIG = Config(Path("/nowhere"))


def grant(number: int) -> ExportGrant:
    return ExportGrant(MacAddress(number), number, (IPv4Address("10.77.0.9"),))


class RootHelper:
    """Root's helper as the server sees it: `answer` is called for each request as it is written."""

    def __init__(self, directory: Path) -> None:
        self.own = directory / "box"
        self.own.mkdir()
        (directory / "box-exports").mkdir()
        self.installer = RootHelperInstaller(self.own)
        self.written: list[bytes] = []

    async def play(self, answer: Callable[[bytes, int], ExportAnswer | None]) -> None:
        last = 0
        while True:
            try:
                found = mailbox.request_file(self.own)
                inode, content = found.stat().st_ino, found.read_bytes()
            except FileNotFoundError:
                inode, content = last, b""
            if inode != last:
                last = inode
                self.written.append(content)
                if done := answer(content, len(self.written)):
                    atomic_file.write(mailbox.answer_file(self.own), encode_answer(done))
            await asyncio.sleep(0.005)

    async def ask(
        self, number: int, answer: Callable[[bytes, int], ExportAnswer | None], stale: asyncio.Event | None = None
    ) -> ExportAnswer | None:
        player = asyncio.create_task(self.play(answer))
        try:
            return await self.installer.install(CONFIG, (), [grant(number)], stale or asyncio.Event())
        finally:
            player.cancel()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RootHelper:
    monkeypatch.setattr(export_task, "_READ_SECONDS", 0.01)
    monkeypatch.setattr(export_task, "RESEND_SECONDS", 0.05)
    monkeypatch.setattr(export_task, "ANSWER_SECONDS", 0.3)
    return RootHelper(tmp_path)


def good(content: bytes, _count: int) -> ExportAnswer:
    return ExportAnswer(digest(content), "kernel", "why", True, 2)


def nothing(_content: bytes, _count: int) -> None:
    return None


async def test_an_answer_to_another_request_is_not_taken(root: RootHelper) -> None:
    atomic_file.write(mailbox.answer_file(root.own), encode_answer(ExportAnswer("earlier", error="not this")))
    done = await root.ask(7, good)
    assert done
    assert (done.backend, done.error, done.directories) == ("kernel", "", 2)
    assert [decode(content) for content in root.written] == [ExportRequest((grant(7),))]


async def test_asking_the_same_again_needs_a_new_answer(root: RootHelper) -> None:
    await root.ask(7, good)
    with pytest.raises(UserError, match="has not answered"):
        await root.ask(7, nothing)


async def test_a_request_that_was_missed_is_written_again(root: RootHelper) -> None:
    done = await root.ask(7, lambda content, count: good(content, count) if count == 3 else None)
    assert done
    assert len(root.written) == 3
    assert len(set(root.written)) == 1, "the same one: it may be in work"


async def test_a_refusal_is_an_error_with_its_hint(root: RootHelper) -> None:
    with pytest.raises(UserError, match="no NFS server") as caught:
        await root.ask(7, lambda content, _: ExportAnswer(digest(content), error="no NFS server", hint="install one"))
    assert caught.value.hint == "install one"


async def test_no_answer_at_all_is_an_error_that_names_the_units(root: RootHelper) -> None:
    with pytest.raises(UserError, match="has not answered") as caught:
        await root.ask(7, nothing)
    assert "systemctl status netboot-appliance-exports.path" in caught.value.hint
    assert await root.ask(7, good), "and the next time it works"


async def test_newer_exports_are_asked_for_at_once(root: RootHelper) -> None:
    stale = asyncio.Event()
    stale.set()
    assert await root.ask(1, nothing, stale) is None
    assert await root.ask(2, nothing, stale) is None
    done = await root.ask(3, good)
    assert done
    assert decode(root.written[-1]) == ExportRequest((grant(3),))


async def test_a_dead_helper_is_reported_however_often_exports_change(root: RootHelper) -> None:
    stale = asyncio.Event()
    stale.set()
    with pytest.raises(UserError, match="has not answered"):
        async with asyncio.timeout(60):
            while True:
                await root.ask(1, nothing, stale)


async def test_a_helper_that_answers_late_is_not_called_dead(root: RootHelper) -> None:
    stale = asyncio.Event()
    stale.set()

    def late(content: bytes, _count: int) -> ExportAnswer:
        # The server no longer waits for the answer to this request.
        return ExportAnswer(digest(content + b" "), "kernel")

    async with asyncio.timeout(60):
        for number in range(1, 60):
            assert await root.ask(number, late, stale) is None


async def test_too_many_clients_for_a_request_are_reported(root: RootHelper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.exports.request.LARGEST", 10)
    with pytest.raises(UserError, match="too much for one request"):
        await root.ask(1, good)


@pytest.mark.parametrize(("took", "rest"), [(0.01, 0.03), (0.05, 0.15), (20.0, 0.2)])
async def test_after_each_time_the_server_does_other_things(
    monkeypatch: pytest.MonkeyPatch, took: float, rest: float
) -> None:
    stale, now, rested = asyncio.Event(), [100.0], list[float]()
    stale.set()

    class Busy:
        """An installer in a room where exports change all the time."""

        def close(self) -> None: ...

        async def install(self, *_: object) -> ExportAnswer:
            now[0] += took
            stale.set()
            return ExportAnswer("")

    async def sleep(seconds: float) -> None:
        rested.append(seconds)
        if len(rested) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(export_task, "time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0]))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    nobody: Any = SimpleNamespace(boots=list, clients=list, set_server=lambda *_: None)
    addresses = SimpleNamespace(running=set, hear=lambda *_: False, claims=tuple, recheck_all=lambda: None)
    box: Any = SimpleNamespace(config=CONFIG, networks=(), allowlist=(), addresses=addresses)
    with pytest.raises(asyncio.CancelledError):
        await keep_exports(box, nobody, nobody, stale, Busy())
    assert rested == pytest.approx([rest] * 3)


def test_a_server_that_is_not_root_asks_the_helper_or_cannot_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert type(choose_installer()).__name__ == "_DirectInstaller", "root, whatever the environment"
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/netboot-appliance")
    assert isinstance(choose_installer(), RootHelperInstaller)
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    with pytest.raises(UserError, match="not root") as caught:
        choose_installer()
    assert "systemctl start netboot-appliance" in caught.value.hint
    assert "sudo" in caught.value.hint


class Told:
    """The registry, as far as the task writes it."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, Any]] = []

    def set_server(self, key: str, value: Any) -> None:
        self.facts.append((key, value))


class Looked:
    """The addresses of one PC: `heard` has the answers, `runs` whether it was found to run after all."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.heard: list[ExportAnswer] = []
        self.runs = [False, True]

    def running(self) -> set[MacAddress]:
        return set()

    def hear(self, _grants: object, answer: ExportAnswer) -> bool:
        self.heard.append(answer)
        return bool(self.runs and self.runs.pop())

    def look(self) -> None:
        self.done.append("look")

    def recheck_all(self) -> None:
        self.done.append("recheck")

    def claims(self) -> tuple[ForeignClaim, ...]:
        return (ForeignClaim(IPv4Address("10.77.0.9"), MacAddress(2), MacAddress(1), 5.0),)


@pytest.mark.parametrize(("seen", "looks"), [(("10.77.0.9",), 2), ((), 0)])
async def test_while_there_are_exports_they_are_put_in_force_again_and_again(
    monkeypatch: pytest.MonkeyPatch, seen: tuple[str, ...], looks: int
) -> None:
    monkeypatch.setattr(export_task, "LOOK_SECONDS", 0.05)
    told, addresses, stale, asked = Told(), Looked(), asyncio.Event(), list[object]()
    stale.set()
    enough = asyncio.Event()

    class Quiet:
        """An installer with nothing to change."""

        async def install(self, _config: object, _networks: object, grants: object, _stale: object) -> ExportAnswer:
            asked.append(grants)
            if len(asked) > 2 + looks:
                enough.set()
            return ExportAnswer("", "kernel", "why")

        def close(self) -> None:
            pass

    mac = MacAddress(1)
    boot = Boot(1, mac, 0.0, "token", "r", last_event=0.0, addresses=tuple(map(IPv4Address, seen)))
    journal: Any = SimpleNamespace(boots=lambda: [boot], clients=lambda: [SimpleNamespace(mac=mac, number=1)])
    box: Any = SimpleNamespace(config=CONFIG, networks=(IPv4Network("10.77.0.0/24"),), allowlist={mac})
    box.addresses = addresses
    registry: Any = told
    task = asyncio.create_task(keep_exports(box, registry, journal, stale, Quiet()))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(enough.wait(), 60 if looks else 0.5)
    task.cancel()
    assert enough.is_set() is bool(looks)
    assert len(asked) >= 2, "at once again for a PC that runs after all"
    assert addresses.done[0] == "recheck"
    assert addresses.done.count("recheck") == 1
    assert addresses.done.count("look") >= looks
    assert [key for key, _ in told.facts].count("exports") == 1, "what stays the same is written once"
    ((_, claims),) = (fact for fact in told.facts[:2] if fact[0] == "claims")
    assert [(each["address"], each["claimant"], each["holder"]) for each in claims] == [
        ("10.77.0.9", str(MacAddress(2)), str(mac))
    ]


async def test_what_is_left_out_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_task, "_RETRY_SECONDS", (0.01, 0.01))
    told, addresses, stale, answers = Told(), Looked(), asyncio.Event(), ["/d/state/x cannot be exported: no loop", ""]
    stale.set()

    class Installer:
        async def install(self, *_: object) -> ExportAnswer:
            return ExportAnswer("", "kernel", "why", left_out=answers.pop(0) if answers else "")

        def close(self) -> None:
            pass

    nobody: Any = SimpleNamespace(boots=list, clients=list)
    box: Any = SimpleNamespace(config=CONFIG, networks=(), allowlist=(), addresses=addresses)
    registry: Any = told
    task = asyncio.create_task(keep_exports(box, registry, nobody, stale, Installer()))

    def shown() -> list[str]:
        return [value["error"] for key, value in told.facts if key == "exports"]

    async with asyncio.timeout(60):
        while len(shown()) < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    assert shown() == ["/d/state/x cannot be exported: no loop", ""]
