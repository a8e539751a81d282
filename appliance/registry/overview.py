"""What `status`, the lists and the doctor need of a hundred thousand PCs: SQL counts, and chooses what is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.registry.database import Registry
from appliance.registry.records import BootCounts, BootRow, Client
from services.ethernet import MacAddress

_SPAN = 50_000
"""Boots that one page looks through at most, if it wants only some of them."""


@dataclass(frozen=True, slots=True)
class BootPage:
    """Boots, the latest first, and the number before which the next page begins; None: there is none."""

    rows: tuple[BootRow, ...]
    before: int | None


def count_boots(registry: Registry) -> BootCounts:
    """Takes 30 ms for a hundred thousand."""
    total, clients = registry.sql.execute(
        "SELECT count(*), ifnull(sum(mac IN (SELECT mac FROM clients)), 0) FROM boots WHERE latest"
    ).fetchone()
    return BootCounts(clients, total - clients)


def count_clients(registry: Registry) -> int:
    """How many PCs have loaded something at least once."""
    count: int = registry.sql.execute("SELECT count(*) FROM clients").fetchone()[0]
    return count


def clients_by_release(registry: Registry) -> dict[str, int]:
    """How many PCs had a release at their latest boot, by its id. Takes 15 ms for 5,000."""
    counted = registry.sql.execute(
        "SELECT release, count(*) FROM boots WHERE latest AND mac IN (SELECT mac FROM clients) GROUP BY release"
    )
    return dict(counted.fetchall())


def boots_of(registry: Registry, numbers: Sequence[int]) -> list[BootRow]:
    """The boots with these numbers, in the order given."""
    rows = {row.id: row for row in registry.boot_rows(f"WHERE id IN ({_marks(numbers)})", tuple(numbers))}
    return [rows[number] for number in numbers if number in rows]


def boots_page(registry: Registry, before: int | None, most: int, mac: MacAddress | None, stage: str) -> BootPage:
    """`most` boots, the latest first, of those before the number `before`: of one PC or of all, those that have come to
    this stage and no further or, if it is empty, all."""
    highest = registry.highest()[1]
    upper = highest + 1 if before is None else min(before, highest + 1)
    lower = 0 if mac or not stage else max(0, upper - _SPAN)
    condition, values = "WHERE id < ? AND id >= ?", [upper, lower]
    if mac:
        condition, values = f"{condition} AND mac = ?", [*values, mac.value]
    stages = (stage,) if stage else ()
    rows = registry.boot_rows(
        f"{condition}{' AND stage = ?' if stage else ''} ORDER BY id DESC LIMIT ?", (*values, *stages, most + 1)
    )
    if len(rows) > most:
        return BootPage(tuple(rows[:most]), rows[most - 1].id)
    return BootPage(tuple(rows), lower or None)


def latest_among(registry: Registry, numbers: Sequence[int]) -> set[int]:
    """Which of these boots are the latest ones of their PCs."""
    found = registry.sql.execute(f"SELECT id FROM boots WHERE latest AND id IN ({_marks(numbers)})", tuple(numbers))  # noqa: S608
    return {number for (number,) in found}


def newcomers_boots(registry: Registry, most: int) -> list[BootRow]:
    """Boots of those who have loaded nothing: those who came back, then the others; those heard last first."""
    return registry.boot_rows(
        "WHERE latest AND mac NOT IN (SELECT mac FROM clients)"
        " ORDER BY last_at - started > 0.9 DESC, last_at DESC LIMIT ?",
        (most,),
    )


def failing_boots(registry: Registry, most: int) -> list[BootRow]:
    """The latest boots that may have something wrong, as far as SQL can see: all that have not come to computing, those
    heard last first. Of those who have loaded nothing, the ones that asked again."""
    return registry.boot_rows(
        "WHERE latest AND (stage = 'failed' OR under_way)"
        " AND (mac IN (SELECT mac FROM clients) OR last_at - started > 0.9) ORDER BY last_at DESC LIMIT ?",
        (most,),
    )


def heard_boots(registry: Registry, most: int) -> list[BootRow]:
    """The latest boots of PCs that have sent a heartbeat in them, those heard last first."""
    return registry.boot_rows(
        "WHERE latest AND id IN (SELECT boot FROM heartbeats) ORDER BY last_at DESC LIMIT ?", (most,)
    )


def clients_page(registry: Registry, after: MacAddress | None, most: int) -> tuple[list[Client], list[BootRow], int]:
    """`most` clients in the order of their MAC addresses, those after `after`; their latest boots; and how many clients
    follow. -1: all."""
    first = after.value if after is not None else -1
    chosen = "SELECT mac FROM clients WHERE mac > ? ORDER BY mac LIMIT ?"
    rows = registry.boot_rows(f"WHERE latest AND mac IN ({chosen})", (first, most))
    clients = registry.clients(after, most)
    left: int = registry.sql.execute("SELECT count(*) FROM clients WHERE mac > ?", (first,)).fetchone()[0]
    return clients, rows, left - len(clients)


def clients_of(registry: Registry, macs: Sequence[MacAddress]) -> tuple[list[Client], list[BootRow]]:
    """These clients, as far as they are known, in the order of their MAC addresses, and their latest boots."""
    numbers = tuple(mac.value for mac in macs)
    rows = registry.boot_rows(f"WHERE latest AND mac IN ({_marks(numbers)})", numbers)
    return registry.clients_of(numbers), rows


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
