"""The requests to switch PCs on, as a table of the registry. Verbs, the page, schedules and drills ask; the control
process sends the packets (appliance/control/waking.py) and records what came of it.

A PC has one open request at most: a newer one takes its place. Nothing here sends anything.
"""

from collections.abc import Iterable, Mapping

from appliance.registry.database import Registry
from appliance.wake.request import WakeRequest, WakeResult, record
from services.ethernet import MacAddress

KEPT_SECONDS = 30 * 86400.0
"""How long a request that has ended is kept."""

_SELECT = "SELECT id, mac, asked_by, asked, tries, due, ended, result FROM wakes"
_ANSWERS = tuple(map(str, (WakeResult.CAME, WakeResult.WAS_ON, WakeResult.DID_NOT_COME)))
_BEHIND_ALL = (1 << 63) - 1


def ask(registry: Registry, macs: Iterable[MacAddress], asked_by: str, now: float) -> list[WakeRequest]:
    """Ask for each of these PCs, in one commit; returns the requests in the order of the PCs. `now` is in seconds since
    the epoch. The first packets go out within a second or two, if the control process runs."""
    asked = []
    with registry.transaction():
        for mac in macs:
            _end(registry, "mac = ?", mac.value, now, WakeResult.REPLACED)
            done = registry.sql.execute(
                "INSERT INTO wakes (mac, asked_by, asked, tries, due, result) VALUES (?, ?, ?, 0, ?, '')",
                (mac.value, asked_by, now, now),
            )
            asked.append(WakeRequest(done.lastrowid or 0, mac, asked_by, now, 0, now))
    return asked


def open_requests(registry: Registry) -> list[WakeRequest]:
    """Those that have not ended, in the order in which they were asked for."""
    return _select(registry, "WHERE ended IS NULL ORDER BY id", ())


def latest(registry: Registry, mac: MacAddress) -> WakeRequest | None:
    """The last request for this PC, or None."""
    return next(iter(_select(registry, "WHERE mac = ? ORDER BY id DESC LIMIT 1", (mac.value,))), None)


def latest_of_all(registry: Registry) -> dict[MacAddress, WakeRequest]:
    """The last request for each PC."""
    chosen = "WHERE id IN (SELECT max(id) FROM wakes GROUP BY mac)"
    return {each.mac: each for each in _select(registry, chosen, ())}


def latest_answers(registry: Registry) -> list[WakeRequest]:
    """For each PC the last request that tells whether it comes when it is woken, the latest first."""
    chosen = "WHERE id IN (SELECT max(id) FROM wakes WHERE result IN (?, ?, ?) GROUP BY mac) ORDER BY id DESC"
    return _select(registry, chosen, _ANSWERS)


def asked_last(registry: Registry) -> dict[MacAddress, float]:
    """When each PC was asked for last, in seconds since the epoch."""
    return {mac: each.asked for mac, each in latest_of_all(registry).items()}


def ever_came(registry: Registry) -> set[MacAddress]:
    """The PCs that came at least once, as far as requests are kept."""
    rows = _select(registry, "WHERE result = ?", (WakeResult.CAME,))
    return {each.mac for each in rows}


def recent(registry: Registry, most: int, *, only_open: bool = False, before: int | None = None) -> list[WakeRequest]:
    """The `most` last requests, the latest first; -1: all that are kept. `only_open`: without those that have ended;
    `before`: only those with a lower number."""
    condition = f"WHERE id < ?{' AND ended IS NULL' if only_open else ''} ORDER BY id DESC LIMIT ?"
    return _select(registry, condition, (_BEHIND_ALL if before is None else before, most))


def numbered(registry: Registry, numbers: Iterable[int]) -> list[WakeRequest]:
    """The requests with these numbers that are kept, in this order."""
    found = []
    for number in numbers:
        found += _select(registry, "WHERE id = ?", (number,))
    return found


def all_of(registry: Registry) -> list[WakeRequest]:
    """All requests that are kept, in the order in which they were asked for."""
    return _select(registry, "ORDER BY id", ())


def note_tries(registry: Registry, due: Mapping[int, float]) -> None:
    """Record, in one commit, that packets for these requests are being sent, and when they are due again."""
    with registry.transaction():
        registry.sql.executemany(
            "UPDATE wakes SET tries = tries + 1, due = ? WHERE id = ? AND ended IS NULL",
            [(at, number) for number, at in due.items()],
        )


def postpone(registry: Registry, due: Mapping[int, float]) -> None:
    """Send nothing for these requests before those moments."""
    with registry.transaction():
        registry.sql.executemany(
            "UPDATE wakes SET due = ? WHERE id = ? AND ended IS NULL", [(at, number) for number, at in due.items()]
        )


def end(registry: Registry, results: Mapping[int, WakeResult], now: float) -> list[int]:
    """End these requests, in one commit; returns those that had not ended by themselves."""
    with registry.transaction():
        return [number for number, result in results.items() if _end(registry, "id = ?", number, now, result)]


def forget_old(registry: Registry, now: float) -> None:
    """Delete what ended long ago."""
    with registry.transaction():
        registry.sql.execute("DELETE FROM wakes WHERE ended < ?", (now - KEPT_SECONDS,))


def _end(registry: Registry, which: str, value: int, now: float, result: WakeResult) -> int:
    """How many were ended. Others may end them at any time: that stays."""
    return registry.sql.execute(
        f"UPDATE wakes SET ended = ?, result = ? WHERE {which} AND ended IS NULL",  # noqa: S608 - conditions of ours
        (now, str(result), value),
    ).rowcount


def _select(registry: Registry, condition: str, values: tuple[object, ...]) -> list[WakeRequest]:
    with registry.reading("wakes"):
        return [record(row) for row in registry.sql.execute(f"{_SELECT} {condition}", values)]
