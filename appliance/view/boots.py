"""A boot as people and scripts see it. PURE."""

from dataclasses import dataclass

from appliance.diagnosis.examination import diagnose
from appliance.diagnosis.fault import NOTHING, Diagnosis, Seen
from appliance.journal.timeline import Boot, Stage, Transfer
from appliance.view.facts import KnownBoots


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage and when it was reached, in seconds since the boot started."""

    stage: Stage
    at: float


@dataclass(frozen=True, slots=True)
class BootView:
    """One boot. `started` and `last_event` are in seconds since the epoch, sizes in bytes. The token is left out.
    `diagnosis` says what is wrong and what to do; None if nothing is. `stalled`: nothing was heard of it for
    three minutes on its way; one that sends heartbeats is past that."""

    id: int
    mac: str
    started: float
    stage: Stage | None
    stages: tuple[StageView, ...]
    transfers: tuple[Transfer, ...]
    addresses: tuple[str, ...]
    release: str
    entry: str
    host_id: str
    failure: str
    diagnosis: Diagnosis | None
    last_event: float
    stalled: bool


def boot_view(boot: Boot, now: float, seen: Seen = NOTHING) -> BootView:
    """The boot as it stands at `now`, in seconds since the epoch. `seen` is for the PC's latest boot."""
    beats = seen.heartbeat is not None and seen.heartbeat.boot == boot.id
    return BootView(
        id=boot.id,
        mac=str(boot.mac),
        started=boot.started,
        stage=boot.stage,
        stages=tuple(StageView(each.stage, round(each.at - boot.started, 3)) for each in boot.reached),
        transfers=boot.transfers,
        addresses=tuple(map(str, boot.known_addresses)),
        release=boot.release,
        entry=boot.entry,
        host_id=boot.host_id,
        failure=boot.failure,
        diagnosis=diagnose(boot, now, seen),
        last_event=boot.last_event,
        stalled=boot.stalled(now) and not beats,
    )


def boot_views(known: KnownBoots, now: float) -> list[BootView]:
    """The boots in the order given."""
    return [boot_view(boot, now, seen) for boot, seen in known.boots]
