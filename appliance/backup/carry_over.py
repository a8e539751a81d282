"""What a restored registry adopts from the one it replaces, and what it must not keep."""

import secrets
from pathlib import Path

from appliance.images.rollout import Ending
from appliance.registry.database import Registry

_NUMBERS_SKIPPED = 1_000_000
"""More orders than one server gives between two backups."""


def invalidate_token(registry: Registry, boot: int) -> None:
    """Give a boot a new token that nobody knows."""
    registry.renew_tokens({boot: secrets.token_urlsafe(18)})


def forget_server(registry: Registry) -> None:
    """Delete the facts about the running server: they are about another one."""
    registry.sql.execute("DELETE FROM server")


def forget_states(registry: Registry) -> None:
    """Delete what was derived from the events of the boots: it is derived from the restored ones again. Of old boots
    there is nothing else (appliance/registry/retention.py)."""
    registry.sql.execute("UPDATE boots SET state = '' WHERE id IN (SELECT boot FROM events)")


def forget_heartbeats(registry: Registry) -> None:
    """Delete what PCs and their owners said, which rooms are held, and the orders that are still open: all are about
    another time.

    The numbers of the orders that were given since then are not known, and a running PC carries out no number twice:
    those that follow are far above them."""
    registry.sql.execute("DELETE FROM heartbeats")
    registry.sql.execute("DELETE FROM credits")
    registry.sql.execute("DELETE FROM respites")
    registry.sql.execute("DELETE FROM holds")
    registry.sql.execute("DELETE FROM orders WHERE ended IS NULL")
    (last,) = registry.sql.execute("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'orders'").fetchone()
    registry.sql.execute("DELETE FROM sqlite_sequence WHERE name = 'orders'")
    registry.sql.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('orders', ?)", (last + _NUMBERS_SKIPPED,))


def forget_wakes(registry: Registry) -> None:
    """Delete the requests to wake PCs that are still open: they are about another night."""
    registry.sql.execute("DELETE FROM wakes WHERE ended IS NULL")


def forget_notices(registry: Registry) -> None:
    """Delete what was to be told, and what the rules had seen: both are about another time. What they find first is
    their start."""
    for table in ("deliveries", "notices", "notice_rules"):
        registry.sql.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours


def forget_rollouts(registry: Registry, now: float) -> None:
    """End the canary, if one was open, and forget which PCs went back to an earlier release: both are about another
    time, and the releases may be others by now. All PCs boot the active one."""
    registry.sql.execute("DELETE FROM fallbacks")
    registry.sql.execute(
        "UPDATE canaries SET ended = ?, verdict = ?, reason = 'a backup was restored' WHERE ended IS NULL",
        (now, str(Ending.CANCELLED)),
    )


def forget_sessions(registry: Registry) -> None:
    """End all logins: who has logged out since must not be logged in again."""
    registry.sql.execute("DELETE FROM sessions")


def adopt_boots(registry: Registry, other: Path) -> bool:
    """Copy the boots, leases, heartbeats, orders, wakes, holds, respites and notices, the daily figures, the clients
    that are missing here, and who may use the page, from another registry of this schema.

    A client keeps its number unless another client has it here; the server then gives it another one. If `other` has no
    boots, returns False and leaves all but the clients unchanged.
    """
    registry.sql.execute("ATTACH ? AS other", (str(other),))
    try:
        with registry.transaction():
            # A conflict means that the client is known here, or that its number is taken.
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
            # Addresses leased since the backup are in use.
            for table in (
                "leases",
                "heartbeats",
                "orders",
                "wakes",
                "respites",
                "holds",
                "notices",
                "deliveries",
                "notice_rules",
            ):
                registry.sql.execute(f"DELETE FROM {table}")  # noqa: S608
                registry.sql.execute(f"INSERT INTO {table} SELECT * FROM other.{table}")  # noqa: S608
            if registry.sql.execute("SELECT 1 FROM other.control LIMIT 1").fetchone():
                for table in ("control", "tokens", "sessions"):
                    registry.sql.execute(f"DELETE FROM {table}")  # noqa: S608
                    registry.sql.execute(f"INSERT INTO {table} SELECT * FROM other.{table}")  # noqa: S608
            # The days before those that it knows are in the backup alone.
            for table in ("days", "day_totals", "credits"):
                registry.sql.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM other.{table}")  # noqa: S608
        return True
    finally:
        registry.sql.execute("DETACH other")
