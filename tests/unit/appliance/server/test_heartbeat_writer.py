"""The thread that writes heartbeats: whatever fails, nothing else stops."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from appliance.errors import UserError
from appliance.heartbeats import orders, store
from appliance.heartbeats.records import EXPIRES_AFTER, StoredHeartbeat
from appliance.registry.database import Registry
from appliance.server import heartbeat_writer
from appliance.server.heartbeat_writer import HeartbeatWriter
from appliance.server.pending_heartbeats import PendingHeartbeats, TimedHeartbeat
from services.boinc.condition import BoincMessage, Condition, to_json
from services.ethernet import MacAddress
from services.http.heartbeats import Heartbeat, OrderVerb

A = MacAddress.parse("52:54:00:aa:bb:01")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "registry.sqlite3"
    Registry(path).close()
    return path


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, object]]]:
    monkeypatch.setattr(heartbeat_writer, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines  # type: ignore[misc]


@pytest.fixture
def pending() -> PendingHeartbeats:
    return PendingHeartbeats()


_made: list[HeartbeatWriter] = []


def made(
    path: Path, pending: PendingHeartbeats, read_boinc: Callable[[bytes, str, float], Condition]
) -> HeartbeatWriter:
    """A writer that no thread runs: the test takes its turns."""
    _made.append(HeartbeatWriter(path, pending, read_boinc))
    return _made[-1]


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    yield
    while _made:
        _made.pop().release()


def beat(mac: int, boinc: bytes = b"<reply/>", at: float = 5.0) -> TimedHeartbeat:
    return TimedHeartbeat(3, at, Heartbeat(MacAddress(mac), {"uptime": "9"}, boinc=boinc))


def stored(path: Path) -> dict[int, str]:
    with Registry(path) as registry:
        return {mac.value: each.boinc for mac, each in store.latest_of_all(registry).items()}


def read(boinc: bytes, before: str, at: float) -> Condition:
    """What a PC's answers are read as here, by a reader that knows what it read before."""
    return saying(boinc.decode() + (f" at {at:.0f} after {before}" if before != "{}" else ""))


def saying(said: str) -> Condition:
    return Condition(messages=(BoincMessage(0.0, "", said, 1),))


def json_of(said: str) -> str:
    return to_json(saying(said))


def test_many_pcs_in_one_turn(path: Path, pending: PendingHeartbeats) -> None:
    writer = made(path, pending, read)
    for mac in range(1000):
        pending.add(beat(mac, b"%d" % mac))
    pending.add(beat(1000, b""))
    writer.turn()
    assert stored(path) == {mac: json_of(str(mac)) for mac in range(1000)} | {1000: json_of("")}
    assert writer.trouble == ""


def test_a_fault_ends_only_the_reading_of_that_heartbeat(
    path: Path, pending: PendingHeartbeats, said: list[dict[str, object]]
) -> None:
    def faulty(boinc: bytes, before: str, at: float) -> Condition:
        if boinc == b"bad":
            raise RecursionError("too deep")
        return read(boinc, before, at)

    writer = made(path, pending, faulty)
    for mac, boinc in ((1, b"good"), (2, b"bad"), (3, b"bad"), (4, b"good")):
        pending.add(beat(mac, boinc))
    writer.turn()
    assert stored(path) == {1: json_of("good"), 2: "{}", 3: "{}", 4: json_of("good")}
    assert [line["mac"] for line in said] == ["00:00:00:00:00:02"], "one line is enough"


def test_answers_are_read_after_those_of_the_same_boot(path: Path, pending: PendingHeartbeats) -> None:
    writer = made(path, pending, read)
    pending.add(beat(1, b"first"))
    writer.turn()
    pending.add(beat(1, b"second", 65.0))
    writer.turn()
    assert stored(path) == {1: json_of(f"second at 65 after {json_of('first')}")}
    pending.add(TimedHeartbeat(4, 99.0, Heartbeat(MacAddress(1), {}, boinc=b"another boot")))
    writer.turn()
    assert stored(path) == {1: json_of("another boot")}


def test_a_damaged_row_is_replaced(path: Path, pending: PendingHeartbeats) -> None:
    with Registry(path) as registry:
        registry.sql.execute("INSERT INTO heartbeats VALUES (1, 3, 1.0, '', 'no facts', '{}')")
    writer = made(path, pending, read)
    pending.add(beat(1, b"good"))
    writer.turn()
    assert stored(path) == {1: json_of("good")}
    assert writer.trouble == ""


def test_a_locked_registry(path: Path, pending: PendingHeartbeats, said: list[dict[str, object]]) -> None:
    monotonic = iter((0.0, 1.0, 9.0, 10.0))
    with pytest.MonkeyPatch.context() as patched, Registry(path) as other:
        patched.setattr("appliance.server.heartbeat_writer.time.monotonic", lambda: next(monotonic))
        writer = made(path, pending, read)
        writer.turn(0.0)
        with other.transaction():
            for at in (1.0, 9.0):
                pending.add(beat(1, b"%d" % at, at))
                pending.add(beat(int(at) + 1, b"x", at))
                writer.turn(0.0)
        assert "is locked" in writer.trouble
        writer.turn(0.0)
    assert stored(path) == {1: json_of(f"9 at 9 after {json_of('1')}"), 2: json_of("x"), 10: json_of("x")}
    assert writer.trouble == ""
    assert [line["event"] for line in said] == [
        "heartbeats cannot be written; trying again",
        "heartbeats can be written again",
    ]


def test_what_fails_half_way_goes_on_from_there(
    path: Path, pending: PendingHeartbeats, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote, failing = store.write, [False, True]

    def write(registry: Registry, heartbeats: Iterable[StoredHeartbeat]) -> None:
        if failing and failing.pop(0):
            raise UserError("the disk is full")
        wrote(registry, heartbeats)

    monkeypatch.setattr(store, "write", write)
    writer = made(path, pending, read)
    for mac in range(100):
        pending.add(beat(mac, b"%d" % mac))
    writer.turn()
    assert writer.trouble == "the disk is full"
    assert 0 < len(stored(path)) < 100
    writer.turn()
    assert stored(path) == {mac: json_of(str(mac)) for mac in range(100)}


def test_at_the_end_everything_is_written(path: Path, pending: PendingHeartbeats) -> None:
    writer = made(path, pending, read)
    writer.start()
    pending.add(beat(1))
    with Registry(path) as registry:
        orders.give(registry, [A], OrderVerb.OFF, 1e9)
    pending.sent(1, 2e9)
    writer.close()
    assert stored(path) == {1: json_of("<reply/>")}
    with Registry(path) as registry:
        assert orders.all_of(registry)[0].sent == 2e9
    assert "heartbeats" not in {thread.name for thread in threading.enumerate()}


def test_it_writes_once_a_second(path: Path, pending: PendingHeartbeats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_writer, "EVERY", 0.01)
    turned = threading.Event()
    wrote: Callable[..., None] = store.write

    def write(*arguments: object) -> None:
        wrote(*arguments)
        turned.set()

    monkeypatch.setattr(store, "write", write)
    writer = made(path, pending, read)
    writer.start()
    pending.add(beat(1))
    assert turned.wait(10)
    writer.close()
    assert stored(path) == {1: json_of("<reply/>")}


def test_a_registry_that_is_gone(tmp_path: Path, pending: PendingHeartbeats, said: list[dict[str, object]]) -> None:
    (tmp_path / "file").write_text("")
    writer = made(tmp_path / "file" / "registry.sqlite3", pending, read)
    pending.add(beat(1))
    writer.turn()
    assert "cannot use the registry" in writer.trouble
    assert [line["event"] for line in said] == ["heartbeats cannot be written; trying again"]
    assert len(pending.take().heartbeats) == 1, "it still waits"


def test_orders_that_nobody_fetched_end(path: Path, pending: PendingHeartbeats) -> None:
    with Registry(path) as registry:
        orders.give(registry, [A], OrderVerb.OFF, 1e9)
        made(path, pending, read).turn()
        assert orders.all_of(registry)[0].result.startswith("expired")
    assert EXPIRES_AFTER < 1e9
