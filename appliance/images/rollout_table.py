"""Canaries, and the PCs that went back to the release before, as tables of the registry. rollout.py decides.

`serve` reads what is in force with each edit, `control` judges, and the verbs begin and end canaries.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing

from appliance.allowlist import Allowlist
from appliance.images.rollout import Canary, Ending, Fallback, Proof, end
from appliance.registry import rows
from appliance.registry.database import Registry
from services.ethernet import MacAddress, MacRange

_KEPT = 20
"""Canaries that have ended."""

_AT_ONCE = 500
"""MAC addresses in one question to SQLite."""

_COLUMNS = "id, release, base, chosen, seconds, share, tasks, began, after, looked, until, ended, verdict, reason, mac"


def latest(registry: Registry) -> Canary | None:
    """The canary that is open, or the one that ended last."""
    return _one(registry, "ORDER BY id DESC LIMIT 1")


def open_canary(registry: Registry) -> Canary | None:
    """The canary that is open."""
    return _one(registry, "WHERE ended IS NULL ORDER BY id DESC LIMIT 1")


def kept(registry: Registry) -> list[Canary]:
    """The canaries that are remembered, the latest first."""
    with registry.reading("canaries"):
        numbers = [rows.whole(number) for (number,) in registry.sql.execute("SELECT id FROM canaries ORDER BY id DESC")]
    return [found for number in numbers if (found := _one(registry, f"WHERE id = {number}"))]


def begin(
    registry: Registry, release: str, base: str, chosen: str, ranges: Iterable[MacRange], proof: Proof, now: float
) -> None:
    """Begin a canary, within the caller's edit. PCs that went back from this release get it again."""
    sql, after = registry.sql, registry.highest()[1]
    values = (release, base, chosen, proof.seconds, proof.share, proof.tasks, now, after, now)
    added = sql.execute(
        "INSERT INTO canaries (release, base, chosen, seconds, share, tasks, began, after, looked, verdict, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '')",
        values,
    )
    spans = {(added.lastrowid, span.first.value, span.last.value) for span in ranges}
    sql.executemany("INSERT INTO canary_ranges VALUES (?, ?, ?)", spans)
    sql.execute("DELETE FROM canaries WHERE id <= ?", (added.lastrowid - _KEPT if added.lastrowid else 0,))
    sql.execute("DELETE FROM fallbacks WHERE failed = ?", (release,))


def keep(registry: Registry, canary: Canary) -> bool:
    """Write what a look has made of an open canary; False, and nothing written, if somebody has ended it meanwhile. Its
    end is an edit: the server has to read it."""
    values = (canary.looked, canary.until, canary.ended, str(canary.verdict), canary.reason, _number(canary), canary.id)
    change = registry.edit if canary.verdict else registry.transaction
    with change():
        done = registry.sql.execute(
            "UPDATE canaries SET looked = ?, until = ?, ended = ?, verdict = ?, reason = ?, mac = ?"
            " WHERE id = ? AND ended IS NULL",
            values,
        )
    return done.rowcount > 0


def activated(registry: Registry, release: str, now: float, *, ends: bool) -> Canary | None:
    """Somebody has activated this release by hand: PCs that went back from it get it again, and a canary of its image,
    if that is what `ends` says, is over. Returns the canary that has ended."""
    with registry.edit():
        registry.sql.execute("DELETE FROM fallbacks WHERE failed = ?", (release,))
    canary = open_canary(registry)
    if canary is None or not ends:
        return None
    same = canary.release == release
    verdict = Ending.PROMOTED if same else Ending.CANCELLED
    ended = end(
        canary, verdict, "it was activated by hand" if same else f"another release was activated: {release}", now
    )
    return ended if keep(registry, ended) else None


def heard_last(registry: Registry) -> list[MacAddress]:
    """All clients: those that computed in their latest boots first, and of these those that were heard last."""
    with closing(
        registry.sql.execute(
            "SELECT mac FROM boots WHERE latest AND mac IN (SELECT mac FROM clients)"
            " ORDER BY stage = 'computing' DESC, last_at DESC"
        )
    ) as found:
        return [rows.mac(number) for (number,) in found]


def known_among(registry: Registry, ranges: Iterable[MacRange], allowlist: Allowlist) -> set[MacAddress]:
    """The clients in these ranges that may boot."""
    found: set[MacAddress] = set()
    for span in ranges:
        values = (span.first.value, span.last.value)
        some = registry.sql.execute("SELECT mac FROM clients WHERE mac BETWEEN ? AND ?", values)
        found.update(mac for (number,) in some if (mac := rows.mac(number)) in allowlist)
    return found


def tasks_before(
    registry: Registry, canary: int, succeeded: Mapping[MacAddress, int], *, keep: bool
) -> dict[MacAddress, int]:
    """How many tasks each of these PCs had returned when it was first seen with the canary; `keep`: from now on, those
    that were not seen yet had returned what they have `succeeded` in by now."""
    found = {
        rows.mac(number): rows.whole(count)
        for number, count in registry.sql.execute("SELECT mac, succeeded FROM canary_tasks WHERE canary = ?", (canary,))
    }
    new = {mac: count for mac, count in succeeded.items() if mac not in found}
    if new and keep:
        with registry.transaction():
            registry.sql.executemany(
                "INSERT INTO canary_tasks VALUES (?, ?, ?)", [(canary, mac.value, count) for mac, count in new.items()]
            )
    return {**new, **found}


def fallbacks(registry: Registry) -> dict[MacAddress, Fallback]:
    """The PCs that went back, by MAC address."""
    with registry.reading("fallbacks"):
        found = registry.sql.execute("SELECT mac, failed, release, at, why FROM fallbacks ORDER BY mac")
        return {
            each.mac: each
            for each in (
                Fallback(rows.mac(mac), rows.text(failed), rows.text(release), rows.moment(at), rows.text(why))
                for mac, failed, release, at, why in found
            )
        }


def go_back(registry: Registry, fallback: Fallback) -> None:
    """Have this PC boot the release before."""
    values = (fallback.mac.value, fallback.failed, fallback.release, fallback.at, fallback.why)
    with registry.edit():
        registry.sql.execute("INSERT OR REPLACE INTO fallbacks VALUES (?, ?, ?, ?, ?)", values)


def stay(registry: Registry, mac: MacAddress) -> bool:
    """Have this PC boot again what the others boot; False if it does."""
    with registry.edit():
        return registry.sql.execute("DELETE FROM fallbacks WHERE mac = ?", (mac.value,)).rowcount > 0


def well_since(registry: Registry, since: float, but: MacAddress) -> bool:
    """Whether another PC has said since then that its state directory is well: the box and its NFS work."""
    found = registry.sql.execute("SELECT facts FROM heartbeats WHERE at > ? AND mac != ? LIMIT 20", (since, but.value))
    return any(json.loads(rows.text(facts)).get("state_directory", "ok") in ("", "ok") for (facts,) in found)


def released(registry: Registry) -> set[str]:
    """The releases that an open canary or a PC that went back needs."""
    canary = open_canary(registry)
    needed = {each.release for each in fallbacks(registry).values()}
    return needed | ({canary.release, canary.base} if canary else set())


def in_batches(macs: Collection[MacAddress]) -> Iterable[list[MacAddress]]:
    """The addresses, so many at a time as one question to SQLite takes."""
    listed = list(macs)
    return (listed[at : at + _AT_ONCE] for at in range(0, len(listed), _AT_ONCE))


def _one(registry: Registry, condition: str) -> Canary | None:
    with registry.reading("canaries"):
        row = registry.sql.execute(f"SELECT {_COLUMNS} FROM canaries {condition}").fetchone()  # noqa: S608
        if row is None:
            return None
        ident, release, base, chosen, seconds, share, tasks, began, after, looked, *ending = row
        until, ended, verdict, reason, mac = ending
        spans = registry.sql.execute("SELECT first, last FROM canary_ranges WHERE canary = ? ORDER BY first", (ident,))
        return Canary(
            id=rows.whole(ident),
            release=rows.text(release),
            base=rows.text(base),
            chosen=rows.text(chosen),
            ranges=tuple(MacRange(rows.mac(first), rows.mac(last)) for first, last in spans),
            proof=Proof(rows.amount(seconds), rows.whole(share), rows.whole(tasks)),
            began=rows.moment(began),
            after=rows.whole(after),
            looked=rows.moment(looked),
            until=None if until is None else rows.moment(until),
            ended=None if ended is None else rows.moment(ended),
            verdict=Ending(rows.text(verdict)),
            reason=rows.text(reason),
            mac=None if mac is None else rows.mac(mac),
        )


def _number(canary: Canary) -> int | None:
    return canary.mac.value if canary.mac is not None else None
