"""Reads which machines were refused, and who made them. Blocks."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from appliance.admission.makers import TABLES, find_makers
from appliance.errors import NotFoundError
from appliance.registry.database import Registry
from appliance.view.refused import RefusedView, refused_macs, refused_views
from services.ethernet import MacAddress

FOLDERS = (Path("/var/lib/ieee-data"), Path("/usr/share/ieee-data"))
"""Where Debian's ieee-data has its tables. Those that an administrator has fetched since come first."""

LARGEST = 64 << 20
"""Bytes of a table that are read: the longest has 3 MB."""


def gather_refused(registry: Registry, folders: Sequence[Path] = FOLDERS) -> list[RefusedView]:
    """The machines that were refused and still are, the one heard last first. Takes 50 ms with the tables."""
    rows, allowlist = registry.ignored(), registry.allowlist()
    macs = refused_macs(rows, allowlist)
    return refused_views(rows, allowlist, makers_of(macs, folders) if macs else {})


def find_refused(registry: Registry, mac: MacAddress, folders: Sequence[Path] = FOLDERS) -> RefusedView:
    """One of them; raises NotFoundError if this machine was not refused lately."""
    for each in gather_refused(registry, folders):
        if each.mac == str(mac):
            return each
    allowed = mac in registry.allowlist()
    hint = "nothing was changed" if allowed else "see who was: netboot-appliance allow refused; nothing was changed"
    raise NotFoundError(f"{mac} {'is allowed already' if allowed else 'was not refused'}", hint)


def makers_of(macs: Sequence[MacAddress], folders: Sequence[Path] = FOLDERS) -> dict[MacAddress, str]:
    """The makers' names, as far as the tables are installed."""
    return find_makers((_table(name, folders) for name in TABLES), macs)


def _table(name: str, folders: Sequence[Path]) -> str:
    for folder in folders:
        with suppress(OSError), (folder / name).open(encoding="utf-8", errors="replace") as file:
            if text := file.read(LARGEST):
                return text
    return ""
