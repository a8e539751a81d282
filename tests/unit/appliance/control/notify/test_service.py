"""The thread that looks, tells and delivers, with a real webhook and a real mail server where it matters."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.config.file import Config, parse
from appliance.config.notify import NotifyAddress
from appliance.control.notify import outbox, service
from appliance.control.notify.notices import Notice
from appliance.control.notify.outbox import SENT
from appliance.control.notify.rules import RuleName
from appliance.control.notify.sending import Letter, Receipt
from appliance.control.notify.service import NoticeService
from appliance.registry.database import Registry
from tests.unit.appliance.control.notify.servers import mail_server, number_of, webhook

TEXT = """
[server]
data = "{data}"
[notify]
addresses = [{addresses}]
[notify.mail]
host = "127.0.0.1"
port = {port}
encryption = "none"
"""


def config(tmp_path: Path, *addresses: str, port: int = 25) -> Config:
    quoted = ", ".join(f'"{address}"' for address in addresses)
    return parse(TEXT.format(data=tmp_path, addresses=quoted, port=port), tmp_path / "c.toml")


def put(config: Config, many: int = 1) -> None:
    """Notices that are to be delivered."""
    with Registry(config.registry) as registry, registry.transaction():
        for number in range(many):
            notice = Notice(RuleName.DISK, "warning", f"[boot] {number}", f"body {number}")
            outbox._add(registry, notice, config.notify.targets, time.time())


def until(condition: Callable[[], bool], step: Callable[[], None], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        step()
        time.sleep(0.005)


def pending(config: Config) -> int:
    with Registry(config.registry) as registry:
        return outbox.pending(registry)


def results(config: Config) -> dict[str, list[str]]:
    """The result of each delivery, by the name of its address, oldest first."""
    found: dict[str, list[str]] = {}
    with Registry(config.registry) as registry:
        for _, deliveries in reversed(outbox.recent(registry, 100)):
            for each in deliveries:
                found.setdefault(each.name, []).append(each.result)
    return found


def test_notices_reach_mail_and_webhook(tmp_path: Path) -> None:
    with mail_server() as mail, webhook() as hook:
        box = config(tmp_path, "admin@example.org", hook.url, port=mail.port)
        put(box, 3)
        told = NoticeService(lambda: box, time.time)
        until(lambda: pending(box) == 0, told.step)
    assert [each["Subject"] for each in mail.taken] == ["[boot] 0", "[boot] 1", "[boot] 2"]
    assert [post["title"] for post in hook.posts] == ["[boot] 0", "[boot] 1", "[boot] 2"]
    assert set(results(box)["admin@example.org"]) == {SENT}


def test_a_dead_address_holds_up_no_other(tmp_path: Path) -> None:
    box = config(tmp_path, "dead@example.org", "admin@example.org")
    put(box, 5)
    release, sent = threading.Event(), []

    def send(address: NotifyAddress, _: Config, letter: Letter) -> Receipt:
        if address.startswith("dead"):
            release.wait(20)
            return Receipt(False, "at last")
        sent.append(letter.title)
        return Receipt(True, "taken")

    told = NoticeService(lambda: box, time.time, send_=send)
    until(lambda: len(sent) == 5, told.step)
    release.set()
    until(lambda: not told._attempts, told.step)
    assert results(box)["dead@example.org"] == ["at last", "", "", "", ""]


def test_an_attempt_that_hangs_is_shown_and_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.05)
    box = config(tmp_path, "admin@example.org")
    put(box, 2)
    now, release, begun = [time.time()], threading.Event(), []

    def send(_a: NotifyAddress, _c: Config, letter: Letter) -> Receipt:
        begun.append(letter.title)
        release.wait(20)
        return Receipt(True, "taken")

    told = NoticeService(lambda: box, lambda: now[0], send_=send)
    until(lambda: "the attempt goes on" in results(box)["admin@example.org"][0], told.step)
    now[0] += 10 * outbox.LEASE
    for _ in range(20):
        told.step()
    assert begun == ["[boot] 0"]
    # It arrives after all: that counts, and the next one follows.
    release.set()
    until(lambda: pending(box) == 0, told.step)
    assert begun == ["[boot] 0", "[boot] 1"]
    assert results(box)["admin@example.org"] == [SENT, SENT]


def test_a_webhook_that_is_down_for_a_while_gets_everything_once(tmp_path: Path) -> None:
    with webhook() as hook:
        hook.answer = lambda _: 503
        box = config(tmp_path, hook.url)
        put(box, 4)
        now = [time.time()]
        told = NoticeService(lambda: box, lambda: now[0])
        until(lambda: len(hook.posts) == 1, told.step)
        until(lambda: not told._attempts, told.step)
        assert "error=503" in next(iter(results(box).values()))[0]
        hook.posts.clear()
        hook.answer = lambda _: 200
        for _ in range(20):
            told.step()
        assert hook.posts == [], "too soon"
        now[0] += 61
        until(lambda: pending(box) == 0, told.step)
    assert [post["title"] for post in hook.posts] == [f"[boot] {n}" for n in range(4)]


def test_a_clock_that_jumps_repeats_nothing(tmp_path: Path) -> None:
    with webhook() as hook:
        box = config(tmp_path, hook.url)
        put(box, 6)
        now = [time.time()]
        told = NoticeService(lambda: box, lambda: now[0])
        steps = iter([86400.0, -172800.0, 3600.0, -3600.0] * 100)

        def step() -> None:
            told.step()
            now[0] += next(steps)

        until(lambda: pending(box) == 0, step)
    assert sorted(map(number_of, hook.posts)) == sorted(set(map(number_of, hook.posts)))
    assert len(hook.posts) == 6


def test_without_an_address_nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOOK_EVERY", 0.0)
    current = [config(tmp_path, "json://127.0.0.1:9/x")]
    put(current[0])
    told = NoticeService(lambda: current[0], time.time, send_=lambda *_: Receipt(False, "no"))
    until(lambda: not told._attempts and "no" in str(results(current[0])), told.step)
    with Registry(current[0].registry) as registry:
        assert RuleName.SERVER in outbox.memories(registry)
    current[0] = config(tmp_path)
    told._next_look = 0.0
    told.step()
    with Registry(current[0].registry) as registry:
        assert outbox.memories(registry) == {}
        assert outbox.pending(registry) == 0


def test_the_thread_survives_a_registry_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(service, "DELIVER_EVERY", 0.01)
    with webhook() as hook:
        box = config(tmp_path, hook.url)
        put(box)
        hidden = box.registry.with_name("hidden")
        box.registry.rename(hidden)
        box.registry.write_bytes(b"not a database at all" * 500)
        told = NoticeService(lambda: box, time.time)
        told.start()
        until(lambda: "notices wait" in caplog.text, lambda: None)
        hidden.rename(box.registry)
        until(lambda: len(hook.posts) == 1, lambda: None)
        until(lambda: pending(box) == 0, lambda: None)
        told.stop()
    assert not any(thread.name == "notices" for thread in threading.enumerate())


def test_addresses_that_cannot_work_are_logged_once_and_without_tokens(tmp_path: Path) -> None:
    """As the process's log has it. (pytest also listens to loggers that keep their words to themselves.)"""
    logged: list[str] = []

    class _Log(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(record.getMessage())

    log = _Log()
    logging.getLogger().addHandler(log)
    try:
        box = config(tmp_path, "slak://secret/token")
        told = NoticeService(lambda: box, time.time, send_=lambda *_: Receipt(False, "no"))
        told.step()
        told.step()
    finally:
        logging.getLogger().removeHandler(log)
    assert [line for line in logged if "slak" in line] == [
        f"[notify] addresses: {box.notify.targets[0].shown}: apprise knows no service slak://"
    ]
    assert "secret" not in " ".join(logged)
