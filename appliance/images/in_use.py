"""Which releases PCs may be running: those must not be deleted, since a PC reads its root from there until it is off.

PCs do not say when they go off, so this errs on the safe side: whoever is still given the live root by NFS
(appliance/exports/install.py) has it.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from appliance.journal.recorder import history, latest
from appliance.journal.timeline import Boot, Stage
from appliance.registry.database import Registry
from services.ethernet import MacAddress


def running(registry: Registry) -> dict[str, list[MacAddress]]:
    """The releases by id, each with the PCs that may be running it."""
    allowlist = registry.allowlist()
    found: dict[str, list[MacAddress]] = {}
    for boot in latest(registry):
        if boot.mac not in allowlist or not boot.known_addresses:
            continue
        # A boot without its script may be a stranger's DISCOVER, while the PC goes on with its boot before.
        boots = [boot] if boot.has_reached(Stage.SCRIPT) else history(registry, boot.mac)
        for ident in sorted(_of(boots)):
            found.setdefault(ident, []).append(boot.mac)
    return found


def _of(boots: Iterable[Boot]) -> set[str]:
    """The releases of boots; what was transferred counts too, as another may have become active after the DISCOVER."""
    paths = (PurePosixPath(transfer.path).parts for boot in boots for transfer in boot.transfers)
    served = {parts[-2] for parts in paths if len(parts) > 2 and parts[-3] == "image"}
    return served | {boot.release for boot in boots if boot.release}
