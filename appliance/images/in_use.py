"""Which releases PCs may be running. They must not be deleted: a PC reads its root from there until it is off.

PCs do not say when they are switched off, so this errs on the safe side: a PC to which the live root is still exported
(appliance/exports/grants.py) counts as running, and so does one that was heard within the last day, whatever was asked
in its name since, and whether it may still boot or not.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from appliance.journal.history import history, latest, read
from appliance.journal.timeline import Boot, Stage
from appliance.registry.database import Registry
from services.ethernet import MacAddress

HEARD_WITHIN = 86400.0
"""Seconds. A PC whose heartbeat is older is off, or waits for a server that was away for a day."""


def releases_in_use(registry: Registry, now: float) -> dict[str, list[MacAddress]]:
    """The ids of the releases that PCs may be running at `now`, each with those PCs."""
    allowlist = registry.allowlist()
    found: dict[str, list[MacAddress]] = {}
    for boot in latest(registry):
        if boot.mac not in allowlist or not boot.known_addresses:
            continue
        # A boot without a script may be a stranger's DISCOVER, while the PC is still running its previous boot.
        boots = [boot] if boot.has_reached(Stage.SCRIPT) else history(registry, boot.mac)
        for ident in sorted(_of(boots)):
            found.setdefault(ident, []).append(boot.mac)
    for boot in _heard(registry, now - HEARD_WITHIN):
        for ident in sorted(_of([boot])):
            if boot.mac not in (macs := found.setdefault(ident, [])):
                macs.append(boot.mac)
    return found


def _heard(registry: Registry, since: float) -> list[Boot]:
    """The boots whose live systems were heard since then: a heartbeat has the token of its boot."""
    beats = registry.sql.execute("SELECT mac, boot FROM heartbeats WHERE at > ?", (since,))
    return read(
        registry, (row for mac, boot in beats for row in registry.boot_rows("WHERE id = ? AND mac = ?", (boot, mac)))
    )


def _of(boots: Iterable[Boot]) -> set[str]:
    """The releases of these boots, and those that their transfers name, since another release may have been activated
    after the DISCOVER."""
    paths = (PurePosixPath(transfer.path).parts for boot in boots for transfer in boot.transfers)
    served = {parts[-2] for parts in paths if len(parts) > 2 and parts[-3] == "image"}
    return served | {boot.release for boot in boots if boot.release}
