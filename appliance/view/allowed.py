"""The allowlist as scripts see it: `allow list --json`, `allow check --json`. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.allowlist import Allowlist, Entry
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry. `default`, `timeout` (in seconds) and `root` are None where its PCs follow the configuration;
    `schedule` is None if they compute at any time, `image` if they boot the default one."""

    range: str
    first: str
    last: str
    label: str
    default: str | None
    timeout: int | None
    root: str | None
    schedule: str | None
    image: str | None


@dataclass(frozen=True, slots=True)
class AllowedCheck:
    """Whether a PC may boot, and the entry that allows it, or None."""

    mac: str
    allowed: bool
    entry: EntryView | None


def allowed_check(allowlist: Allowlist, mac: MacAddress) -> AllowedCheck:
    """Whether this PC may boot."""
    entry = allowlist.decide(mac)
    return AllowedCheck(str(mac), entry is not None, entry_views([entry])[0] if entry else None)


def entry_views(entries: Iterable[Entry]) -> list[EntryView]:
    """The entries in the order given."""
    return [
        EntryView(
            range=str(entry.range),
            first=str(entry.range.first),
            last=str(entry.range.last),
            label=entry.label,
            default=entry.settings.entry or None,
            timeout=entry.settings.timeout,
            root=entry.settings.root or None,
            schedule=entry.settings.schedule or None,
            image=entry.settings.image or None,
        )
        for entry in entries
    ]
