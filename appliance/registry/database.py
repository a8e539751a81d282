"""The program's own database: SQLite in WAL mode, plain SQL. Its file and tables are in `appliance.registry.schema`.

Holds the allowlist, the clients, the boots with their events, and what was refused. The CLI and the running server open
it at the same time; `changed()` tells the server whether somebody has committed an `edit()`.
"""

import json
import math
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from appliance.allowlist import Allowlist, Entry
from appliance.errors import UserError
from appliance.registry import allowed_rows, records, schema
from appliance.registry.allowed_rows import KeptAllowlist
from appliance.registry.file_owner import acting_as_owner
from appliance.registry.move_from_0_1 import move_old_registry
from appliance.registry.records import BootRow, BootState, Client, IgnoredRow
from appliance.registry.rows import moment, text, whole
from appliance.registry.sql_errors import FAILED, damaged, explain, is_interrupted, is_of_the_disk, reading
from services.ethernet import MacAddress, MacRange

_CHECKED_A_SECOND = 150e6
"""Bytes of the file; SQLite looks at a table without a pause."""

LOCK_WAIT = 10.0
_STEPS = 20_000
"""Of SQLite's machine between two looks at the clock: some milliseconds."""

_BEFORE_ALL = -(1 << 62)
_AFTER_ALL = 1 << 62
_SELECT_CLIENTS = "SELECT number, mac, first_seen, gui_rpc_password FROM clients"
_SELECT_BOOTS = "SELECT id, mac, started, token, release, inherited, state FROM boots"


class Registry:
    """One open connection. Must not be shared between threads."""

    def __init__(
        self, path: Path, *, durable: bool = True, kept: KeptAllowlist | None = None, wait: float = LOCK_WAIT
    ) -> None:
        """Open or create the database; raises UserError if that fails.

        `durable`: a commit is on the disk before it returns, as a person's edit must be. The server does not need this:
        a power cut may lose the last moments of boots, but it ends those boots too. `kept`: what connections share that
        are opened again and again. `wait`: seconds for which each statement, and opening, waits for a program that has
        locked the database.
        """
        self.path = path
        self._kept = kept or KeptAllowlist()
        self._facts: dict[str, str] = {}
        # For the modules that keep their own tables in it: dhcp/leases.py, firmware/table.py, boot/next_boot.py,
        # heartbeats/store.py, heartbeats/orders.py, images/rollout_table.py.
        self.sql: sqlite3.Connection
        try:
            move_old_registry(path)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with acting_as_owner(path.parent):
                # The database holds passwords and tokens: nobody else may ever read it, not even while it is empty.
                path.touch(mode=0o600)
                self._file = _identity(path)
                self.sql = sqlite3.connect(path, timeout=wait, isolation_level=None)
                try:
                    self.sql.execute("PRAGMA journal_mode = WAL")
                    self.sql.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                    # SQLite opens its files, and creates missing ones, with the first statements.
                    schema.migrate(self.sql, path)
                    self.sql.execute("PRAGMA foreign_keys = ON")
                    self._known = self.edits()
                except BaseException:
                    self.sql.close()
                    raise
        except (OSError, *FAILED) as error:
            raise explain(path, error) from error

    def close(self) -> None:
        self.sql.close()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            if isinstance(error, FAILED):
                schema.check_shape(self.sql, self.path)
                if isinstance(error, sqlite3.Error) and is_of_the_disk(error):
                    raise explain(self.path, error) from error
        finally:
            self.close()

    def check(self, seconds: float = math.inf) -> None:
        """Read the whole file, or as much as can be read in `seconds`; raises UserError if it is damaged. Of a file
        that is too large, the tables that grow are left out first: damage there is found when they are read."""
        deadline = time.monotonic() + seconds
        whole = self.path.stat().st_size <= seconds * _CHECKED_A_SECOND
        self.sql.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            schema.check(self.sql, self.path, whole=whole)
        except UserError as error:
            if not is_interrupted(error.__cause__):
                raise
        finally:
            self.sql.set_progress_handler(None, 0)

    def reading(self, table: str) -> AbstractContextManager[None]:
        """Rows of a table become values in this block; raises UserError if they cannot."""
        return reading(self.path, table)

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block's writes, or none of them."""
        return schema.transaction(self.sql)

    @contextmanager
    def edit(self) -> Iterator[None]:
        """A transaction that changes what a running server has to read anew: the allowlist, what was learned of
        firmware, orders. Its heartbeats, which a thread of its own writes, are none."""
        with self.transaction():
            yield
            self.sql.execute("UPDATE edits SET count = count + 1")

    def wait_for_locks(self, seconds: float) -> None:
        """Set how long a write waits for another process that is writing; `wait` seconds before this is called."""
        self.sql.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")

    def in_place(self) -> bool:
        """Whether `path` is still the file that was opened."""
        try:
            return _identity(self.path) == self._file
        except (OSError, UserError):
            return False

    def changed(self) -> bool:
        """Whether somebody has committed an edit since the allowlist was last read. Costs microseconds."""
        return self.edits() != self._known

    def data_version(self) -> int:
        """A number that is another one after each commit of another connection. Costs microseconds."""
        found: int = self.sql.execute("PRAGMA data_version").fetchone()[0]
        return found

    def edits(self) -> int:
        """How many edits there were, by anybody. Costs microseconds."""
        count: int = self.sql.execute("SELECT ifnull(max(count), 0) FROM edits").fetchone()[0]
        return count

    # The allowlist

    def allowlist(self) -> Allowlist:
        # The count comes first: an edit after it is in these rows, or counts as a change.
        edits = self.edits()
        own = self.sql.in_transaction  # what it has changed by now is no edit yet
        found = None if own else self._kept.of(self._file, edits)
        if found is None:
            with self.reading("allowed"):
                rows = self.sql.execute(f"{allowed_rows.SELECT} ORDER BY first, last")
                found = Allowlist.read(allowed_rows.decode(rows))
            if not own:
                self._kept.keep(self._file, edits, found)
        self._known = edits
        return found

    def allow(self, entries: Iterable[Entry]) -> int:
        """Add the entries. Where the range exists, it gets the label and the settings that its entry has, and keeps the
        others. Returns how many were added."""
        now = time.time()
        with self.edit():
            before = self._count_allowed()
            self.sql.executemany(
                f"{allowed_rows.INSERT} {allowed_rows.MERGE}",
                (allowed_rows.encode(e, now) for e in entries),
            )
            return self._count_allowed() - before

    def change_allowed(self, span: MacRange, change: Callable[[Entry], Entry]) -> tuple[Entry, Entry] | None:
        """Change the entry of exactly this range; returns what it was and what it is, or None if there is none. What
        `change` raises changes nothing."""
        with self.edit():
            with self.reading("allowed"):
                rows = self.sql.execute(
                    f"{allowed_rows.SELECT} WHERE first = ? AND last = ?", (span.first.value, span.last.value)
                )
                found = [Entry(span, label, settings) for _, _, label, settings in allowed_rows.decode(rows)]
            if not found:
                return None
            changed = change(found[0])
            values = (*allowed_rows.changeable(changed), span.first.value, span.last.value)
            self.sql.execute(f"{allowed_rows.UPDATE} WHERE first = ? AND last = ?", values)
            return found[0], changed

    def disallow(self, span: MacRange) -> bool:
        """Remove the entry of exactly this range; False if there is none."""
        with self.edit():
            done = self.sql.execute(
                "DELETE FROM allowed WHERE first = ? AND last = ?", (span.first.value, span.last.value)
            )
        return done.rowcount > 0

    def replace_allowlist(self, before: Allowlist, after: Iterable[Entry]) -> bool:
        """Replace `before` by `after`; False, and nothing done, if the allowlist is no longer `before`."""
        now = time.time()
        with self.edit():
            if self.allowlist() != before:
                return False
            self.sql.execute("DELETE FROM allowed")
            self.sql.executemany(allowed_rows.INSERT, (allowed_rows.encode(e, now) for e in after))
        return True

    def _count_allowed(self) -> int:
        count: int = self.sql.execute("SELECT count(*) FROM allowed").fetchone()[0]
        return count

    # Clients and boots

    def client(self, mac: MacAddress) -> Client | None:
        with self.reading("clients"):
            row = self.sql.execute(f"{_SELECT_CLIENTS} WHERE mac = ?", (mac.value,)).fetchone()
            return records.client(row) if row else None

    def clients(self, after: MacAddress | None = None, most: int = -1) -> list[Client]:
        """All clients in the order of their MAC addresses, or `most` of those after `after`."""
        first = after.value if after is not None else _BEFORE_ALL
        with self.reading("clients"):
            rows = self.sql.execute(f"{_SELECT_CLIENTS} WHERE mac > ? ORDER BY mac LIMIT ?", (first, most))
            return [records.client(row) for row in rows]

    def clients_of(self, numbers: Sequence[int]) -> list[Client]:
        """The clients with these MAC addresses, given as numbers, in their order."""
        marks = ", ".join("?" * len(numbers))
        with self.reading("clients"):
            rows = self.sql.execute(f"{_SELECT_CLIENTS} WHERE mac IN ({marks}) ORDER BY mac", tuple(numbers))
            return [records.client(row) for row in rows]

    def known(self) -> set[int]:
        """The MAC addresses of all clients, as numbers: a hundred thousand are read in 30 ms."""
        with self.reading("clients"):
            return {whole(value) for (value,) in self.sql.execute("SELECT mac FROM clients")}

    def clients_heard_last(self, most: int) -> list[Client]:
        """`most` clients, of those heard from last."""
        found = "(SELECT mac FROM boots WHERE latest ORDER BY last_at DESC LIMIT ?)"
        with self.reading("clients"):
            rows = self.sql.execute(f"{_SELECT_CLIENTS} WHERE mac IN {found}", (most,))
            return [records.client(row) for row in rows]

    def clients_away_longest(self, most: int) -> list[Client]:
        """`most` clients with numbers that have not been heard for longest."""
        with self.reading("clients"):
            rows = self.sql.execute(
                # CROSS JOIN: in the order of the index, so that the search ends early.
                "SELECT number, mac, first_seen, gui_rpc_password FROM boots CROSS JOIN clients USING (mac)"
                " WHERE latest AND number IS NOT NULL ORDER BY last_at LIMIT ?",
                (most,),
            )
            return [records.client(row) for row in rows]

    def take_numbers(self, macs: Iterable[MacAddress]) -> None:
        """Leave these clients without numbers."""
        self.sql.executemany("UPDATE clients SET number = NULL WHERE mac = ?", [(mac.value,) for mac in macs])

    def highest(self) -> tuple[int, int]:
        """The highest numbers given to a client, and ever to a boot; 0 if none was."""
        client = self.sql.execute("SELECT ifnull(max(number), 0) FROM clients").fetchone()[0]
        boot = self.sql.execute("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'boots'").fetchone()[0]
        return client, boot

    def register(self, *clients: Client) -> None:
        """Add clients; those already known get the number, and stay unchanged otherwise."""
        self.sql.executemany(
            "INSERT INTO clients (number, mac, first_seen, gui_rpc_password) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (mac) DO UPDATE SET number = excluded.number",
            [(each.number or None, each.mac.value, each.first_seen, each.gui_rpc_password) for each in clients],
        )

    def open_boot(self, *rows: BootRow) -> None:
        """Add new boots. Old ones are deleted elsewhere (retention.py)."""
        added = [
            (row.id, row.mac.value, row.started, row.token, row.release, row.inherited, row.started) for row in rows
        ]
        self.sql.executemany("UPDATE boots SET latest = 0 WHERE mac = ? AND latest", [(mac,) for _, mac, *_ in added])
        self.sql.executemany(
            "INSERT INTO boots (id, mac, started, token, release, inherited, latest, last_at)"
            " VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
            added,
        )

    def renew_tokens(self, tokens: Mapping[int, str]) -> None:
        """Give boots, by their number, new tokens."""
        self.sql.executemany("UPDATE boots SET token = ? WHERE id = ?", [(new, boot) for boot, new in tokens.items()])

    def save_states(self, states: Iterable[BootState]) -> None:
        """Store what events have made of boots; those deleted meanwhile are left out."""
        self.sql.executemany(
            "UPDATE boots SET last_at = ?, stage = ?, under_way = ?, state = ? WHERE id = ?",
            [(each.last_at, each.stage, each.under_way, each.state, each.id) for each in states],
        )

    def drop_boots(self, numbers: Iterable[int]) -> None:
        """Delete boots with their events."""
        self.sql.executemany("DELETE FROM boots WHERE id = ?", [(number,) for number in numbers])

    def boots(self, mac: MacAddress, most: int = -1, before: int | None = None) -> list[BootRow]:
        """The client's boots that are kept, oldest first, or the last `most`; `before`: of those before this boot."""
        first = _AFTER_ALL if before is None else before
        return self.boot_rows("WHERE mac = ? AND id < ? ORDER BY id DESC LIMIT ?", (mac.value, first, most))[::-1]

    def count_boots(self, mac: MacAddress) -> int:
        """How many boots of the client are kept."""
        count: int = self.sql.execute("SELECT count(*) FROM boots WHERE mac = ?", (mac.value,)).fetchone()[0]
        return count

    def boot_rows(self, condition: str, values: tuple[Any, ...]) -> list[BootRow]:
        """Boots, by what follows SELECT ... FROM boots (appliance/registry/overview.py)."""
        with self.reading("boots"):
            return [records.boot_row(row) for row in self.sql.execute(f"{_SELECT_BOOTS} {condition}", values)]

    def latest_boot(self, mac: MacAddress) -> BootRow | None:
        return next(iter(self.boot_rows("WHERE mac = ? ORDER BY id DESC LIMIT 1", (mac.value,))), None)

    def latest_boots(self, most: int = -1) -> list[BootRow]:
        """Every client's latest boot, or `most` of them: those heard from last. Oldest first."""
        chosen = "SELECT id FROM boots WHERE latest ORDER BY last_at DESC LIMIT ?"
        return self.boot_rows(f"WHERE id IN ({chosen}) ORDER BY id", (most,))

    def events(self, boot: int) -> list[tuple[float, str, str]]:
        """The boot's events as (at, kind, details), in order."""
        with self.reading("events"):
            rows = self.sql.execute("SELECT at, kind, details FROM events WHERE boot = ? ORDER BY id", (boot,))
            return [(moment(at), text(kind), text(details)) for at, kind, details in rows]

    def append_events(self, rows: Iterable[tuple[int, float, str, str]]) -> None:
        """Append (boot, at, kind, details) rows; those of a boot that was deleted meanwhile are dropped."""
        self.sql.executemany(
            "INSERT INTO events (boot, at, kind, details)"
            " SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM boots WHERE id = ?1)",
            rows,
        )

    # What was refused, and the server's own state

    def record_ignored(self, rows: Iterable[IgnoredRow], gone: Iterable[IgnoredRow] = ()) -> None:
        """Write rows, each with all that it counts, and delete others."""
        self.sql.executemany(
            "DELETE FROM ignored WHERE sender = ? AND client = ? AND service = ? AND reason = ?",
            [(r.sender, r.client, r.service, r.reason) for r in gone],
        )
        self.sql.executemany(
            "INSERT OR REPLACE INTO ignored (client, service, reason, first_at, last_at, count, sender, sender_mac)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(r.client, r.service, r.reason, r.first_at, r.last_at, r.count, r.sender, r.sender_mac) for r in rows],
        )

    def ignored(self) -> list[IgnoredRow]:
        """What was refused, latest first."""
        with self.reading("ignored"):
            rows = self.sql.execute(
                "SELECT client, service, reason, first_at, last_at, count, sender, sender_mac FROM ignored"
                " ORDER BY last_at DESC, client"
            )
            return [records.ignored_row(row) for row in rows]

    def set_server(self, key: str, value: Any) -> None:
        """Store a fact about the running server, as JSON. If that fails, it is kept for `flush_server`."""
        self._facts[key] = json.dumps(value)
        self.flush_server()

    def flush_server(self) -> None:
        """Write the facts that could not be written before."""
        if self._facts:
            self.sql.executemany("INSERT OR REPLACE INTO server VALUES (?, ?)", list(self._facts.items()))
            self._facts.clear()

    def server(self) -> dict[str, Any]:
        with self.reading("server"):
            return {key: json.loads(value) for key, value in self.sql.execute("SELECT key, value FROM server")}


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe would wait for ever.
        raise damaged(path, "it is not a regular file")
    return status.st_dev, status.st_ino
