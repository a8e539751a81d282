"""The registry's file: its tables, the migrations to them, consistent copies, and checks for damage.

A migration that has been released is never edited: tests/unit/appliance/registry/schemas/ holds a registry of every
schema. `appliance.registry.database` reads and writes the tables.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from appliance.errors import UserError
from appliance.registry.file_owner import acting_as_owner
from appliance.registry.sql_errors import FAILED, damaged, explain
from services.linux import atomic_file

# Number n turns schema n into n + 1. Run with foreign keys off: a table may be recreated under its old name.
MIGRATIONS: list[Iterable[str]] = [
    (
        """CREATE TABLE allowed (
            first INTEGER NOT NULL, last INTEGER NOT NULL, label TEXT NOT NULL, added REAL NOT NULL,
            PRIMARY KEY (first, last)
        ) WITHOUT ROWID""",
        """CREATE TABLE clients (
            number INTEGER PRIMARY KEY, mac INTEGER NOT NULL UNIQUE, first_seen REAL NOT NULL,
            gui_rpc_password TEXT NOT NULL
        )""",
        """CREATE TABLE boots (
            id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, started REAL NOT NULL, token TEXT NOT NULL,
            release TEXT NOT NULL, inherited TEXT NOT NULL
        )""",
        "CREATE INDEX boots_of_client ON boots (mac, id)",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots ON DELETE CASCADE, at REAL NOT NULL,
            kind TEXT NOT NULL, details TEXT NOT NULL
        )""",
        "CREATE INDEX events_of_boot ON events (boot, id)",
        """CREATE TABLE ignored (
            client TEXT NOT NULL, service TEXT NOT NULL, reason TEXT NOT NULL, first_at REAL NOT NULL,
            last_at REAL NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (client, service, reason)
        ) WITHOUT ROWID""",
        "CREATE TABLE server (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # How a range's PCs boot if it differs from the configuration; '' and NULL: it does not.
        "ALTER TABLE allowed ADD COLUMN root TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE allowed ADD COLUMN entry TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE allowed ADD COLUMN timeout INTEGER",
        # `boot`: the one that used it.
        "CREATE TABLE next_boots (mac INTEGER PRIMARY KEY, entry TEXT NOT NULL, boot INTEGER) WITHOUT ROWID",
        """CREATE TABLE leases (
            address INTEGER PRIMARY KEY, mac INTEGER NOT NULL, client_id BLOB NOT NULL, state TEXT NOT NULL,
            expires REAL NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE adaptations (
            mac INTEGER NOT NULL, fingerprint TEXT NOT NULL, profile TEXT NOT NULL, worked INTEGER NOT NULL,
            why TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (mac, fingerprint)
        ) WITHOUT ROWID""",
    ),
    (
        # Clients that never got past "offered" are none; `number` is NULL until the client needs one for its exports.
        # One with 20 boots may have done more before.
        """CREATE TABLE past_offered (
            mac INTEGER PRIMARY KEY, number INTEGER UNIQUE, first_seen REAL NOT NULL, gui_rpc_password TEXT NOT NULL
        )""",
        """INSERT INTO past_offered
            SELECT mac, CASE WHEN number < 65535 THEN number END, first_seen, gui_rpc_password FROM clients
            WHERE (SELECT count(*) FROM boots WHERE boots.mac = clients.mac) NOT BETWEEN 1 AND 19
            OR EXISTS (SELECT 1 FROM boots JOIN events ON events.boot = boots.id WHERE boots.mac = clients.mac
                AND (inherited != '' OR kind NOT IN ('Discovered', 'Offered', 'LeaseChosen')))""",
        "DROP TABLE clients",
        "ALTER TABLE past_offered RENAME TO clients",
        # Of the boots of the others, the latest are kept. Foreign keys are off here.
        """CREATE TEMP TABLE forgotten AS SELECT id FROM boots WHERE mac NOT IN (SELECT mac FROM clients)
            ORDER BY id DESC LIMIT -1 OFFSET 1000""",
        "DELETE FROM boots WHERE id IN (SELECT id FROM forgotten)",
        "DELETE FROM events WHERE boot NOT IN (SELECT id FROM boots)",
        "DROP TABLE forgotten",
        "DELETE FROM adaptations WHERE NOT worked AND mac NOT IN (SELECT mac FROM boots)",
        # The fold of the boot's events, saved with them; an empty `state` has to be folded. `latest`: the client has
        # no later boot.
        "ALTER TABLE boots ADD COLUMN latest INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE boots ADD COLUMN last_at REAL NOT NULL DEFAULT 0",
        "ALTER TABLE boots ADD COLUMN stage TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE boots ADD COLUMN under_way INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE boots ADD COLUMN state TEXT NOT NULL DEFAULT ''",
        "UPDATE boots SET latest = 1 WHERE id IN (SELECT max(id) FROM boots GROUP BY mac)",
        "UPDATE boots SET last_at = max(started, ifnull((SELECT max(at) FROM events WHERE boot = boots.id), 0))",
        "CREATE INDEX boots_latest ON boots (last_at, under_way, stage, mac) WHERE latest",
        # `sender`: the address that the request came from. Rows with an empty client count the requests of a sender
        # that have no rows of their own.
        """CREATE TABLE ignored_by_sender (
            sender TEXT NOT NULL, client TEXT NOT NULL, service TEXT NOT NULL, reason TEXT NOT NULL,
            first_at REAL NOT NULL, last_at REAL NOT NULL, count INTEGER NOT NULL,
            sender_mac TEXT NOT NULL, PRIMARY KEY (sender, client, service, reason)
        ) WITHOUT ROWID""",
        "INSERT INTO ignored_by_sender SELECT '', client, service, reason, first_at, last_at, count, '' FROM ignored",
        "DROP TABLE ignored",
        "ALTER TABLE ignored_by_sender RENAME TO ignored",
    ),
    (
        # The latest heartbeat of each PC; `facts` and `boinc` are JSON. `doing`: what BOINC does, of `boinc`.
        """CREATE TABLE heartbeats (
            mac INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at REAL NOT NULL, doing TEXT NOT NULL, facts TEXT NOT NULL,
            boinc TEXT NOT NULL
        )""",
        "CREATE INDEX heartbeats_seen ON heartbeats (at, boot, doing)",
        # AUTOINCREMENT: a PC never does an order twice, by its number.
        """CREATE TABLE orders (
            id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, verb TEXT NOT NULL, given REAL NOT NULL,
            sent REAL, ended REAL, result TEXT NOT NULL
        )""",
        "CREATE INDEX orders_open ON orders (mac) WHERE ended IS NULL",
        # How often somebody has changed what the running server has to read anew (database.py, `edit`).
        "CREATE TABLE edits (count INTEGER NOT NULL)",
        "INSERT INTO edits VALUES (0)",
    ),
    (
        # The name of a schedule in the configuration, or ''.
        "ALTER TABLE allowed ADD COLUMN schedule TEXT NOT NULL DEFAULT ''",
    ),
    (
        # Who may use the page and the API. Secrets are hashed. `key`: password.
        "CREATE TABLE control (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE sessions (
            hash TEXT PRIMARY KEY, began REAL NOT NULL, ends REAL NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE tokens (
            name TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, read_only INTEGER NOT NULL, added REAL NOT NULL
        ) WITHOUT ROWID""",
        # What the administrator is told. `level`: info, good or warning.
        """CREATE TABLE notices (
            id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, level TEXT NOT NULL, title TEXT NOT NULL,
            body TEXT NOT NULL, made REAL NOT NULL
        )""",
        # Each notice for each address: `address` stands for it (appliance/config/notify.py), `name` is its name for
        # people. `tries` counts those begun; nothing is tried before `due`, or once it has `ended`. `result`: "sent",
        # or why not.
        """CREATE TABLE deliveries (
            notice INTEGER NOT NULL REFERENCES notices ON DELETE CASCADE, address TEXT NOT NULL, name TEXT NOT NULL,
            due REAL NOT NULL, tries INTEGER NOT NULL, ended REAL, result TEXT NOT NULL, PRIMARY KEY (notice, address)
        ) WITHOUT ROWID""",
        "CREATE INDEX deliveries_open ON deliveries (notice) WHERE ended IS NULL",
        # What the rules know of what they have seen, as JSON.
        "CREATE TABLE notice_rules (rule TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
        # What each PC did on a day of UTC, counted since the epoch: seconds on, core-seconds computed, BOINC's credit.
        """CREATE TABLE days (
            day INTEGER NOT NULL, mac INTEGER NOT NULL, powered INTEGER NOT NULL, computed INTEGER NOT NULL,
            credit REAL NOT NULL, PRIMARY KEY (day, mac)
        ) WITHOUT ROWID""",
        # The sums of a day, those of PCs that were forgotten since among them.
        """CREATE TABLE day_totals (
            day INTEGER PRIMARY KEY, pcs INTEGER NOT NULL, powered INTEGER NOT NULL, computed INTEGER NOT NULL,
            credit REAL NOT NULL
        )""",
        # Of a client that has booted for a year, one row is read, and not four hundred.
        "CREATE INDEX latest_of_client ON boots (mac) WHERE latest",
        # The credit that each PC's projects have told, as JSON (appliance/heartbeats/tally.py).
        "CREATE TABLE credits (mac INTEGER PRIMARY KEY, marks TEXT NOT NULL)",
    ),
    (
        # Releases that some PCs boot before all do (appliance/images/rollout.py); `ended` is NULL while one is open.
        # `seconds`, `share`, `tasks`: what proves it. `after`: the last boot before it. `until`: NULL before any PC
        # has booted it.
        """CREATE TABLE canaries (
            id INTEGER PRIMARY KEY AUTOINCREMENT, release TEXT NOT NULL, base TEXT NOT NULL, chosen TEXT NOT NULL,
            seconds REAL NOT NULL, share INTEGER NOT NULL, tasks INTEGER NOT NULL, began REAL NOT NULL,
            after INTEGER NOT NULL, looked REAL NOT NULL, until REAL, ended REAL, verdict TEXT NOT NULL,
            reason TEXT NOT NULL, mac INTEGER
        )""",
        """CREATE TABLE canary_ranges (
            canary INTEGER NOT NULL REFERENCES canaries ON DELETE CASCADE, first INTEGER NOT NULL,
            last INTEGER NOT NULL, PRIMARY KEY (canary, first, last)
        ) WITHOUT ROWID""",
        # How many tasks a PC had returned without an error, when it first said so with the canary.
        """CREATE TABLE canary_tasks (
            canary INTEGER NOT NULL REFERENCES canaries ON DELETE CASCADE, mac INTEGER NOT NULL,
            succeeded INTEGER NOT NULL, PRIMARY KEY (canary, mac)
        ) WITHOUT ROWID""",
        # PCs that boot `release`, since they failed with `failed`.
        """CREATE TABLE fallbacks (
            mac INTEGER PRIMARY KEY, failed TEXT NOT NULL, release TEXT NOT NULL, at REAL NOT NULL, why TEXT NOT NULL
        )""",
    ),
    (
        # AUTOINCREMENT: whoever has read up to an event would miss later ones that got numbers of forgotten ones.
        """CREATE TABLE numbered (
            id INTEGER PRIMARY KEY AUTOINCREMENT, boot INTEGER NOT NULL REFERENCES boots ON DELETE CASCADE,
            at REAL NOT NULL, kind TEXT NOT NULL, details TEXT NOT NULL
        )""",
        "INSERT INTO numbered SELECT id, boot, at, kind, details FROM events ORDER BY id",
        "DROP TABLE events",
        "ALTER TABLE numbered RENAME TO events",
        "CREATE INDEX events_of_boot ON events (boot, id)",
    ),
    (
        # The name of the image that the range's PCs boot; '': the default one.
        "ALTER TABLE allowed ADD COLUMN image TEXT NOT NULL DEFAULT ''",
    ),
    (
        # A PC that is to be switched on over the network. `due`: when the next packet goes out; `asked_by`: "hand",
        # "schedule NAME", "room LABEL" or "drill NUMBER"; `result` is empty until it has `ended`.
        """CREATE TABLE wakes (
            id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, asked_by TEXT NOT NULL, asked REAL NOT NULL,
            tries INTEGER NOT NULL, due REAL NOT NULL, ended REAL, result TEXT NOT NULL
        )""",
        "CREATE INDEX wakes_open ON wakes (due) WHERE ended IS NULL",
        "CREATE INDEX wakes_of_client ON wakes (mac, id)",
        # What a person said of all PCs with this label, whatever their schedules say. `state`: "on" or "off"; `until`:
        # NULL until it is taken back.
        """CREATE TABLE holds (
            label TEXT PRIMARY KEY, state TEXT NOT NULL, began REAL NOT NULL, until REAL
        ) WITHOUT ROWID""",
        # PCs that their owners took back: the box neither wakes them nor boots its live system there before `until`.
        "CREATE TABLE respites (mac INTEGER PRIMARY KEY, began REAL NOT NULL, until REAL NOT NULL)",
    ),
]


GROWING = {"boots", "events", "days"}
"""The tables that have gigabytes after a year of thousands of PCs."""


def version(sql: sqlite3.Connection) -> int:
    """The schema number of an open registry; 0 is an empty file."""
    found: int = sql.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(sql: sqlite3.Connection, path: Path) -> None:
    """Bring the registry to the current schema, or leave it unchanged; raises UserError, OSError, sqlite3.Error.

    A copy of the old registry is kept beside it, for going back to the version that wrote it.
    """
    before = version(sql)
    if before < 0:
        raise damaged(path, f"it has the schema {before}")
    if before > len(MIGRATIONS):
        kept = _kept(path, len(MIGRATIONS))
        raise UserError(
            f"the registry {path} was written by a newer netboot-appliance (schema {before})",
            "install that version again, or restore a backup made with this one"
            + (f"; {kept} is the registry as this version left it" if kept.exists() else ""),
        )
    if before == len(MIGRATIONS):
        return
    if before:
        _copy(sql, _kept(path, before))
    with transaction(sql):
        # Another process may have migrated it while this one waited for the lock.
        for number in range(version(sql), len(MIGRATIONS)):
            for statement in MIGRATIONS[number]:
                sql.execute(statement)
            sql.execute(f"PRAGMA user_version = {number + 1}")


@contextmanager
def transaction(sql: sqlite3.Connection) -> Iterator[None]:
    """All of the block's writes, or none of them."""
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield
        sql.execute("COMMIT")
    except BaseException:
        # If the disk is full, SQLite itself has rolled back already.
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise


def snapshot(source: Path, target: Path) -> None:
    """Copy the registry as it is at one moment, even while a server writes to it. Raises UserError.

    The copy is one file of the caller's, mode 0600, with the same schema.
    """
    try:
        with ExitStack() as opened:
            with acting_as_owner(source.parent):
                address = source.absolute().as_uri()
                # If it is no database: closing it after an ordinary opening deletes the log beside it.
                with closing(sqlite3.connect(f"{address}?immutable=1", uri=True)) as sql:
                    version(sql)
                sql = sqlite3.connect(f"{address}?mode=rw", uri=True, timeout=10.0, isolation_level=None)
                opened.callback(sql.close)
                # SQLite opens all its files with the first statement.
                version(sql)
            _copy(sql, target)
    except (OSError, *FAILED) as error:
        raise explain(source, error) from error


def check(sql: sqlite3.Connection, path: Path, *, whole: bool = True) -> None:
    """Raise UserError if pages of the registry are damaged, or its tables do not match its schema. A progress handler
    may end the search, but not within the pages of one table; not `whole`: those of GROWING are left out."""
    try:
        looked_at = ["3"] if whole else sorted(_columns(sql).keys() - GROWING)
        complaints = [
            row[0] for what in looked_at for row in sql.execute(f"PRAGMA integrity_check({what})") if row[0] != "ok"
        ]
        complaints += [
            f"a row of {row[0]} refers to a row that is missing" for row in sql.execute("PRAGMA foreign_key_check")
        ]
    except FAILED as error:
        raise explain(path, error) from error
    if complaints:
        raise damaged(path, complaints[0])
    check_shape(sql, path)


def check_shape(sql: sqlite3.Connection, path: Path) -> None:
    """Raise UserError unless the registry has the tables of its schema, and in each column what that is declared to
    hold."""
    try:
        found = version(sql)
        if not 0 <= found <= len(MIGRATIONS) or _shape(sql) != _expected(found):
            raise damaged(path, f"its tables do not match schema {found}")
        for table, columns in _columns(sql).items():
            wrong = " OR ".join(f"typeof({name}) NOT IN ({kinds})" for name, kinds in columns.items())
            if sql.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():  # noqa: S608 - names of ours
                raise damaged(path, f"a row of its table {table!r} cannot be read")
    except FAILED as error:
        raise explain(path, error) from error


def _columns(sql: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The columns of each table, with the types of values that each may hold."""
    tables = [name for kind, name, _ in _shape(sql) if kind == "table"]
    return {
        table: {
            name: ", ".join(repr(kind) for kind in (declared.lower(), *(() if needed or key else ("null",))))
            for _, name, declared, needed, _, key in sql.execute(f"PRAGMA table_info({table})")
        }
        for table in tables
    }


def _read_words(sql: sqlite3.Connection) -> None:
    """Read every text; raises sqlite3.Error if one is not UTF-8."""
    for table, columns in _columns(sql).items():
        if names := [name for name, kinds in columns.items() if "'text'" in kinds]:
            for _ in sql.execute(f"SELECT {', '.join(names)} FROM {table}"):  # noqa: S608 - names of ours
                pass


def examine(path: Path) -> int:
    """The schema number of a registry that nobody uses; raises UserError if it is damaged. Writes nothing."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as sql:
            found = version(sql)
            if found > len(MIGRATIONS):
                raise UserError(
                    f"it was written by a newer netboot-appliance (schema {found}, this one knows {len(MIGRATIONS)})",
                    "install that version first",
                )
            check(sql, path)
            _read_words(sql)
            return found
    except FAILED as error:
        raise explain(path, error) from error


def _copy(sql: sqlite3.Connection, target: Path) -> None:
    """Write what the connection sees into a file, complete or not at all; replaces an older copy."""
    # It holds passwords and tokens: nobody else may read it.
    with atomic_file.new_file(target, mode=0o600) as file:
        sql.execute("VACUUM INTO ?", (file.name,))


def _kept(path: Path, schema: int) -> Path:
    return path.with_name(f"{path.name}.schema{schema}")


def _shape(sql: sqlite3.Connection) -> set[tuple[str, str, str]]:
    rows = sql.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(kind, name, " ".join(str(text).split())) for kind, name, text in rows}


def _expected(schema: int) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as sql:
        for migration in MIGRATIONS[:schema]:
            for statement in migration:
                sql.execute(statement)
        return _shape(sql)
