"""A PC's menu: its entries, its default and its timeout, and where each comes from."""

from dataclasses import replace

import pytest

from appliance.allowlist import BootSettings
from appliance.boot.menu import MEMTEST, Bootable, MenuDecision, decide
from appliance.config.menu import MenuSettings
from appliance.config.menu_password import scrypt
from services.menus.menu import LiveBoot, LocalDisk, Reboot

NOW, BEFORE, OTHER = "20260301-120000-0123abcd", "20260201-120000-0123abcd", "20260101-120000-0123abcd"
ALL = Bootable(NOW, BEFORE, frozenset({OTHER}), memtest=True)
NONE = Bootable(NOW)
PASSWORD = scrypt("secret")
RANGE, MENU, NEXT = "its range", "[menu]", "boot next"


def made(
    settings: MenuSettings = MenuSettings(),  # noqa: B008 - a value
    own: BootSettings = BootSettings(),  # noqa: B008
    next_entry: str = "",
    bootable: Bootable = ALL,
) -> MenuDecision:
    return decide(settings, own, next_entry, bootable)


def names(decided: MenuDecision) -> list[str]:
    return [entry.name for entry in decided.menu.entries]


def test_without_configuration_boinc_starts_at_once() -> None:
    decided = made(bootable=NONE)
    assert (decided.menu.default, decided.menu.timeout, decided.missing) == ("boinc", 0, ())
    assert (decided.default_from, decided.timeout_from) == (MENU, MENU)
    boinc = decided.menu.entry("boinc")
    assert boinc is not None
    assert boinc.action == LiveBoot(NOW)


def test_every_entry() -> None:
    order = ("reboot", "rescue", "memtest", "previous", "local", f"image:{OTHER}", "boinc")
    decided = made(MenuSettings(order, locked=("rescue", "memtest"), password=PASSWORD))
    assert [(e.name, e.locked) for e in decided.menu.entries] == [(n, n in ("rescue", "memtest")) for n in order]
    actions = [entry.action for entry in decided.menu.entries]
    assert actions == [
        Reboot(),
        LiveBoot(NOW, rescue=True),
        MEMTEST,
        LiveBoot(BEFORE),
        LocalDisk(),
        LiveBoot(OTHER),
        LiveBoot(NOW),
    ]


def test_only_a_release_with_microcode_has_its_loader_take_some() -> None:
    settings = MenuSettings(("boinc", "rescue", "previous", f"image:{OTHER}"))
    for having in ({NOW}, {BEFORE, OTHER}, set[str]()):
        decided = made(settings, bootable=replace(ALL, microcode=frozenset(having)))
        actions = [entry.action for entry in decided.menu.entries]
        found = [(each.release, each.microcode) for each in actions if isinstance(each, LiveBoot)]
        assert found == [(release, release in having) for release in (NOW, NOW, BEFORE, OTHER)]


def test_what_is_not_available_is_left_out_and_named() -> None:
    settings = MenuSettings(("previous", "memtest", f"image:{OTHER}", "local"), "previous")
    decided = made(settings, bootable=NONE)
    assert names(decided) == ["local", "boinc"]
    assert decided.menu.default == "boinc", "something has to boot"
    assert [line.split(": ")[0] for line in decided.missing] == ["previous", "memtest", f"image:{OTHER}"]


@pytest.mark.parametrize(
    ("own", "default", "timeout"),
    [
        (BootSettings(), ("boinc", MENU), (10, MENU)),
        (BootSettings(entry="local"), ("local", RANGE), (10, MENU)),
        (BootSettings(timeout=0), ("boinc", MENU), (0, RANGE)),
        (BootSettings(entry=f"image:{OTHER}", timeout=3), (f"image:{OTHER}", RANGE), (3, RANGE)),
        (BootSettings(entry="image:20250101-120000-0123abcd"), ("boinc", MENU), (10, MENU)),
    ],
)
def test_a_range_has_its_own(own: BootSettings, default: tuple[str, str], timeout: tuple[int, str]) -> None:
    decided = made(MenuSettings(timeout=10), own)
    assert (decided.menu.default, decided.default_from) == default
    assert (decided.menu.timeout, decided.timeout_from) == timeout
    assert default[0] in names(decided), "even if [menu] does not list it"


def test_a_range_s_default_that_is_locked_now_does_not_start_by_itself() -> None:
    settings = MenuSettings(("boinc", "rescue"), timeout=10, locked=("rescue",), password=PASSWORD)
    decided = made(settings, BootSettings(entry="rescue"))
    assert (decided.menu.default, decided.default_from) == ("boinc", MENU)
    rescue = decided.menu.entry("rescue")
    assert rescue is not None
    assert rescue.locked
    assert "rescue: it is locked" in decided.missing[0]


def test_boot_next_starts_at_once_and_without_a_password() -> None:
    settings = MenuSettings(("boinc", "rescue", "memtest"), timeout=10, locked=("rescue", "memtest"), password=PASSWORD)
    decided = made(settings, BootSettings(entry="local", timeout=20), "rescue")
    assert (decided.menu.default, decided.default_from) == ("rescue", NEXT)
    assert (decided.menu.timeout, decided.timeout_from) == (0, NEXT)
    assert [(entry.name, entry.locked) for entry in decided.menu.entries] == [
        ("boinc", False),
        ("rescue", False),
        ("memtest", True),
        ("local", False),
    ]


def test_boot_next_of_an_entry_that_is_gone_boots_as_usual() -> None:
    decided = made(MenuSettings(timeout=10), BootSettings(entry="local"), "memtest", NONE)
    assert (decided.menu.default, decided.menu.timeout) == ("local", 10)


def test_outside_its_window_a_pc_gets_its_own_disk_at_once_unless_boot_next_says_otherwise() -> None:
    why = "it is outside its window"
    settings = MenuSettings(("boinc", "local"), timeout=10, locked=("local",), password=PASSWORD)
    own = BootSettings(entry="boinc", timeout=5)
    decided = decide(settings, own, "", NONE, why)
    assert (decided.menu.default, decided.default_from) == ("local", why)
    assert (decided.menu.timeout, decided.timeout_from) == (0, why)
    disk = decided.menu.entry("local")
    assert disk is not None
    assert not disk.locked
    asked = decide(settings, own, "boinc", NONE, why)
    assert (asked.menu.default, asked.default_from) == ("boinc", NEXT)
