"""What is wrong with a PC, as a value: cause and cure in words, and what the box has seen that shows it. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.heartbeats.records import StoredHeartbeat
from appliance.registry.records import IgnoredRow

SECURE_BOOT_CURES = (
    "name the box as next-server (siaddr) in the site's DHCP server",
    'let the box be the DHCP server: [dhcp] mode = "server"',
)
"""What helps where GRUB asks the site's DHCP server for its files."""

SWITCH_OFF = "switch Secure Boot off in its firmware"
TRY_SHIM = (
    "switch it on again: it is offered Debian's signed loader, which each new image has (netboot-appliance image build)"
)

STATE_FULL = "give each PC more ([nfs] state_limit), or BOINC less of it ([boinc.preferences] disk_max_used_gb)"
SERVER_FULL = "make room on the server: netboot-appliance image prune, or a larger disk for [server] data"
READ_ONLY = "look at the server's disk and its log (journalctl -k); then sudo netboot-appliance exports apply"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a PC does not boot or compute. PCs with the same fault have the same `cause` and `cure`; `detail` is what
    differs between them, or empty. Not `failing`: it is as it was asked for, such as to compute only at night."""

    cause: str
    cure: str
    detail: str = ""
    failing: bool = True

    @property
    def words(self) -> str:
        """The cause, with the detail."""
        return f"{self.cause} ({self.detail})" if self.detail else self.cause


@dataclass(frozen=True, slots=True)
class BoxTrouble:
    """What is wrong with the box itself, in words; empty where nothing is. `exports`: why they are not in force.
    `disk`: why nothing can be saved."""

    exports: str = ""
    disk: str = ""


@dataclass(frozen=True, slots=True)
class DueOff:
    """By when a PC should have gone, in seconds since the epoch: because of an order, or because its window has
    ended."""

    at: float
    by_order: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What the box has seen of a PC beside its boot. `refused` has the refusals in its name, `claims` who else uses its
    address, in words. `menu` is how long its menu waits, in seconds; 0: it has none. `heartbeat` is its latest one, and
    `off` whether it was switched off after that. `image` is the image that its range names, or empty.
    `due_off`: by when it should have gone, if it should."""

    refused: tuple[IgnoredRow, ...] = ()
    claims: tuple[str, ...] = ()
    menu: int = 0
    heartbeat: StoredHeartbeat | None = None
    off: bool = False
    box: BoxTrouble = field(default_factory=BoxTrouble)
    image: str = ""
    due_off: DueOff | None = None


NOTHING = Seen()


@dataclass(frozen=True, slots=True)
class FaultGroup:
    """PCs with the same fault: each with its name and its detail."""

    cause: str
    cure: str
    failing: bool
    pcs: tuple[tuple[str, str], ...]

    @property
    def shared(self) -> str:
        """The detail, if it is the same for several PCs; else empty."""
        details = {detail for _, detail in self.pcs}
        return details.pop() if len(self.pcs) > 1 and len(details) == 1 else ""

    def named(self, most: int) -> str:
        """The PCs in words, at most `most` of them."""
        shown = ", ".join(f"{name} ({detail})" if detail else name for name, detail in self.pcs[:most])
        return f"{shown} and {len(self.pcs) - most} more" if len(self.pcs) > most else shown


def grouped(found: Iterable[tuple[str, Diagnosis]]) -> list[FaultGroup]:
    """PCs by their faults, the fault of most PCs first. `found` has the name of each PC and its diagnosis."""
    groups: dict[tuple[str, str, bool], list[tuple[str, str]]] = {}
    for name, diagnosis in found:
        key = (diagnosis.cause, diagnosis.cure, diagnosis.failing)
        groups.setdefault(key, []).append((name, diagnosis.detail))
    listed = [FaultGroup(*key, tuple(pcs)) for key, pcs in groups.items()]
    return sorted(listed, key=lambda group: (not group.failing, -len(group.pcs)))
