"""What a boot shows: how long it has been silent, whether a file has stopped on its way, what came before. PURE."""

from appliance.journal.timeline import STALLED_AFTER, Boot, Stage, Transfer

STOPPED_AFTER = 60.0
"""A loader that has taken nothing of a file for so long has stopped: iPXE gives a connection up sooner."""


def silent(boot: Boot, now: float) -> bool:
    """Whether the PC has not been heard for as long as a boot that goes well never is."""
    return now - boot.last_event > STALLED_AFTER


def no_further(boot: Boot, stage: Stage) -> bool:
    """Whether the boot before ended in `stage`, as one before that did, and this one has not come further."""
    before = boot.returned
    if before is None or before.stage != stage or before.times < 2:
        return False
    return boot.stage is None or _ORDER.index(boot.stage) <= _ORDER.index(stage)


def stuck(transfer: Transfer, boot: Boot, now: float) -> bool:
    """Whether a file that was begun is not coming any more."""
    if transfer.sent >= transfer.size:
        return False
    return bool(transfer.failed) or now - boot.last_event > STOPPED_AFTER


def transfer_of(boot: Boot, name: str) -> Transfer | None:
    """The file of this name on its way to the PC."""
    return next((t for t in boot.transfers if name_of(t.path) == name), None)


def name_of(path: str) -> str:
    """A file's name without its directories."""
    return path.rsplit("/", 1)[-1]


def progress(transfer: Transfer) -> str:
    """How far a file came."""
    return f"after {transfer.sent / 1000:,.0f} kB of {transfer.size / 1000:,.0f} kB"


def times(boot: Boot) -> str:
    """How often the PC was started in vain."""
    assert boot.returned is not None
    minutes = max(1, round((boot.started - boot.returned.since) / 60))
    return f"{boot.returned.times + 1} times in {minutes} min"


_ORDER = tuple(Stage)
