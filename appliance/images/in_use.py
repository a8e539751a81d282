"""Which releases PCs may be running. They must not be deleted: a PC reads its root from there until it is off.

PCs do not say when they are switched off, so this errs on the safe side: a PC to which the live root is still exported
(appliance/exports/grants.py) counts as running.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from appliance.journal.history import history, latest
from appliance.journal.timeline import Boot, Stage
from appliance.registry.database import Registry
from services.ethernet import MacAddress


def releases_in_use(registry: Registry) -> dict[str, list[MacAddress]]:
    """The ids of the releases that PCs may be running, each with those PCs."""
    allowlist = registry.allowlist()
    found: dict[str, list[MacAddress]] = {}
    for boot in latest(registry):
        if boot.mac not in allowlist or not boot.known_addresses:
            continue
        # A boot without a script may be a stranger's DISCOVER, while the PC is still running its previous boot.
        boots = [boot] if boot.has_reached(Stage.SCRIPT) else history(registry, boot.mac)
        for ident in sorted(_of(boots)):
            found.setdefault(ident, []).append(boot.mac)
    return found


def _of(boots: Iterable[Boot]) -> set[str]:
    """The releases of these boots, and those that their transfers name, since another release may have been activated
    after the DISCOVER."""
    paths = (PurePosixPath(transfer.path).parts for boot in boots for transfer in boot.transfers)
    served = {parts[-2] for parts in paths if len(parts) > 2 and parts[-3] == "image"}
    return served | {boot.release for boot in boots if boot.release}
