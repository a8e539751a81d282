"""A boot as people and scripts see it. PURE."""

from dataclasses import dataclass

from appliance.journal.timeline import Boot, Stage, Transfer


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage and when it was reached, in seconds since the boot started."""

    stage: Stage
    at: float


@dataclass(frozen=True, slots=True)
class BootView:
    """One boot. `started` and `last_event` are in seconds since the epoch, sizes in bytes. The token is left out."""

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
    diagnosis: str
    last_event: float
    stalled: bool


def boot_view(boot: Boot, now: float) -> BootView:
    """The boot as it stands at `now`, in seconds since the epoch."""
    return BootView(
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
        diagnosis=boot.diagnosis(now),
        last_event=boot.last_event,
        stalled=boot.stalled(now),
    )
