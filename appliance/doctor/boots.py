"""The latest boots, where they show a fault of the network and not of one PC."""

import time
from collections.abc import Iterable

from appliance.config.file import Config
from appliance.doctor.finding import Finding, note, ok, warning
from appliance.errors import UserError
from appliance.journal import history
from appliance.journal.timeline import CURES, GRUB, Boot
from appliance.registry.database import Registry
from appliance.registry.overview import boots_that_loaded


def judge(boots: Iterable[Boot], now: float) -> list[Finding]:
    """`boots` are the PCs' latest ones; `now` is in seconds since the epoch."""
    found: dict[str, list[Boot]] = {}
    for boot in boots:
        if diagnosis := boot.diagnosis(now):
            found.setdefault(diagnosis, []).append(boot)
    return [
        warning(
            "boots",
            f"{diagnosis}: {', '.join(str(boot.mac) for boot in stuck)}",
            "shim and GRUB came from the box, but GRUB asks the server named in the PC's lease for the rest",
            "; or ".join(CURES),
        )
        for diagnosis, stuck in found.items()
    ] or [ok("boots", "no PC is known to be stuck")]


def check(config: Config) -> list[Finding]:
    """Look at the latest boots that may be stuck that way."""
    if not config.registry.exists():
        return judge((), 0.0)
    try:
        with Registry(config.registry) as registry:
            return judge(history.read(registry, boots_that_loaded(registry, GRUB)), time.time())
    except UserError as unreadable:
        return [note("boots", f"not checked: {unreadable.message}")]
