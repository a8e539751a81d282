"""The words of a notice: what happened, to which PCs, why, and what to do. PURE.

Plain text, short, and the most important first: it is read on a phone. A list of PCs is cut, and says how many more
there are. Every line passes through services/foreign_text.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.control.notify.conditions import Observation
from appliance.control.notify.rules import RuleName
from appliance.control.notify.sightings import Sightings
from appliance.heartbeats.states import ON, Kind
from services.foreign_text import printable

LONGEST_TITLE = 150
LONGEST_LINE = 1000
MOST_LINES = 100
_NAMED, _DETAILED, _GROUPS, _CAUSES = 8, 20, 20, 12


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told. `level` is info, good or warning; `body` has lines. Both texts are harmless."""

    rule: RuleName
    level: str
    title: str
    body: str


def compose(rule: RuleName, found: Sequence[Observation], seen: Sightings) -> Notice:
    """The notice of what a rule has found; at least one observation."""
    title = _title(rule, found)
    match rule:
        case RuleName.BOOTED:
            level, lines = "info", list(_list(found))
        case RuleName.IMAGES:
            level = "warning" if any(each.key.startswith("failed") for each in found) else "info"
            lines = [line for each in found for line in _cause(each.name, each.cure, ())]
        case RuleName.CANARY:
            level = "warning" if any(each.cure for each in found) else "info"
            lines = [line for each in found for line in _cause(each.cause, each.cure, ())]
        case RuleName.DIGEST:
            level, lines = "info", list(_week(seen))
        case RuleName.FAULTS | RuleName.SILENT | RuleName.NOT_WOKEN:
            level, lines = "warning", list(_causes(found, pcs=True))
        case _:
            level, lines = "warning", list(_causes(found, pcs=False))
    return _notice(rule, level, title, lines, seen)


def compose_over(rule: RuleName, names: Sequence[str], seen: Sightings) -> Notice:
    """The notice that what was told is over; at least one name."""
    names = list(dict.fromkeys(names))
    many = _counted(len(names), "PC", "PCs")
    match rule:
        case RuleName.SILENT:
            title = f"Heard again: {many if len(names) > 1 else names[0]}"
        case RuleName.NOT_WOKEN:
            title = f"Came after all: {many if len(names) > 1 else names[0]}"
        case RuleName.FAULTS:
            title = f"Over: {many} had a fault" if len(names) > 1 else f"Over: {names[0]} had a fault"
        case RuleName.KEY_REFUSED:
            title = "Over: a project had refused the account key"
        case RuleName.NO_WORK:
            title = "Over: there is work again"
        case RuleName.DISK:
            title = "Over: there is room on the disk again"
        case _:
            title = f"Over: {names[0]}"
    states = {each.mac: each.state for each in seen.pcs.values()}
    lines = []
    for name in names[:_DETAILED]:
        mac = name[-18:-1] if name.endswith(")") else name
        lines.append(f"{name}: {states[mac]}" if mac in states else name)
    lines += [f"and {len(names) - _DETAILED} more"] if len(names) > _DETAILED else []
    return _notice(rule, "good", title, lines, seen)


def trial(seen: Sightings) -> Notice:
    """What `notify test` sends."""
    lines = ["If you read this, notices reach you. What is told, and when: netboot-appliance notify rules"]
    return _notice(RuleName.SERVER, "info", "Test: notices reach you", lines, seen)


def _notice(rule: RuleName, level: str, title: str, lines: Sequence[str], seen: Sightings) -> Notice:
    shown = [printable(line, LONGEST_LINE) for line in lines[:MOST_LINES]]
    at = datetime.fromtimestamp(seen.now, seen.zone).strftime("%Y-%m-%d %H:%M")
    shown += ["", f"{printable(seen.box)}, {at}", *([printable(seen.page)] if seen.page else [])]
    return Notice(rule, level, printable(f"[{seen.box}] {title}", LONGEST_TITLE), "\n".join(shown))


def _title(rule: RuleName, found: Sequence[Observation]) -> str:
    first = found[0]
    one = len(found) == 1
    who = first.name if one else _counted(len(found), "PC", "PCs") + _of_one_label(found)
    match rule:
        case RuleName.BOOTED:
            return f"Up: {who}"
        case RuleName.SILENT:
            return f"Silent: {who}"
        case RuleName.NOT_WOKEN:
            return f"Not woken: {who}"
        case RuleName.FAULTS:
            causes = {each.cause for each in found}
            return f"{who}: {first.cause}" if len(causes) == 1 else f"{who} do not come up, or cannot compute"
        case RuleName.DIGEST:
            return "The week in figures"
        case RuleName.IMAGES:
            bad = next((each for each in found if each.key.startswith("failed")), found[-1])
            return _capital(bad.name)
        case RuleName.CANARY:
            return _capital(first.name)
        case _:
            return _capital(first.cause) + ("" if one else f", and {len(found) - 1} more")


def _of_one_label(found: Sequence[Observation]) -> str:
    labels = {each.group for each in found}
    return f" of {found[0].group}" if len(labels) == 1 and found[0].group else ""


def _causes(found: Sequence[Observation], *, pcs: bool) -> Iterator[str]:
    """Cause by cause, that of most observed first."""
    causes: dict[tuple[str, str], list[Observation]] = {}
    for each in found:
        causes.setdefault((each.cause, each.cure), []).append(each)
    ordered = sorted(causes.items(), key=lambda item: -len(item[1]))
    for number, ((cause, cure), those) in enumerate(ordered[:_CAUSES]):
        if number:
            yield ""
        lines = _list(those) if pcs else filter(None, (_facts(each, cause) for each in those))
        yield from _cause(cause, cure, lines)
    if len(ordered) > _CAUSES:
        yield f"and {len(ordered) - _CAUSES} other causes"


def _facts(observation: Observation, cause: str) -> str:
    return "; ".join(filter(None, ("" if observation.name == cause else observation.name, observation.detail)))


def _cause(cause: str, cure: str, lines: Iterable[str]) -> Iterator[str]:
    yield _capital(cause)
    yield from lines
    if cure:
        yield f"Do: {cure}"


def _list(found: Sequence[Observation]) -> Iterator[str]:
    """The PCs, label by label: each on a line of its own with its detail, or some of a label on one line."""
    if any(each.detail for each in found) and len(found) <= _DETAILED:
        yield from (f"- {each.name}{f': {each.detail}' if each.detail else ''}" for each in found)
        return
    groups: dict[str, list[Observation]] = {}
    for each in found:
        groups.setdefault(each.group, []).append(each)
    for label, those in list(groups.items())[:_GROUPS]:
        macs = [each.key.split(" ", 1)[0] for each in those[:_NAMED]]
        more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
        yield f"- {f'{label}: ' if label else ''}{', '.join(macs)}{more}"
    if len(groups) > _GROUPS:
        yield f"- and {_counted(len(groups) - _GROUPS, 'other label', 'other labels')}"


def _week(seen: Sightings) -> Iterator[str]:
    if week := seen.week:
        yield f"Computed: {week.computed:,.0f} core-hours, by {_counted(week.pcs, 'PC', 'PCs')}"
        yield f"Credit: {week.credit:,.0f}"
        yield f"On: {week.powered:,.0f} PC-hours"
    kinds = [pc.kind for pc in seen.pcs.values() if pc.loads]
    on, computing = sum(kind in ON for kind in kinds), kinds.count(Kind.COMPUTING)
    yield f"Now: {on:,} of {_counted(len(kinds), 'PC', 'PCs')} on, {computing:,} computing"
    faults: dict[tuple[str, str], list[Observation]] = {}
    for pc in seen.pcs.values():
        if pc.fault and pc.fault.failing:
            observation = Observation(pc.mac, pc.mac, pc.fault.cause, pc.fault.cure, pc.label)
            faults.setdefault((observation.cause, observation.cure), []).append(observation)
    needs = [observation for those in faults.values() for observation in those]
    troubles = [Observation(what, what, what, cure) for what, cure in seen.trouble]
    if needs or troubles:
        yield from ("", "What needs a person:")
        yield from _causes(troubles, pcs=False)
        yield from _causes(needs, pcs=True)
    else:
        yield "Nothing needs a person."


def _capital(text: str) -> str:
    """As a sentence begins, unless an address does."""
    return text if "://" in text.split(" ", 1)[0] else text[:1].upper() + text[1:]


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
