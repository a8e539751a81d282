"""What the rules remember and what is to be told, as tables of the registry: docs/adr/0023-notices.md.

A rule's new memory and its notices are one commit. Each notice has a row for each address. A row is claimed in a commit
of its own before it is sent, and marked in another one afterwards. Whoever is killed between the two has sent it or
not: it is sent again after LEASE seconds, with the same number, so that a repeat can be recognised.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appliance.config.notify import NotifyAddress, RuleSettings
from appliance.control.notify import conditions, tally
from appliance.control.notify.conditions import Memory
from appliance.control.notify.judge import judge
from appliance.control.notify.notices import Notice
from appliance.control.notify.rules import RuleName
from appliance.control.notify.sightings import Sightings
from appliance.control.notify.tally import Tally
from appliance.registry.database import Registry
from appliance.registry.rows import moment, text, whole

SENT = "sent"
LEASE = 300.0
"""Seconds that a claimed delivery is left alone: longer than any attempt takes."""

FIRST_RETRY, LAST_RETRY = 60.0, 3600.0
GIVE_UP = 86400.0
"""Seconds after which a notice that was not delivered is news no more."""

FEWEST_TRIES = 10
"""It is tried so often in any case: the box may have been off for that day."""

KEPT_SECONDS, KEPT_NOTICES = 90 * 86400.0, 1000
"""What is over is kept for so long, and only so much of it."""

_TALLY = "tally"


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice with its number. `made` is in seconds since the epoch."""

    id: int
    rule: str
    level: str
    title: str
    body: str
    made: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notice for one address. `address` is its key, `name` is for people. `due`: when it is tried next; `ended`: when
    nothing more was to be done; `result`: SENT, or why not."""

    notice: StoredNotice
    address: str
    name: str
    due: float
    tries: int
    ended: float | None
    result: str


def memories(registry: Registry) -> dict[RuleName, Memory]:
    """What each rule remembers; those that have not looked yet are missing."""
    with registry.reading("notice_rules"):
        states = _states(registry)
        return {rule: conditions.from_json(states[rule]) for rule in RuleName if rule in states}


def load_tally(registry: Registry) -> Tally:
    """The tasks of the last day."""
    with registry.reading("notice_rules"):
        found = _states(registry).get(_TALLY)
        return tally.from_json(found) if found else {}


def _states(registry: Registry) -> dict[str, str]:
    rows = registry.sql.execute("SELECT rule, state FROM notice_rules")
    return {text(rule): text(state) for rule, state in rows}


def look(
    registry: Registry,
    seen: Sightings,
    settings: RuleSettings,
    targets: Sequence[NotifyAddress],
    *,
    counted: Tally | None = None,
    quiet: bool = False,
) -> tuple[Notice, ...]:
    """Let the rules look, and commit what they remember then, with their notices. Returns the notices; none, and
    nothing is done, if another process has looked meanwhile."""
    with registry.reading("notice_rules"):
        states = _states(registry)
    found = judge(seen, settings, memories(registry), quiet=quiet)
    # The server waits for nothing longer than a commit, so all that takes time is done before this one.
    after = {str(rule): conditions.to_json(memory) for rule, memory in found.memories.items()}
    if counted is not None:
        after[_TALLY] = tally.to_json(counted)
    changed = {rule: state for rule, state in after.items() if state != states.get(rule)}
    gone = set(states) - set(after) - {_TALLY}
    if not changed and not gone:
        return ()
    with registry.transaction():
        if _states(registry) != states:
            return ()
        registry.sql.executemany("DELETE FROM notice_rules WHERE rule = ?", [(rule,) for rule in gone])
        registry.sql.executemany("INSERT OR REPLACE INTO notice_rules VALUES (?, ?)", list(changed.items()))
        for notice in found.notices:
            _add(registry, notice, targets, seen.now)
    return found.notices


def forget_rules(registry: Registry) -> None:
    """Let all rules begin anew: nobody is told anything."""
    if registry.sql.execute("SELECT 1 FROM notice_rules LIMIT 1").fetchone():
        with registry.transaction():
            registry.sql.execute("DELETE FROM notice_rules")


def _add(registry: Registry, notice: Notice, targets: Sequence[NotifyAddress], now: float) -> None:
    added = registry.sql.execute(
        "INSERT INTO notices (rule, level, title, body, made) VALUES (?, ?, ?, ?, ?)",
        (str(notice.rule), notice.level, notice.title, notice.body, now),
    )
    registry.sql.executemany(
        "INSERT INTO deliveries (notice, address, name, due, tries, result) VALUES (?, ?, ?, ?, 0, '')",
        [(added.lastrowid, target.key, target.shown, now) for target in targets],
    )


def claim(registry: Registry, targets: Sequence[NotifyAddress], busy: Iterable[str], now: float) -> list[Delivery]:
    """Claim the next delivery of each address that has one to try now, is not `busy`, and is still configured. What
    cannot be delivered any more ends here."""
    keys = {target.key for target in targets}
    chosen: dict[str, Delivery] = {}
    if not pending(registry):
        return []
    with registry.transaction():
        for each in _deliveries(registry, "WHERE ended IS NULL ORDER BY notice, address"):
            if each.address not in keys:
                _end(registry, each, now, "its address is not in the configuration any more")
            elif each.tries >= FEWEST_TRIES and now - each.notice.made > GIVE_UP:
                _end(registry, each, now, f"given up after a day: {each.result or 'nobody knows whether it arrived'}")
            elif each.address not in chosen and each.address not in busy and _is_due(each, now):
                chosen[each.address] = each
        for each in chosen.values():
            registry.sql.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ? WHERE notice = ? AND address = ?",
                (now + LEASE, each.notice.id, each.address),
            )
    return list(chosen.values())


def _is_due(delivery: Delivery, now: float) -> bool:
    # One that is due much later was put off before the clock was set back.
    return delivery.due <= now or delivery.due > now + LAST_RETRY


def record(registry: Registry, delivery: Delivery, trouble: str, now: float) -> None:
    """Mark a claimed delivery as sent, or, with the `trouble` in words, put it off: twice as long as the last time. The
    other notices for this address wait as well."""
    if not trouble:
        with registry.transaction():
            _end(registry, delivery, now, SENT)
        return
    due = now + min(FIRST_RETRY * 2.0 ** min(delivery.tries, 10), LAST_RETRY)
    with registry.transaction():
        registry.sql.execute(
            "UPDATE deliveries SET result = ? WHERE notice = ? AND address = ? AND ended IS NULL",
            (trouble, delivery.notice.id, delivery.address),
        )
        registry.sql.execute(
            "UPDATE deliveries SET due = ? WHERE address = ? AND ended IS NULL AND (due < ? OR notice = ?)",
            (due, delivery.address, due, delivery.notice.id),
        )


def _end(registry: Registry, delivery: Delivery, now: float, result: str) -> None:
    registry.sql.execute(
        "UPDATE deliveries SET ended = ?, result = ? WHERE notice = ? AND address = ? AND ended IS NULL",
        (now, result, delivery.notice.id, delivery.address),
    )


def prune(registry: Registry, now: float) -> None:
    """Delete old notices that nothing more is to be done for."""
    with registry.transaction():
        registry.sql.execute(
            "DELETE FROM notices WHERE id NOT IN (SELECT notice FROM deliveries WHERE ended IS NULL) AND (made < ?"
            " OR id NOT IN (SELECT id FROM notices ORDER BY id DESC LIMIT ?))",
            (now - KEPT_SECONDS, KEPT_NOTICES),
        )


def recent(registry: Registry, most: int) -> list[tuple[StoredNotice, list[Delivery]]]:
    """The last notices with their deliveries, the latest first."""
    with registry.reading("notices"):
        rows = registry.sql.execute(
            "SELECT id, rule, level, title, body, made FROM notices ORDER BY id DESC LIMIT ?", (most,)
        )
        notices = [_notice(row) for row in rows]
    found: dict[int, list[Delivery]] = {notice.id: [] for notice in notices}
    if notices:
        for each in _deliveries(registry, "WHERE notice >= ? ORDER BY notice, name", (notices[-1].id,)):
            found.setdefault(each.notice.id, []).append(each)
    return [(notice, found[notice.id]) for notice in notices]


def _deliveries(registry: Registry, condition: str, values: tuple[int, ...] = ()) -> list[Delivery]:
    with registry.reading("deliveries"):
        rows = registry.sql.execute(
            "SELECT n.id, n.rule, n.level, n.title, n.body, n.made, d.address, d.name, d.due, d.tries, d.ended,"  # noqa: S608
            f" d.result FROM (SELECT * FROM deliveries {condition}) AS d JOIN notices AS n ON n.id = d.notice"
            " ORDER BY n.id, d.name",
            values,
        )
        return [_delivery(row) for row in rows]


def _notice(row: Sequence[object]) -> StoredNotice:
    ident, rule, level, title, body, made = row
    return StoredNotice(whole(ident), text(rule), text(level), text(title), text(body), moment(made))


def _delivery(row: Sequence[object]) -> Delivery:
    address, name, due, tries, ended, result = row[6:]
    over = None if ended is None else moment(ended)
    return Delivery(_notice(row[:6]), text(address), text(name), moment(due), whole(tries), over, text(result))


def last_told(registry: Registry) -> dict[str, float]:
    """When each rule told something last, of the notices that are kept; in seconds since the epoch."""
    with registry.reading("notices"):
        rows = registry.sql.execute("SELECT rule, max(made) FROM notices GROUP BY rule")
        return {text(rule): moment(made) for rule, made in rows}


def pending(registry: Registry) -> int:
    """How many deliveries are still to be made."""
    count: int = registry.sql.execute("SELECT count(*) FROM deliveries WHERE ended IS NULL").fetchone()[0]
    return count
