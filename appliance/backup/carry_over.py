"""What a restored registry takes over from the one that it replaces, and what it must not keep."""

import secrets
from pathlib import Path

from appliance.registry.database import Registry


def void_token(registry: Registry, boot: int) -> None:
    """Give a boot a token that nobody has."""
    registry.sql.execute("UPDATE boots SET token = ? WHERE id = ?", (secrets.token_urlsafe(18), boot))


def forget_server(registry: Registry) -> None:
    """Forget the facts about the running server: it was another one."""
    registry.sql.execute("DELETE FROM server")


def go_on_from(registry: Registry, other: Path) -> bool:
    """Take over the boots and leases, and the clients that are missing here, from another registry of this schema.

    A client keeps its number unless another one has it here. False, and nothing done to the boots, if `other` has
    none.
    """
    registry.sql.execute("ATTACH ? AS other", (str(other),))
    try:
        with registry.transaction():
            # A conflict is a client that is known here, or a number that is taken: the latter get another one.
            for columns in ("number, mac, first_seen, gui_rpc_password", "mac, first_seen, gui_rpc_password"):
                registry.sql.execute(
                    f"INSERT OR IGNORE INTO clients ({columns})"  # noqa: S608
                    f" SELECT {columns} FROM other.clients ORDER BY number"
                )
            if registry.sql.execute("SELECT 1 FROM other.boots LIMIT 1").fetchone() is None:
                return False
            registry.sql.execute("DELETE FROM boots")
            registry.sql.execute("INSERT INTO boots SELECT * FROM other.boots")
            registry.sql.execute("INSERT INTO events SELECT * FROM other.events")
            # What was leased since the backup is in use.
            registry.sql.execute("DELETE FROM leases")
            registry.sql.execute("INSERT INTO leases SELECT * FROM other.leases")
        return True
    finally:
        registry.sql.execute("DETACH other")
