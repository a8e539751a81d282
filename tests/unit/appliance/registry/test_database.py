"""The registry: what survives, what another connection sees, how much history is kept."""

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, Client, IgnoredRow
from services.ethernet import MacAddress, MacRange

MAC = MacAddress.parse("52:54:00:aa:bb:cc")


def entry(text: str, label: str = "") -> Entry:
    return Entry(MacRange.parse(text), label)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry.sqlite3"


def test_the_allowlist_survives_a_new_process(path: Path) -> None:
    with Registry(path) as registry:
        assert registry.allow([entry("52:54:00:*", "room"), entry("00:11:22:33:44:55")]) == 2
        assert registry.allow([entry("52:54:00:*", "room 12")]) == 0
    with Registry(path) as registry:
        assert registry.allowlist().entries == (entry("00:11:22:33:44:55"), entry("52:54:00:*", "room 12"))
        assert registry.disallow(MacRange.parse("52:54:00:00:00:00/24"))
        assert not registry.disallow(MacRange.parse("52:54:00:00:00:00/24"))


def test_the_server_sees_that_the_cli_committed(path: Path) -> None:
    with Registry(path) as server, Registry(path) as cli:
        server.allowlist()
        assert not server.changed()
        cli.allow([entry("52:54:00:*")])
        assert server.changed()
        assert MAC in server.allowlist()


def test_what_no_server_has_to_read_is_no_edit(path: Path) -> None:
    """The server's own heartbeats come over another connection each second."""
    with Registry(path) as server, Registry(path) as other:
        server.allowlist()
        with other.transaction():
            other.set_server("x", 1)
        assert not server.changed()
        with other.edit():
            other.set_server("x", 2)
        assert server.changed()


def test_an_edit_does_not_undo_another_one_made_meanwhile(path: Path) -> None:
    with Registry(path) as mine, Registry(path) as other:
        before = mine.allowlist()
        other.allow([entry("52:54:00:*")])
        assert not mine.replace_allowlist(before, [entry("00:11:22:33:44:55")])
        assert mine.allowlist().entries == (entry("52:54:00:*"),)
        assert mine.replace_allowlist(mine.allowlist(), [entry("00:11:22:33:44:55")])
        assert other.allowlist().entries == (entry("00:11:22:33:44:55"),)


def test_a_failed_transaction_changes_nothing(path: Path) -> None:
    with Registry(path) as registry:
        with pytest.raises(RuntimeError), registry.transaction():
            registry.set_server("x", 1)
            raise RuntimeError
        assert registry.server() == {}


def test_nobody_else_can_read_the_passwords(path: Path) -> None:
    with Registry(path) as registry:
        registry.register(Client(1, MAC, 1.0, "a password"))
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_client_keeps_its_number_and_password(path: Path) -> None:
    with Registry(path) as registry:
        first, other = Client(1, MAC, 1.0, "a password"), Client(2, MacAddress(1), 3.0, "another")
        for client in (first, replace(first, first_seen=2.0, gui_rpc_password="a new one"), other):
            registry.register(client)
        assert registry.client(MAC) == first
        assert registry.clients() == [other, first]
        assert registry.highest() == (2, 0)


def test_boots_in_pages_and_events_of_boots_that_are_gone(path: Path) -> None:
    with Registry(path) as registry:
        rows = [BootRow(n + 1, MAC, float(n), f"t{n}", "r", "") for n in range(25)]
        for row in rows:
            registry.open_boot(row)
        assert registry.highest() == (0, 25)
        assert registry.boots(MAC) == rows
        assert registry.boots(MAC, 10) == rows[15:]
        assert registry.boots(MAC, 10, rows[15].id) == rows[5:15]
        assert registry.boots(MAC, 10, rows[5].id) == rows[:5]
        assert (registry.count_boots(MAC), registry.count_boots(MacAddress(1))) == (25, 0)
        assert registry.latest_boots() == [rows[-1]]
        registry.drop_boots([rows[0].id])
        registry.append_events([(rows[-1].id, 1.0, "ScriptServed", "{}"), (rows[0].id, 1.0, "ScriptServed", "{}")])
        assert registry.events(rows[-1].id) == [(1.0, "ScriptServed", "{}")]
        assert registry.events(rows[0].id) == []


def test_refusals_are_written_and_deleted(path: Path) -> None:
    with Registry(path) as registry:
        row = IgnoredRow("52:54:00:00:00:01", "dhcp", "no", 1.0, 1.0, 3)
        registry.record_ignored([row])
        more = IgnoredRow("52:54:00:00:00:01", "dhcp", "no", 1.0, 9.0, 5)
        other = replace(more, sender="10.77.0.66", sender_mac="02:66:00:00:00:01")
        registry.record_ignored([more, other])
        assert registry.ignored() == [more, other]
        registry.record_ignored([], [more])
        assert registry.ignored() == [other]


def test_a_registry_of_a_newer_version_is_left_alone(path: Path) -> None:
    Registry(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(UserError, match="newer"):
        Registry(path)


def test_a_damaged_registry_is_a_clear_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(UserError, match="is damaged: file is not a database"):
        Registry(path)
