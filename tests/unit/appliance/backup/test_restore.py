"""A backup is restored completely or not at all, and no old token is valid."""

import grp
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.backup import restore as module
from appliance.backup.archive import CONFIG, REGISTRY, create
from appliance.backup.restore import restore
from appliance.backup.to_do import remaining
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.heartbeats import days, orders, store
from appliance.heartbeats.days import Counted
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.tally import Figures, Mark
from appliance.images import rollout_table
from appliance.images.rollout import Ending, Fallback, Proof
from appliance.journal.history import history, latest
from appliance.journal.recorder import Journal
from appliance.journal.timeline import Stage
from appliance.registry.database import Registry
from appliance.registry.records import Client
from appliance.registry.server_lock import only_server
from appliance.schedules import holds, respites
from appliance.schedules.hold import Hold
from appliance.wake import requests
from appliance.wake.request import WakeResult
from services.ethernet import MacAddress, MacRange
from services.events import AddressSeen, Discovered, Reported, ScriptServed
from services.http.heartbeats import OrderVerb
from tests.fakes import fleet
from tests.unit.appliance.backup.test_archive import TEXT, members, pack
from tests.unit.ownership import OTHER_GROUP, OTHER_USER, ROOT, open_to_others

A, B, C = (MacAddress.parse(f"52:54:00:aa:bb:0{n}") for n in (1, 2, 3))
ADDRESSES = {A: IPv4Address("192.0.2.10"), B: IPv4Address("192.0.2.11")}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    open_to_others(tmp_path)
    path = tmp_path / "etc" / "config.toml"
    path.parent.mkdir()
    path.write_text(TEXT.format(data=tmp_path / "data"))
    return load(path)


def allow(config: Config, mac: MacAddress, label: str) -> None:
    with Registry(config.registry) as registry:
        registry.allow([Entry(MacRange(mac, mac), label)])


def boot(config: Config, mac: MacAddress, *, up: bool, at: float = 1e9) -> str:
    """Boot a PC to its script, or until its userspace is up; returns its token."""
    with Registry(config.registry) as registry:
        journal = Journal(registry, lambda: at, lambda event, boot: None)
        opened = journal.open_or_continue(Discovered(mac, 7, False, 1, 0), "r")
        journal.record(AddressSeen(mac, ADDRESSES[mac]))
        journal.record(ScriptServed(mac))
        if up:
            journal.record(Reported(mac, "reported"))
        journal.flush()
    return opened.token


def labels(config: Config) -> list[str]:
    with Registry(config.registry) as registry:
        return [entry.label for entry in registry.allowlist().entries]


def tokens(config: Config) -> dict[MacAddress, str]:
    with Registry(config.registry) as registry:
        return {boot.mac: boot.token for boot in latest(registry)}


def everything(directory: Path) -> dict[str, bytes]:
    """All files with their contents, except the server's lock and SQLite's index of its log."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix not in (".lock", ".gz"))
    return {str(path.relative_to(directory)): path.read_bytes() for path in files if not path.name.endswith("-shm")}


def test_the_backup_is_in_force_and_the_old_files_are_kept(config: Config, tmp_path: Path) -> None:
    allow(config, A, "backed up")
    with Registry(config.registry) as registry:
        registry.set_server("started", 1.0)
        client = Client(1, A, 1.0, "a password")
        registry.register(client)
    create(config, tmp_path / "b.tar.gz")
    before = config.path.read_text()
    allow(config, B, "since then")
    config.path.write_text("[broken")
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert labels(config) == ["backed up"]
    assert config.path.read_text() == before
    assert (done.entries, done.clients, done.configured, done.boots_kept, done.renumbered) == (1, 1, True, False, False)
    with Registry(config.registry) as registry:
        assert registry.clients() == [client]
        assert registry.server() == {}
    kept_registry, kept_config = done.kept
    assert kept_config.read_text() == "[broken"
    with Registry(kept_registry) as registry:
        assert [entry.label for entry in registry.allowlist().entries] == ["backed up", "since then"]
    assert config.path.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.rglob(".*"))


def put_into_images(config: Config, text: str) -> Path:
    path = config.path.parent / "images" / "boinc" / "files" / "etc" / "motd"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_is_put_into_images_is_restored_and_the_old_files_are_kept(config: Config, tmp_path: Path) -> None:
    allow(config, A, "backed up")
    motd = put_into_images(config, "then")
    create(config, tmp_path / "b.tar.gz")
    put_into_images(config, "now")
    (motd.parent / "issue").write_text("new")
    before = everything(tmp_path)
    restore(tmp_path / "b.tar.gz", config.path, dry_run=True)
    assert everything(tmp_path) == before
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert motd.read_text() == "then"
    assert os.listdir(motd.parent) == ["motd"]
    (kept,) = (path for path in done.kept if path.name.startswith("images."))
    assert (kept / "boinc" / "files" / "etc" / "motd").read_text() == "now"
    assert not list(tmp_path.rglob(".*"))


def test_what_is_put_into_images_is_restored_where_nothing_is(config: Config, tmp_path: Path) -> None:
    allow(config, A, "backed up")
    motd = put_into_images(config, "then")
    create(config, tmp_path / "b.tar.gz")
    shutil.rmtree(config.path.parent / "images")
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert motd.read_text() == "then"


def test_a_backup_without_them_leaves_them_alone(config: Config, tmp_path: Path) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    motd = put_into_images(config, "now")
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert motd.read_text() == "now"


def test_on_a_fresh_machine(config: Config, tmp_path: Path) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    for path in (config.registry.parent / "serve.lock", config.registry, config.path):
        path.unlink(missing_ok=True)
    for directory in (config.registry.parent, config.server.data, config.path.parent):
        directory.rmdir()
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert done.kept == []
    assert labels(config) == ["backed up"]
    assert config.registry.parent.stat().st_mode & 0o777 == 0o700


def test_the_files_belong_to_those_who_need_them(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    for path in (config.registry.parent, config.registry):
        os.chown(path, OTHER_USER, OTHER_GROUP)
    user, group = (0, 1) if ROOT else (OTHER_USER, OTHER_GROUP)
    monkeypatch.setattr(module, "SERVICE_GROUP", grp.getgrgid(group).gr_name)
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    for path in config.registry.parent.iterdir():
        assert (path.stat().st_uid, path.stat().st_gid) == (OTHER_USER, OTHER_GROUP), path
    assert config.registry.stat().st_mode & 0o777 == 0o600
    state = config.path.stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (user, group, 0o640)


@pytest.mark.parametrize("verb", ["serve", "control"])
def test_a_dry_run_and_a_running_process_change_nothing(config: Config, tmp_path: Path, verb: str) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    allow(config, B, "since then")
    before = everything(tmp_path)
    assert restore(tmp_path / "b.tar.gz", config.path, dry_run=True).entries == 1
    hold = (
        "import sys; from pathlib import Path; from appliance.registry.server_lock import only_server\n"
        f"with only_server(Path({str(config.registry)!r}), {verb!r}): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with pytest.raises(UserError, match=f"{verb} is running .process {server.pid}.; nothing was changed") as error:
            restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
        assert "systemctl stop netboot-appliance netboot-appliance-control" in error.value.hint
        seen = restore(tmp_path / "b.tar.gz", config.path, dry_run=True).server
        assert seen == (server.pid if verb == "serve" else None)
        server.kill()
    assert everything(tmp_path) == before


@pytest.mark.parametrize("step", ["_replace", "_write_config", "_replace_directory"])
@pytest.mark.parametrize("damaged", [False, True])
def test_an_error_half_way_leaves_everything_as_it_was(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, damaged: bool
) -> None:
    allow(config, A, "backed up")
    put_into_images(config, "then")
    create(config, tmp_path / "b.tar.gz")
    allow(config, B, "since then")
    put_into_images(config, "now")
    if damaged:
        config.registry.write_bytes(b"nonsense" * 1000)
        config.registry.with_name("registry.sqlite3-wal").write_bytes(b"log")
    before = everything(tmp_path)
    real = getattr(module, step)

    def fail(*arguments: object) -> object:
        if config.path in arguments or step != "_replace":
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(UserError, match="No space left on device; nothing was changed"):
        restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert everything(tmp_path) == before


def test_a_damaged_registry_is_replaced_and_its_log_is_not_applied_to_the_new_one(
    config: Config, tmp_path: Path
) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    with Registry(config.registry) as registry:
        registry.allow([Entry(MacRange(B, B), "in the log")])
        log = config.registry.with_name("registry.sqlite3-wal").read_bytes()
    assert b"in the log" in log
    config.registry.write_bytes(b"nonsense" * 1000)
    config.registry.with_name("registry.sqlite3-wal").write_bytes(log)
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert labels(config) == ["backed up"]
    assert [path.read_bytes() for path in done.kept[:2]] == [log, b"nonsense" * 1000]
    assert done.kept[0].name == f"{done.kept[1].name}-wal", "together they are still a database"


def test_a_token_that_was_valid_when_the_backup_was_made_no_longer_is(config: Config, tmp_path: Path) -> None:
    open_, spent = boot(config, A, up=False), boot(config, B, up=True)
    create(config, tmp_path / "b.tar.gz")
    config.registry.unlink()
    assert not restore(tmp_path / "b.tar.gz", config.path, dry_run=False).boots_kept
    assert tokens(config)[B] == spent, "it accepts reports of a running PC, and nothing else"
    assert tokens(config)[A] != open_
    assert len(tokens(config)[A]) >= 20


def test_running_pcs_keep_what_they_have(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    create(config, tmp_path / "b.tar.gz")
    now = {A: boot(config, A, up=True, at=2e9), B: boot(config, B, up=False, at=2e9)}
    with Registry(config.registry) as registry:
        clients = registry.clients()
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert (done.boots_kept, done.renumbered, done.clients) == (True, False, 2)
    assert tokens(config) == now
    with Registry(config.registry) as registry:
        assert registry.clients() == clients, "numbers, which NFS-Ganesha knows, and passwords, which the PCs have"
        assert {boot.mac: boot.known_addresses for boot in latest(registry)} == {
            mac: (address,) for mac, address in ADDRESSES.items()
        }
        assert len(registry.boots(A)) == 2
        assert registry.highest()[1] == 3, "no boot number is used twice"


def say(config: Config, at: float, mac: MacAddress = A) -> None:
    """A heartbeat, a respite, and three orders: one that ended, one that was sent, one that was not."""
    with Registry(config.registry) as registry:
        store.write(registry, [StoredHeartbeat(mac, 1, at, {"uptime": "9"}, "{}")])
        ended, sent = (orders.give(registry, [mac], OrderVerb.UPDATE, at)[0].id for _ in range(2))
        orders.record(registry, {ended: at, sent: at}, {ended: (at, "done")})
        orders.give(registry, [mac], OrderVerb.OFF, at)
        respites.give(registry, mac, at, at + 60)
        holds.put(registry, Hold("room 12", True, at, at + 60))


def said(config: Config) -> tuple[list[float], list[float], list[float]]:
    """When the heartbeats came, when the open orders were given, and until when owners have their PCs, and rooms are
    held."""
    with Registry(config.registry) as registry:
        given = [order.given for order in orders.all_of(registry) if order.ended is None]
        heard = [each.at for each in store.latest_of_all(registry).values()]
        held = [each.until or 0.0 for each in holds.all_of(registry).values()]
        return heard, given, [*respites.of(registry).values(), *held]


def test_heartbeats_and_orders_are_those_of_now(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    say(config, 1e9)
    create(config, tmp_path / "b.tar.gz")
    say(config, 2e9)
    now = said(config)
    assert restore(tmp_path / "b.tar.gz", config.path, dry_run=False).boots_kept
    assert said(config) == now


def test_what_became_of_old_boots_is_restored(config: Config, tmp_path: Path) -> None:
    """Their events are gone, and nothing else could tell."""
    config.registry.parent.mkdir(parents=True, exist_ok=True)
    with Registry(config.registry) as registry:
        fleet.fill(registry, 1, 5, with_events=2)
        before = history(registry, fleet.mac_of(0))
    create(config, tmp_path / "b.tar.gz")
    config.registry.unlink()
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    with Registry(config.registry) as registry:
        found = history(registry, fleet.mac_of(0))
    assert [boot.stage for boot in found] == [Stage.FAILED] * 4 + [Stage.COMPUTING]
    assert found[:3] == before[:3]


def count_day(config: Config, day: int, seconds: int, mac: MacAddress = A) -> None:
    """So many seconds more on this day, and as much credit known."""
    with Registry(config.registry) as registry, registry.transaction():
        counted = Counted(mac, {day: Figures(seconds, 0, 1.0)}, frozenset({day}), {"p": Mark(1, float(seconds))})
        days.write(registry, [counted])


def counted(config: Config) -> tuple[list[tuple[int, int]], int]:
    """Days and seconds, and how many PCs have credit that is known."""
    with Registry(config.registry) as registry:
        (known,) = registry.sql.execute("SELECT count(*) FROM credits").fetchone()
        found = days.totals(registry, 0, days.LAST)
        assert found == days.totals(registry, 0, days.LAST, [A, B])
        return [(each.day, each.powered) for each in found], known


def test_daily_figures_are_those_of_now_and_those_before_them(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    for day in (1, 2):
        count_day(config, day, 100)
    create(config, tmp_path / "b.tar.gz")
    with Registry(config.registry) as registry:
        registry.sql.execute("DELETE FROM days WHERE day = 1")
        registry.sql.execute("DELETE FROM day_totals WHERE day = 1")
        registry.sql.execute("UPDATE days SET powered = 150")
        registry.sql.execute("UPDATE day_totals SET powered = 150")
    count_day(config, 3, 70)
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert done.boots_kept
    assert counted(config) == ([(1, 100), (2, 150), (3, 70)], 1)
    for file in (config.registry, *done.kept):
        file.unlink()
    assert not restore(tmp_path / "b.tar.gz", config.path, dry_run=False).boots_kept
    assert counted(config) == ([(1, 100), (2, 100)], 0), "what was earned since is not of one day"


def test_orders_of_another_time_are_not_carried_out(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    say(config, 1e9)
    create(config, tmp_path / "b.tar.gz")
    with Registry(config.registry) as registry:
        since = orders.give(registry, [A], OrderVerb.SUSPEND, 2e9)[0]
    config.registry.unlink()
    assert not restore(tmp_path / "b.tar.gz", config.path, dry_run=False).boots_kept
    assert said(config) == ([], [], [])
    with Registry(config.registry) as registry:
        assert [order.result for order in orders.all_of(registry)] == ["done"]
        assert orders.give(registry, [A], OrderVerb.OFF, 3e9)[0].id > since.id, "the PC would not do it"


def test_nobody_is_woken_for_another_night(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    with Registry(config.registry) as registry:
        (ended,) = requests.ask(registry, [A], "hand", 1e9)
        requests.end(registry, {ended.id: WakeResult.CAME}, 1e9)
        requests.ask(registry, [A], "hand", 1e9)
    create(config, tmp_path / "b.tar.gz")
    with Registry(config.registry) as registry:
        now = requests.ask(registry, [A], "hand", 2e9)
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert done.boots_kept
    with Registry(config.registry) as registry:
        assert requests.open_requests(registry) == now, "those of now go on"
    for file in (config.registry, *done.kept):
        file.unlink()
    assert not restore(tmp_path / "b.tar.gz", config.path, dry_run=False).boots_kept
    with Registry(config.registry) as registry:
        assert [each.result for each in requests.all_of(registry)] == [WakeResult.CAME]


def test_a_canary_ends_with_a_restore_and_all_pcs_boot_the_active_release(config: Config, tmp_path: Path) -> None:
    with Registry(config.registry) as registry:
        with registry.edit():
            rollout_table.begin(registry, "new", "old", "A", [MacRange(A, A)], Proof(60.0), 1e9)
        rollout_table.go_back(registry, Fallback(B, "new", "old", 1e9, "it hung"))
    create(config, tmp_path / "b.tar.gz")
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    with Registry(config.registry) as registry:
        canary = rollout_table.latest(registry)
        assert rollout_table.fallbacks(registry) == {}
    assert canary
    assert (canary.verdict, canary.reason) == (Ending.CANCELLED, "a backup was restored")


def test_ranges_keep_their_images_and_those_that_are_not_here_are_named(config: Config, tmp_path: Path) -> None:
    with Registry(config.registry) as registry:
        registry.allow([Entry(MacRange(A, A), "desk", BootSettings(image="lab"))])
    create(config, tmp_path / "b.tar.gz")
    config.registry.unlink()
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    with Registry(config.registry) as registry:
        assert registry.allowlist().image_of(A) == "lab"
    (told,) = (task for task in remaining(done) if "the image lab" in task)
    assert told.startswith("the image lab has no active release, so its PCs boot nothing; make the directory ")


def test_a_changed_export_number_is_reported(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    create(config, tmp_path / "b.tar.gz")
    config.registry.unlink()
    boot(config, B, up=True)
    done = restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert done.renumbered
    with Registry(config.registry) as registry:
        assert {client.mac: client.number for client in registry.clients()} == {A: 1, B: 0}, "it gets another"


def test_the_configuration_stays_if_the_backup_has_none(config: Config, tmp_path: Path) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    found = members(tmp_path / "b.tar.gz")
    del found[CONFIG]
    done = restore(pack(tmp_path / "c.tar.gz", found), config.path, dry_run=False)
    assert not done.configured
    assert config.path.read_text() == TEXT.format(data=tmp_path / "data")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 99", "written by a newer netboot-appliance (schema 99"),
        ("PRAGMA user_version = 0", "its tables do not match schema 0"),
        ("CREATE TRIGGER t AFTER INSERT ON boots BEGIN DELETE FROM allowed; END", "its tables do not match"),
        ("ALTER TABLE clients ADD COLUMN x", "its tables do not match"),
        (
            "INSERT INTO events VALUES (99, 99, 1.0, 'Reported', '{}')",
            "a row of events refers to a row that is missing",
        ),
        ("UPDATE allowed SET first = -1", "cannot be restored"),
        ("UPDATE allowed SET first = 'x'", "cannot be restored"),
        ("UPDATE clients SET mac = -1", "cannot be restored"),
        ("UPDATE events SET details = '[]'", "cannot be restored"),
        ("UPDATE events SET details = '{'", "cannot be restored"),
        ("UPDATE events SET details = '{\"x\": 1}'", "cannot be restored"),
        ("UPDATE boots SET inherited = 'x'", "cannot be restored"),
        ("INSERT INTO heartbeats VALUES (-1, 1, 1.0, 'idle', '{}', '{}')", "cannot be restored"),
        ("INSERT INTO orders (mac, verb, given, result) VALUES (1, 'x', 1.0, '')", "cannot be restored"),
        (
            "INSERT INTO canaries VALUES (1, 'r', 'b', 'c', 1.0, 1, 0, 1.0, 0, 1.0, NULL, 1.0, 'won', '', NULL)",
            "restored",
        ),
        ("INSERT INTO wakes VALUES (1, 1, 'hand', 1.0, 0, 1.0, 2.0, 'no')", "cannot be restored"),
        ("INSERT INTO fallbacks VALUES (-1, 'r', 'b', 1.0, '')", "cannot be restored"),
    ],
)
def test_a_registry_that_was_tampered_with_is_refused(
    config: Config, tmp_path: Path, statement: str, words: str
) -> None:
    allow(config, A, "backed up")
    boot(config, A, up=False)
    create(config, tmp_path / "b.tar.gz")
    before = everything(tmp_path)
    found = members(tmp_path / "b.tar.gz")
    raw = tmp_path / "raw"
    raw.write_bytes(found[REGISTRY])
    with closing(sqlite3.connect(raw)) as sql:
        sql.execute(statement)
        sql.commit()
    file = pack(tmp_path / "c.tar.gz", found | {REGISTRY: raw.read_bytes()})
    raw.unlink()
    with pytest.raises(UserError) as error:
        restore(file, config.path, dry_run=False)
    assert words in error.value.message
    assert error.value.hint == "nothing was changed"
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (REGISTRY, b"nonsense" * 1000, "is damaged: file is not a database"),
        (REGISTRY, b"", "it is not the one that the manifest describes"),
        (CONFIG, b"[broken", "the configuration in"),
        (CONFIG, b"[server]\nnonsense = 1\n", "unknown key 'nonsense'"),
        (CONFIG, b"\xff", "is not UTF-8"),
    ],
)
def test_invalid_content_is_refused(config: Config, tmp_path: Path, name: str, content: bytes, words: str) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    before = everything(tmp_path)
    file = pack(tmp_path / "c.tar.gz", members(tmp_path / "b.tar.gz") | {name: content})
    with pytest.raises(UserError) as error:
        restore(file, config.path, dry_run=False)
    assert words in error.value.message
    assert "nothing was changed" in error.value.hint
    assert everything(tmp_path) == before


def access(config: Config) -> list[tuple[object, ...]]:
    """Who may use the page: the password, the tokens and the logins."""
    with Registry(config.registry) as registry:
        tables = (("p", "value FROM control"), ("t", "hash FROM tokens"), ("s", "hash FROM sessions"))
        return sorted((name, *row) for name, what in tables for row in registry.sql.execute(f"SELECT {what}"))


def set_access(config: Config, word: str) -> None:
    with Registry(config.registry) as registry, registry.transaction():
        for table in ("control", "tokens", "sessions"):
            registry.sql.execute(f"DELETE FROM {table}")
        registry.sql.execute("INSERT INTO control VALUES ('password', ?)", (word,))
        registry.sql.execute("INSERT INTO tokens VALUES ('grafana', ?, 1, 0.0)", (word,))
        registry.sql.execute("INSERT INTO sessions VALUES (?, 1e9, 2e9)", (word,))


def test_a_token_that_was_removed_and_an_old_login_do_not_come_back(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    set_access(config, "old")
    create(config, tmp_path / "b.tar.gz")
    set_access(config, "new")
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert access(config) == [("p", "new"), ("s", "new"), ("t", "new")]


def test_on_another_machine_nobody_is_logged_in(config: Config, tmp_path: Path) -> None:
    boot(config, A, up=True)
    set_access(config, "old")
    create(config, tmp_path / "b.tar.gz")
    config.registry.unlink()
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert access(config) == [("p", "old"), ("t", "old")]


def test_no_server_starts_meanwhile(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(config, A, "backed up")
    create(config, tmp_path / "b.tar.gz")
    imports = "from pathlib import Path; from appliance.registry.server_lock import only_server"
    start = f"{imports}; only_server(Path({str(config.registry)!r})).__enter__()"
    seen = SimpleNamespace(error="")

    def install(*_: object) -> None:
        done = subprocess.run([sys.executable, "-c", start], check=False, capture_output=True, text=True)
        seen.error = done.stderr

    monkeypatch.setattr(module, "_install", install)
    restore(tmp_path / "b.tar.gz", config.path, dry_run=False)
    assert f"serve is already running (process {os.getpid()})" in seen.error
    with only_server(config.registry):
        pass
