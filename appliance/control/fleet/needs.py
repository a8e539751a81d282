"""What needs a person first: faults of PCs in the doctor's words, and those of the box itself. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.control.fleet.pcs import PcFacts
from appliance.diagnosis.fault import BoxTrouble, FaultGroup, grouped
from appliance.registry.reload_result import ReloadResult
from appliance.view.kept_work import GIVE_BACK, LIST, KeptWorkView

_MOST = 20
"""Faults that are shown. Each PC's own page has its own."""

_DOCTOR = "sudo netboot-appliance doctor"


@dataclass(frozen=True, slots=True)
class Need:
    """What is wrong, and what cures it."""

    cause: str
    cure: str


@dataclass(frozen=True, slots=True)
class Needs:
    """`box`: what is wrong with the box, which comes first. `faults`: those of PCs, by their MAC addresses, those of
    most PCs first; `more` are left out. `waits`: PCs that do not compute because somebody wants it so."""

    box: tuple[Need, ...] = ()
    faults: tuple[FaultGroup, ...] = ()
    more: int = 0
    waits: tuple[FaultGroup, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.box or self.faults)


def needs(box: tuple[Need, ...], pcs: Iterable[PcFacts]) -> Needs:
    """The needs of the box and of these PCs."""
    found = grouped((each.mac, each.diagnosis) for each in pcs if each.diagnosis)
    failing = [group for group in found if group.failing]
    waits = tuple(group for group in found if not group.failing)
    return Needs(box, tuple(failing[:_MOST]), max(0, len(failing) - _MOST), waits)


def of_box(
    running: bool,
    server: Mapping[str, Any],
    reload: ReloadResult | None,
    trouble: BoxTrouble,
    image: bool,
    kept: KeptWorkView | None = None,
) -> tuple[Need, ...]:
    """What is wrong with the box. `server` is what the server wrote about itself; `image`: a release is active; `kept`
    is the work of forgotten PCs."""
    if not running:
        return (Need("The server is not running: PCs cannot boot", "sudo systemctl start netboot-appliance"),)
    found = [Need(f"PCs cannot reach the server: {line}", _DOCTOR) for line in server.get("trouble", [])]
    if trouble.disk:
        found.append(Need(trouble.disk, _DOCTOR))
    if trouble.exports:
        found.append(Need(f"The NFS exports are not in force: {trouble.exports}", _DOCTOR))
    if reload and reload.error:
        cure = reload.hint or "netboot-appliance config check"
        found.append(Need(f"The last reload was rejected, the old configuration stays: {reload.error}", cure))
    if not image:
        found.append(Need("No image is active: PCs have nothing to boot", "sudo netboot-appliance image build"))
    if kept and kept.soon:
        found.append(Need(f"Work will be lost: {kept.words}", f"{LIST}; {GIVE_BACK}"))
    return tuple(found)
