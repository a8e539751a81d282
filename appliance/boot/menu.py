"""One PC's boot menu: made from [menu], the settings of its range, `boot next` and what there is to boot. PURE.

Decides which entries there are and which one is the default. services/menus/ renders it.
"""

from dataclasses import dataclass
from functools import lru_cache

from appliance.allowlist import BootSettings
from appliance.config.menu import MenuSettings, release_of
from appliance.journal.timeline import DISK
from services.menus.menu import Action, LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot

TITLE = "netboot-appliance"
MEMTEST = Program("loader/memtest", "loader/memtest.efi")  # image/bootfiles.py
RESCUE = "init=/bin/bash"


@dataclass(frozen=True, slots=True)
class Bootable:
    """What there is to boot: the active release, the one before it, other complete releases, and perhaps memtest.
    `microcode` are those of these releases that have a file with it."""

    active: str
    previous: str | None = None
    releases: frozenset[str] = frozenset()
    memtest: bool = False
    microcode: frozenset[str] = frozenset()

    def live(self, release: str, *, rescue: bool = False) -> LiveBoot:
        """The start of one of the releases."""
        return LiveBoot(release, rescue, release in self.microcode)


@dataclass(frozen=True, slots=True)
class MenuDecision:
    """A menu, where its default and its timeout come from, in words, and which requested entries it lacks and why."""

    menu: Menu
    default_from: str
    timeout_from: str
    missing: tuple[str, ...] = ()


# The PCs of a room get the same menu, one after another.
@lru_cache(maxsize=64)
def decide(
    settings: MenuSettings, range_settings: BootSettings, next_entry: str, bootable: Bootable, outside: str = ""
) -> MenuDecision:
    """The menu of a PC, whose range has the settings `range_settings`.

    `next_entry` is the entry that `boot next` asks for, or empty. It starts at once and without a password: those who
    may run that command are also those who locked the entry. `outside` says why the PC is not to compute now, or is
    empty: then its own disk starts at once, whatever keys are pressed.

    Entries that are not available are left out and named in `missing`. If the default is one of them, the configured
    default takes its place, and after that boinc.
    """
    missing: list[str] = []

    def action(name: str) -> tuple[str, Action] | None:
        found = _action(name, bootable)
        if isinstance(found, str):
            missing.append(found)
            return None
        return found

    range_default = range_settings.entry
    if range_default in settings.locked:
        missing.append(f"{range_default}: it is locked, so it cannot be the default of a range")
        range_default = ""
    choices = (
        (next_entry, "boot next"),
        (DISK if outside else "", outside),
        (range_default, "its range"),
        (settings.default, "[menu]"),
    )
    # An entry that [menu] does not list is in this PC's menu if its range or `boot next` names it.
    names = dict.fromkeys((*settings.entries, *(name for name, _ in choices if name)))
    available = {name: found for name in names if (found := action(name)) is not None}
    default, default_from = next(((name, source) for name, source in choices if name in available), ("boinc", "[menu]"))
    if default not in available:
        available[default] = _boinc(bootable)
    at_once = default_from in ("boot next", outside)
    entries = tuple(
        MenuEntry(name, title, what, locked=name in settings.locked and not (at_once and name == default))
        for name, (title, what) in available.items()
    )
    if at_once:
        timeout, timeout_from = 0, default_from
    elif range_settings.timeout is not None:
        timeout, timeout_from = range_settings.timeout, "its range"
    else:
        timeout, timeout_from = settings.timeout, "[menu]"
    return MenuDecision(Menu(TITLE, entries, default, timeout), default_from, timeout_from, tuple(missing))


def _boinc(bootable: Bootable) -> tuple[str, Action]:
    return f"BOINC (image {bootable.active})", bootable.live(bootable.active)


def _action(name: str, bootable: Bootable) -> tuple[str, Action] | str:
    """The title and the action of an entry, or why it is not available."""
    match name:
        case "boinc":
            return _boinc(bootable)
        case "local":
            return "Local disk", LocalDisk()
        case "reboot":
            return "Restart", Reboot()
        case "rescue":
            return "Rescue shell", bootable.live(bootable.active, rescue=True)
        case "memtest":
            return (
                ("Memory test", MEMTEST)
                if bootable.memtest
                else "memtest: the active image has none: build another one"
            )
        case "previous":
            if bootable.previous is None:
                return "previous: no release was active before this one"
            return f"BOINC (previous image {bootable.previous})", bootable.live(bootable.previous)
    release = release_of(name)
    if release is None or release not in bootable.releases:
        return f"{name}: this release no longer exists"
    return f"BOINC (image {release})", bootable.live(release)
