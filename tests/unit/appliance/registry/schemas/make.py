"""Writes a registry of today's schema, which later versions must be able to read.

Run `python -m tests.unit.appliance.registry.schemas.make` once per migration, before it is released. The rows are those
of the previous schema, migrated; add rows of new tables to the file by hand. Never edit a released file.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from appliance.registry.database import Registry
from appliance.registry.schema import MIGRATIONS

HERE = Path(__file__).parent


def load(schema: int, path: Path) -> None:
    """Make a registry of an old schema, as the version of that time left it."""
    with closing(sqlite3.connect(path)) as sql:
        sql.executescript((HERE / f"{schema}.sql").read_text(encoding="utf-8"))


def dump(path: Path) -> str:
    """A registry as SQL."""
    with closing(sqlite3.connect(path)) as sql:
        (schema,) = sql.execute("PRAGMA user_version").fetchone()
        return "\n".join([*sql.iterdump(), f"PRAGMA user_version = {schema};", ""])


def main() -> None:
    """Write the file of today's schema; refuses to replace one."""
    newest = len(MIGRATIONS)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "registry.sqlite3"
        load(newest - 1, path)
        Registry(path).close()
        with (HERE / f"{newest}.sql").open("x", encoding="utf-8") as file:
            file.write(dump(path))


if __name__ == "__main__":
    main()
