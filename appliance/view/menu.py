"""A PC's boot menu, as people and scripts see it: `menu show` and its --json. PURE."""

from dataclasses import dataclass

from appliance.boot.menu import MenuDecision


@dataclass(frozen=True, slots=True)
class MenuEntryView:
    """One line of the menu; `locked`: it needs the password."""

    name: str
    title: str
    locked: bool


@dataclass(frozen=True, slots=True)
class MenuView:
    """The menu and where its settings come from. `timeout` is in seconds, `missing` names what was left out and why."""

    default: str
    default_from: str
    timeout: int
    timeout_from: str
    root: str
    entries: tuple[MenuEntryView, ...]
    missing: tuple[str, ...]


def menu_view(decided: MenuDecision, root: str) -> MenuView:
    """The menu; `root` is how the PC gets the live system, "nfs" or "http"."""
    menu = decided.menu
    return MenuView(
        default=menu.default,
        default_from=decided.default_from,
        timeout=menu.timeout,
        timeout_from=decided.timeout_from,
        root=root,
        entries=tuple(MenuEntryView(each.name, each.title, each.locked) for each in menu.entries),
        missing=decided.missing,
    )
