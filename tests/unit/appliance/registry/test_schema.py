"""The registry's schemas: the current code opens every released one, and no migration stops half-way."""

import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.boot import next_boot
from appliance.dhcp import leases
from appliance.errors import UserError
from appliance.firmware import table
from appliance.heartbeats import days, orders, store
from appliance.heartbeats.records import Order, StoredHeartbeat
from appliance.heartbeats.tally import DayTotal
from appliance.images import rollout_table
from appliance.images.rollout import Canary, Fallback, Proof
from appliance.journal.event_pages import ALL, read_after
from appliance.journal.history import history
from appliance.journal.timeline import Stage
from appliance.registry import database, forgetting, schema
from appliance.registry.database import Registry
from appliance.registry.overview import count_boots, newcomers_boots
from appliance.registry.records import BootCounts, BootRow, Client, IgnoredRow
from appliance.schedules import holds, respites
from appliance.schedules.hold import Hold
from appliance.wake import requests
from appliance.wake.request import WakeRequest, WakeResult
from services.decision import Reason
from services.dhcp.plan import Profile
from services.ethernet import MacAddress, MacRange
from services.http.heartbeats import OrderVerb
from tests.unit.appliance.registry.schemas.make import HERE, dump, load

RELEASED = sorted(int(file.stem) for file in HERE.glob("*.sql"))
A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
COLUMN = "ALTER TABLE clients ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite3"


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as sql:
        return {name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_there_is_a_registry_of_every_schema() -> None:
    missing = "new migration: run python -m tests.unit.appliance.registry.schemas.make"
    assert list(range(1, len(schema.MIGRATIONS) + 1)) == RELEASED, missing


@pytest.mark.parametrize("released", RELEASED)
def test_a_released_migration_is_never_edited(released: int, path: Path) -> None:
    load(released, path)
    with closing(sqlite3.connect(path)) as sql:
        assert schema.version(sql) == released
        schema.check(sql, path)


@pytest.mark.parametrize("released", RELEASED)
def test_a_registry_of_a_released_schema_keeps_everything(released: int, path: Path) -> None:
    load(released, path)
    with Registry(path) as registry:
        registry.check()
        assert registry.allowlist().entries[:2] == (
            Entry(MacRange.parse("00:11:22:33:44:55")),
            Entry(MacRange.parse("52:54:00:aa:bb:*"), "room 12, window"),
        )
        assert registry.clients() == [Client(1, A, 1790000101.0, "secret-0"), Client(2, B, 1790000125.0, "secret-4")]
        first, second = history(registry, A)
        (open_,) = history(registry, B)
        assert [len(registry.events(boot.id)) for boot in (first, second, open_)] == [12, 13, 8]
        assert registry.ignored() == [
            IgnoredRow("52:54:00:00:00:09", "dhcp", Reason.NOT_ALLOWED.value, 1790000134.0, 1790000135.0, 2)
        ]
        assert registry.server()["started"] == 1790000000.0
        assert registry.highest() == (2, 3)
    assert (first.stage, first.host_id, first.addresses) == (Stage.COMPUTING, "17", (IPv4Address("192.0.2.10"),))
    assert (second.token, second.inherited, second.addresses) == ("secret-3", (), ())
    assert (open_.stage, open_.release) == (Stage.KERNEL, "20260902-100000-bbbbbbbb")
    assert open_.transfers[-1].failed == "closed"


def test_the_rows_that_came_with_schema_2_are_kept(path: Path) -> None:
    load(2, path)
    with Registry(path) as registry:
        entry = Entry(MacRange.parse("52:54:00:aa:bd:*"), "room 13", BootSettings("http", "local", 5))
        assert registry.allowlist().entries[2:] == (entry,)
        (lease,) = leases.load(registry)
        (known,) = table.read(registry)[A]
        (asked,) = next_boot.all_of(registry)
    assert (lease.address, lease.mac, lease.expires) == (IPv4Address("192.0.2.10"), A, 1790003600.0)
    assert (known.profile, known.worked) == (Profile.PLAIN, True)
    assert (asked.mac, asked.entry) == (A, "local")


def test_the_rows_that_came_with_schema_4_are_kept(path: Path) -> None:
    load(4, path)
    with Registry(path) as registry:
        assert store.latest_of_all(registry) == {
            A: StoredHeartbeat(A, 2, 1790000140.0, {"uptime": "61", "boinc": "running"}, "{}")
        }
        assert orders.all_of(registry) == [
            Order(1, A, OrderVerb.SUSPEND, 1790000141.0, 1790000142.0, 1790000143.0, "done"),
            Order(2, A, OrderVerb.FINISH_DISK, 1790000144.0),
        ]


def test_the_rows_that_came_with_schema_5_are_kept(path: Path) -> None:
    load(5, path)
    with Registry(path) as registry:
        entry = Entry(MacRange.parse("52:54:00:aa:bd:*"), "room 13", BootSettings("http", "local", 5, "night"))
        assert registry.allowlist().entries[2:] == (entry,)


def test_the_rows_that_came_with_schema_6_are_kept(path: Path) -> None:
    load(6, path)
    with Registry(path) as registry:
        assert days.totals(registry, 0, days.LAST) == [DayTotal(20717, 2, 5400, 14400, 12.5)]
        assert days.totals(registry, 0, days.LAST, [A, B]) == [DayTotal(20717, 1, 3600, 14400, 12.5)]


def test_the_rows_that_came_with_schema_7_are_kept(path: Path) -> None:
    load(7, path)
    new, old = "20260903-100000-cccccccc", "20260902-100000-bbbbbbbb"
    with Registry(path) as registry:
        canary = rollout_table.open_canary(registry)
        assert rollout_table.tasks_before(registry, 1, {A: 9, B: 4}, keep=True) == {A: 7, B: 4}
        assert rollout_table.fallbacks(registry) == {
            B: Fallback(B, old, "20260901-100000-aaaaaaaa", 1790000165.0, "it hung")
        }
    assert canary == Canary(
        1, new, old, "room 12", (MacRange(A, B),), Proof(3600.0, 90, 1), 1790000160.0, 3, 1790000170.0, 1790003760.0
    )


def test_the_wakes_that_came_with_schema_10_are_kept(path: Path) -> None:
    load(10, path)
    with Registry(path) as registry:
        assert requests.all_of(registry) == [
            WakeRequest(1, A, "schedule night", 1790000180.0, 1, 1790000240.0, 1790000200.0, WakeResult.CAME),
            WakeRequest(2, B, "hand", 1790000190.0, 0, 1790000190.0),
        ]
        forgetting.forget(registry, [A.value])
        assert [each.mac for each in requests.all_of(registry)] == [B]


def test_the_holds_that_came_with_schema_10_are_kept(path: Path) -> None:
    load(10, path)
    with Registry(path) as registry:
        assert holds.all_of(registry) == {"room 12": Hold("room 12", False, 1790000170.0, 1790003770.0)}


def test_the_respites_that_came_with_schema_10_are_kept(path: Path) -> None:
    load(10, path)
    with Registry(path) as registry:
        assert respites.of(registry) == {A: 1790003760.0}
        forgetting.forget(registry, [A.value])
        assert respites.of(registry) == {}


def test_events_keep_their_numbers_and_no_later_one_gets_that_of_a_forgotten_one(path: Path) -> None:
    load(7, path)
    with closing(sqlite3.connect(path)) as sql:
        before = sql.execute("SELECT * FROM events ORDER BY id").fetchall()
    with Registry(path) as registry:
        assert registry.sql.execute("SELECT * FROM events ORDER BY id").fetchall() == before != []
        (last,) = registry.sql.execute("SELECT max(id) FROM events").fetchone()
        forgetting.forget(registry, [A.value, B.value])
        assert read_after(registry, 0, 10, ALL).events == ()
        registry.open_boot(BootRow(100, A, 1.8e9, "token", "release", ""))
        registry.append_events([(100, 1.8e9, "ScriptServed", f'{{"mac": "{A}"}}')])
        assert [each.number for each in read_after(registry, last, 10, ALL).events] == [last + 1]


def test_clients_that_never_got_past_offered_are_forgotten_with_schema_3(path: Path) -> None:
    """All but the latest; the numbers of their exports are free again, and those that no export can have are too."""
    load(2, path)
    with closing(sqlite3.connect(path)) as sql:
        for number in range(10, 3010):
            mac = 0x020000000000 + number
            sql.execute("INSERT INTO clients VALUES (?, ?, 1.0, 'secret')", (number, mac))
            sql.execute("INSERT INTO boots VALUES (?, ?, 1.0, 'token', 'r', '')", (number, mac))
            for kind in ("Discovered", "Offered"):
                sql.execute("INSERT INTO events (boot, at, kind, details) VALUES (?, 2.0, ?, '{}')", (number, kind))
            sql.execute("INSERT INTO adaptations VALUES (?, 'f', 'delayed', 0, '', 1.0)", (mac,))
        sql.execute("INSERT INTO clients VALUES (70000, 7, 1.0, 'secret')")
        sql.execute("INSERT INTO boots VALUES (70000, 7, 1.0, 'token', 'r', '')")
        sql.execute("INSERT INTO events (boot, at, kind, details) VALUES (70000, 2.0, 'ScriptServed', '{}')")
        sql.commit()
    with Registry(path) as registry:
        registry.check()
        assert [(client.mac.value, client.number) for client in registry.clients()] == [
            (7, 0),
            (A.value, 1),
            (B.value, 2),
        ]
        assert count_boots(registry) == BootCounts(clients=3, newcomers=1000)
        assert {row.id for row in newcomers_boots(registry, 9999)} == set(range(2010, 3010))
        assert len(table.read(registry)) == 1001
        assert registry.highest() == (2, 70000)


def test_a_migration_keeps_the_rows_and_a_copy_of_the_old_registry(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = len(schema.MIGRATIONS)
    load(newest, path)
    before = dump(path)
    # The way to change a table in SQLite beyond adding columns: with foreign keys on, the events would be lost.
    anew = ("CREATE TABLE new AS SELECT * FROM boots", "DROP TABLE boots", "ALTER TABLE new RENAME TO boots")
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, (COLUMN,), anew])
    Registry(path).close()
    with closing(sqlite3.connect(path)) as sql:
        assert schema.version(sql) == newest + 2
        assert sql.execute("SELECT DISTINCT note FROM clients").fetchall() == [("none",)]
        assert sql.execute("SELECT count(*) FROM events").fetchone() == (33,)
    kept = path.with_name(f"{path.name}.schema{newest}")
    assert dump(kept) == before
    assert kept.stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    with pytest.raises(UserError, match="newer") as error:
        Registry(path)
    assert str(kept) in error.value.hint


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(RELEASED[-1], path)
    before = dump(path)
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, (COLUMN, "DROP TABLE ignored", "nonsense")])
    with pytest.raises(UserError, match="nonsense"):
        Registry(path)
    assert dump(path) == before


def test_a_migration_that_is_killed_changes_nothing(path: Path) -> None:
    load(RELEASED[-1], path)
    before = dump(path)
    script = """
import os, signal, sys
from pathlib import Path
from appliance.registry import database, forgetting, schema
def dying():
    yield "DROP TABLE ignored"
    # More than SQLite's cache holds, so part of it is in the file before the commit.
    yield ("CREATE TABLE large AS WITH n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 40000)"
           " SELECT x, hex(randomblob(100)) FROM n")
    assert os.stat(sys.argv[1] + "-wal").st_size > 1_000_000
    os.kill(os.getpid(), signal.SIGKILL)
schema.MIGRATIONS.append(dying())
database.Registry(Path(sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert dump(path) == before
    with Registry(path) as registry:
        registry.check()


def test_if_two_start_at_once_one_migrates(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(RELEASED[-1], path)
    start, waiting, errors = threading.Event(), threading.Event(), []

    class Slow:
        def __iter__(self) -> Iterator[str]:
            yield COLUMN
            start.set()
            waiting.wait(10)

    def other() -> None:
        start.wait(10)
        threading.Timer(0.3, waiting.set).start()
        try:
            Registry(path).close()
        except UserError as error:
            errors.append(error)

    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, Slow()])
    thread = threading.Thread(target=other)
    thread.start()
    Registry(path).close()
    thread.join()
    assert errors == []
    with closing(sqlite3.connect(path)) as sql:
        assert schema.version(sql) == len(schema.MIGRATIONS)


def test_a_snapshot_is_of_one_moment_and_includes_the_log(path: Path, tmp_path: Path) -> None:
    with Registry(path) as server:
        server.allow([Entry(MacRange(A, A), "committed")])
        with server.transaction():
            server.set_server("half", "way")
            schema.snapshot(path, tmp_path / "copy")
        schema.snapshot(path, tmp_path / "later")
    with Registry(tmp_path / "copy") as copy:
        assert [entry.label for entry in copy.allowlist().entries] == ["committed"]
        assert copy.server() == {}
    with Registry(tmp_path / "later") as later:
        assert later.server() == {"half": "way"}
    assert (tmp_path / "later").stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.unfinished"))


def test_damage_is_found_wherever_it_is(path: Path) -> None:
    load(RELEASED[-1], path)
    with Registry(path) as registry, registry.transaction():
        registry.append_events((1, 1.0, "Reported", "{}" + " " * 100) for _ in range(2000))
    sound = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(sound) // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(UserError, match="is damaged") as error, Registry(path) as registry:
        registry.check()
    assert "netboot-appliance restore FILE" in error.value.hint
    with pytest.raises(UserError, match="is damaged"), Registry(path) as registry:
        for boot in registry.boots(A):
            registry.events(boot.id)
    path.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(UserError, match="is damaged"):
        schema.examine(path)


def test_a_large_registry_is_checked_without_the_tables_that_grow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would look through gigabytes before a server starts, and no handler could end that."""
    monkeypatch.setattr(database, "_CHECKED_A_SECOND", 100e3)
    load(RELEASED[-1], path)
    said: list[str] = []
    with Registry(path) as registry:
        registry.sql.set_trace_callback(said.append)
        registry.check(9.0)
        assert "PRAGMA integrity_check(3)" in said
        said.clear()
        registry.check(0.3)
    checked = {found[1] for line in said if (found := re.fullmatch(r"PRAGMA integrity_check\((.*)\)", line))}
    assert checked == tables(path) - {"sqlite_sequence"} - schema.GROWING
    assert tables(path) > schema.GROWING


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE wine (year INTEGER)")
        sql.execute("PRAGMA user_version = 1")
        sql.commit()
    with pytest.raises(UserError, match="its tables do not match schema 1"):
        schema.examine(path)


def test_a_range_of_an_older_schema_names_no_image(path: Path) -> None:
    load(8, path)
    with Registry(path) as registry:
        assert registry.allowlist().images == {"boinc": len(registry.allowlist())}
