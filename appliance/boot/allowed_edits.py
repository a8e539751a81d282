"""Edits of the allowlist, as verbs, page and API make them: checked, each in one commit.

Each raises UserError, and then nothing was changed. Settings are given by their names in the text form: `default`,
`timeout`, `root`, `schedule` and `image`. An empty one is removed, one that is not named stays as it is.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from appliance import allowlist
from appliance.allowlist import Entry
from appliance.config import images
from appliance.config.file import Config
from appliance.errors import NotFoundError, UserError
from appliance.registry.database import Registry
from appliance.schedules.name import unknown
from image import names as image_names
from services.ethernet import MacRange

NOTHING = "nothing was changed"


@dataclass(frozen=True, slots=True)
class AllowedEdit:
    """An entry before and after an edit; `before` is None if there was none."""

    before: Entry | None
    after: Entry


@dataclass(frozen=True, slots=True)
class RemovedEntry:
    """The range that was removed, and the entry that still allows its first address, if one does."""

    range: MacRange
    rest: Entry | None


def add(
    registry: Registry, config: Config, text: str, label: str | None, named: Mapping[str, str], *, wide: bool = False
) -> AllowedEdit:
    """Allow the range `text`. If it has an entry already, that gets the label, unless it is None, and what is named.
    One with more addresses than allowlist.WIDEST only if `wide`: it lets strangers in."""
    entry = require_new(config, text, label, named, wide=wide)
    changed = registry.change_allowed(entry.range, lambda known: _changed(known, label, named))
    if changed is None:
        registry.allow([entry])
        return AllowedEdit(None, entry)
    return AllowedEdit(*changed)


def require_new(config: Config, text: str, label: str | None, named: Mapping[str, str], *, wide: bool = False) -> Entry:
    """The entry that `add` would make, if it may be made."""
    entry = entry_of(text, label, named)
    if why := allowlist.not_of_pcs(entry.range):
        raise UserError(f"{why}; {NOTHING}", "the PC's own address is on its screen at a network boot, or on a label")
    if not wide and entry.range.size > allowlist.WIDEST:
        raise UserError(
            f"{entry.range} has {entry.range.size:,} addresses, more than one maker's prefix; {NOTHING}",
            f"if you mean it: netboot-appliance allow add {entry.range} --yes",
        )
    _check(config, named)
    return entry


def change(registry: Registry, config: Config, text: str, label: str | None, named: Mapping[str, str]) -> AllowedEdit:
    """Change the entry of the range `text`: its label, unless that is None, and what is named."""
    span = entry_of(text).range
    _check(config, named)
    changed = registry.change_allowed(span, lambda known: _changed(known, label, named))
    if changed is None:
        raise NotFoundError(f"there is no entry {span}; {NOTHING}", "list the entries: netboot-appliance allow list")
    return AllowedEdit(*changed)


def remove(registry: Registry, text: str) -> RemovedEntry:
    """Remove the entry of the range `text`."""
    span = entry_of(text).range
    if not registry.disallow(span):
        raise _no_entry(span, registry.allowlist())
    return RemovedEntry(span, registry.allowlist().decide(span.first))


def require_entry(registry: Registry, text: str) -> MacRange:
    """The range `text`, which has an entry; raises NotFoundError if it has none."""
    span, allowed = entry_of(text).range, registry.allowlist()
    if allowed.find(span) is None:
        raise _no_entry(span, allowed)
    return span


def _no_entry(span: MacRange, allowed: allowlist.Allowlist) -> NotFoundError:
    holder = allowed.decide(span.first)
    label = f" ({holder.label})" if holder and holder.label else ""
    hint = (
        f"it is allowed by {holder.range}{label}; remove that, or use: netboot-appliance allow edit"
        if holder
        else "list the entries: netboot-appliance allow list"
    )
    return NotFoundError(f"there is no entry {span}; {NOTHING}", hint)


def entry_of(text: str, label: str | None = None, named: Mapping[str, str] | None = None) -> Entry:
    """A new entry from what a person typed."""
    try:
        return allowlist.changed(Entry(MacRange.parse(text)), label, named or {})
    except ValueError as error:
        raise UserError(str(error), NOTHING) from None


def check_schedules(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names of schedules that are not among the `known` ones."""
    if missing := sorted(set(names) - {"", *known}):
        message, hint = unknown(missing[0], known)
        raise UserError(f"{message}; {NOTHING}", hint)


def check_images(names: Iterable[str], there: Collection[str]) -> None:
    """Refuse names of images that are not among those that are `there`."""
    if missing := sorted(set(names) - {"", *there}):
        message, hint = image_names.unknown(missing[0], there)
        raise UserError(f"{message}; {NOTHING}", hint)


def _changed(entry: Entry, label: str | None, named: Mapping[str, str]) -> Entry:
    try:
        return allowlist.changed(entry, label, named)
    except ValueError as error:
        raise UserError(str(error), NOTHING) from None


def _check(config: Config, named: Mapping[str, str]) -> None:
    """Refuse what the configuration does not have."""
    if named.get("default") in config.menu.locked:
        raise UserError(
            f"{named['default']} is locked in [menu], and nobody will be there to type the password; {NOTHING}",
            "choose another entry: netboot-appliance menu show",
        )
    check_schedules([named.get("schedule", "")], config.schedules)
    if image := named.get("image"):
        images.check(config, image)
