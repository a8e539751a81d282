"""The program's own database: SQLite in WAL mode, plain SQL; its file and its schema are those of `appliance.schema`.

Holds the allowlist, the clients, the boots with their events, and what was refused. The CLI and the running server open
it at the same time; `changed()` tells one what the other committed. A commit is on the disk before it returns.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import schema
from appliance.allowlist import Allowlist, BootSettings, Entry
from appliance.ownership import acting_as_owner
from appliance.takeover import take_over
from services.ethernet import MacAddress, MacRange

# A machine's history is for people; beyond this many boots nobody reads it, and the file stays small for years.
_BOOTS_KEPT = 20
_IGNORED_KEPT = 1000
_INSERT_ALLOWED = "INSERT INTO allowed (first, last, label, added, root, entry, timeout) VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Client:
    """A MAC that has booted at least once. `number` is small, unique and never reused for another MAC."""

    number: int
    mac: MacAddress
    first_seen: float
    gui_rpc_password: str


@dataclass(frozen=True, slots=True)
class BootRow:
    """What was decided when a boot was opened; everything later is in its events."""

    id: int
    mac: MacAddress
    started: float
    token: str
    release: str
    inherited: str


@dataclass(frozen=True, slots=True)
class IgnoredRow:
    """Refusals of one client by one service for one reason, counted."""

    client: str
    service: str
    reason: str
    first_at: float
    last_at: float
    count: int


class Registry:
    """One open connection. Not for sharing between threads."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Open or create the database; raises UserError when that is not possible.

        `durable`: a commit is on the disk before it returns, as a person's edit must be. The server does without: what
        a power cut takes from it are the last moments of boots, which the same power cut ended.
        """
        self._path = path
        # For the modules that keep tables of their own in it (leases.py, adaptations.py).
        self.sql: sqlite3.Connection
        try:
            take_over(path)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with acting_as_owner(path.parent):
                # The database holds passwords and tokens: nobody else may read it, from its first byte on.
                path.touch(mode=0o600)
                self.sql = sqlite3.connect(path, timeout=10.0, isolation_level=None)
                try:
                    self.sql.execute("PRAGMA journal_mode = WAL")
                    self.sql.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                    # SQLite opens all its files, and makes those it lacks, with the first statements.
                    schema.migrate(self.sql, path)
                    self.sql.execute("PRAGMA foreign_keys = ON")
                except BaseException:
                    self.sql.close()
                    raise
        except (OSError, sqlite3.Error) as error:
            raise schema.explain(path, error) from error

    def close(self) -> None:
        self.sql.close()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error) and schema.is_of_the_disk(error):
            raise schema.explain(self._path, error) from error

    def check(self) -> None:
        """Read all of it; raises UserError if it is damaged. Takes 0.1 s for 25 MB, the history of 300 PCs."""
        schema.check(self.sql, self._path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's writes, or none of them."""
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")

    def changed(self) -> int:
        """A number that differs once another connection has committed. Costs microseconds."""
        version: int = self.sql.execute("PRAGMA data_version").fetchone()[0]
        return version

    # The allowlist

    def allowlist(self) -> Allowlist:
        rows = self.sql.execute("SELECT first, last, label, root, entry, timeout FROM allowed")
        return Allowlist.of(
            Entry(MacRange(MacAddress(a), MacAddress(b)), label, BootSettings(*settings))
            for a, b, label, *settings in rows
        )

    def allow(self, entries: Iterable[Entry]) -> None:
        """Add the entries; one whose range is there already gets the new label and settings."""
        now = time.time()
        with self.transaction():
            self.sql.executemany(
                f"{_INSERT_ALLOWED} ON CONFLICT DO UPDATE SET label = excluded.label, root = excluded.root,"
                " entry = excluded.entry, timeout = excluded.timeout",
                [_allowed_row(e, now) for e in entries],
            )

    def disallow(self, span: MacRange) -> bool:
        """Remove the entry of exactly this range; False when there is none."""
        with self.transaction():
            done = self.sql.execute(
                "DELETE FROM allowed WHERE first = ? AND last = ?", (span.first.value, span.last.value)
            )
        return done.rowcount > 0

    def replace_allowlist(self, before: Allowlist, after: Iterable[Entry]) -> bool:
        """Put `after` in the place of `before`; False, and nothing done, when `before` is no longer what is there."""
        now = time.time()
        with self.transaction():
            if self.allowlist().entries != before.entries:
                return False
            self.sql.execute("DELETE FROM allowed")
            self.sql.executemany(_INSERT_ALLOWED, [_allowed_row(e, now) for e in after])
        return True

    # Clients and boots

    def client(self, mac: MacAddress) -> Client | None:
        row = self.sql.execute("SELECT * FROM clients WHERE mac = ?", (mac.value,)).fetchone()
        return _client(row) if row else None

    def clients(self) -> list[Client]:
        return [_client(row) for row in self.sql.execute("SELECT * FROM clients ORDER BY mac")]

    def register(self, mac: MacAddress, now: float) -> Client:
        """The client of this MAC, with a number and a GUI RPC password of its own from its first boot on."""
        self.sql.execute(
            "INSERT INTO clients (mac, first_seen, gui_rpc_password) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (mac.value, now, secrets.token_urlsafe(18)),
        )
        found = self.client(mac)
        if found is None:
            raise sqlite3.DatabaseError(f"the client {mac} vanished as it was registered")
        return found

    def open_boot(self, mac: MacAddress, now: float, token: str, release: str, inherited: str) -> BootRow:
        """Record a new boot, and forget the client's oldest ones."""
        with self.transaction():
            cursor = self.sql.execute(
                "INSERT INTO boots (mac, started, token, release, inherited) VALUES (?, ?, ?, ?, ?)",
                (mac.value, now, token, release, inherited),
            )
            self.sql.execute(
                "DELETE FROM boots WHERE mac = ?1"
                " AND id NOT IN (SELECT id FROM boots WHERE mac = ?1 ORDER BY id DESC LIMIT ?2)",
                (mac.value, _BOOTS_KEPT),
            )
        return BootRow(cursor.lastrowid or 0, mac, now, token, release, inherited)

    def boots(self, mac: MacAddress) -> list[BootRow]:
        """The client's boots that are still known, oldest first."""
        rows = self.sql.execute("SELECT * FROM boots WHERE mac = ? ORDER BY id", (mac.value,))
        return [_boot_row(row) for row in rows]

    def latest_boots(self) -> list[BootRow]:
        """Every client's latest boot, oldest first."""
        rows = self.sql.execute("SELECT * FROM boots WHERE id IN (SELECT max(id) FROM boots GROUP BY mac) ORDER BY id")
        return [_boot_row(row) for row in rows]

    def events(self, boot: int) -> list[tuple[float, str, str]]:
        """The boot's events as (at, kind, details), in order."""
        rows = self.sql.execute("SELECT at, kind, details FROM events WHERE boot = ? ORDER BY id", (boot,))
        return rows.fetchall()

    def append_events(self, rows: Iterable[tuple[int, float, str, str]]) -> None:
        """Append (boot, at, kind, details) rows; those of a boot that was forgotten meanwhile are dropped."""
        self.sql.executemany(
            "INSERT INTO events (boot, at, kind, details)"
            " SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM boots WHERE id = ?1)",
            rows,
        )

    # What was refused, and the server's own state

    def record_ignored(self, rows: Iterable[IgnoredRow]) -> None:
        self.sql.executemany(
            "INSERT INTO ignored VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET last_at = excluded.last_at, count = count + excluded.count",
            [(r.client, r.service, r.reason, r.first_at, r.last_at, r.count) for r in rows],
        )
        self.sql.execute(
            "DELETE FROM ignored WHERE last_at < (SELECT last_at FROM ignored ORDER BY last_at DESC LIMIT 1 OFFSET ?)",
            (_IGNORED_KEPT,),
        )

    def ignored(self) -> list[IgnoredRow]:
        """What was refused, the latest first."""
        rows = self.sql.execute("SELECT * FROM ignored ORDER BY last_at DESC, client")
        return [IgnoredRow(*row) for row in rows]

    def set_server(self, key: str, value: Any) -> None:
        """Note a fact about the running server, as JSON."""
        self.sql.execute("INSERT OR REPLACE INTO server VALUES (?, ?)", (key, json.dumps(value)))

    def server(self) -> dict[str, Any]:
        return {key: json.loads(value) for key, value in self.sql.execute("SELECT key, value FROM server")}

    # What a restored registry takes over, and what it must not

    def void_token(self, boot: int) -> None:
        """Give a boot a token that nobody has."""
        self.sql.execute("UPDATE boots SET token = ? WHERE id = ?", (secrets.token_urlsafe(18), boot))

    def forget_server(self) -> None:
        """Forget the facts about the running server: it was another one."""
        self.sql.execute("DELETE FROM server")

    def go_on_from(self, other: Path) -> bool:
        """Take over the boots and leases, and the clients that are missing here, from another registry of this schema.

        A client keeps its number unless another one has it here. False, and nothing done to the boots, if `other` has
        none.
        """
        self.sql.execute("ATTACH ? AS other", (str(other),))
        try:
            with self.transaction():
                # A conflict is a client that is known here, or a number that is taken: the latter get another one.
                for columns in ("number, mac, first_seen, gui_rpc_password", "mac, first_seen, gui_rpc_password"):
                    self.sql.execute(
                        f"INSERT OR IGNORE INTO clients ({columns})"  # noqa: S608
                        f" SELECT {columns} FROM other.clients ORDER BY number"
                    )
                if self.sql.execute("SELECT 1 FROM other.boots LIMIT 1").fetchone() is None:
                    return False
                self.sql.execute("DELETE FROM boots")
                self.sql.execute("INSERT INTO boots SELECT * FROM other.boots")
                self.sql.execute("INSERT INTO events SELECT * FROM other.events")
                # What was leased since the backup is in use.
                self.sql.execute("DELETE FROM leases")
                self.sql.execute("INSERT INTO leases SELECT * FROM other.leases")
            return True
        finally:
            self.sql.execute("DETACH other")


def _allowed_row(entry: Entry, now: float) -> tuple[Any, ...]:
    settings = entry.settings
    first, last = entry.range.first.value, entry.range.last.value
    return first, last, entry.label, now, settings.root, settings.entry, settings.timeout


def _client(row: tuple[Any, ...]) -> Client:
    number, mac, first_seen, password = row
    return Client(number, MacAddress(mac), first_seen, password)


def _boot_row(row: tuple[Any, ...]) -> BootRow:
    ident, mac, started, token, release, inherited = row
    return BootRow(ident, MacAddress(mac), started, token, release, inherited)
