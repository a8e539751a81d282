"""What is known of a client's firmware, as values: what it is doing now, and which offers it accepts. PURE.

What follows from that is decided in rules.py; memory.py keeps it, table.py stores it.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum

from services.dhcp.machines import Machine
from services.dhcp.plan import Profile
from services.values import value


class Why(StrEnum):
    """Why a client has its profile, in the words people read. The registry stores these words."""

    USUAL = ""
    IGNORED = "it ignored the offers before"
    IGNORED_ALL = "it has ignored every kind of offer"
    REFUSED = "it loaded the boot loader and did not start it (Secure Boot, most likely)"
    NEITHER = "neither the usual boot loader nor the signed one got further"
    SAME_FIRMWARE = "this is what other PCs with its firmware take"


class AttemptStage(IntEnum):
    """How far an attempt of the firmware came, in order: NONE is an offer without a reaction, ASKED a question to port
    4011, LOADING and LOADED are about the boot loader's file; STARTED: a boot loader runs."""

    NONE = 0
    ASKED = 1
    LOADING = 2
    LOADED = 3
    STARTED = 4


@value
class FirmwareAttempt:
    """One attempt of the firmware to boot: its DISCOVERs with one xid, and what followed. `secs` and `at` are those of
    the last DISCOVER, and `pending` means that it has no answer yet. `offers` counts our answers; `leased`: it took an
    address meanwhile. `loaded` is when it had the whole file `loader`."""

    fingerprint: str
    machine: Machine | None
    http: bool
    xid: int
    secs: int
    began: float
    at: float
    pending: bool = True
    offers: int = 0
    leased: bool = False
    stage: AttemptStage = AttemptStage.NONE
    loader: str = ""
    loaded: float = 0.0


@value
class FirmwareKnowledge:
    """What is known of one firmware of a client. `worked`: a boot loader offered with this profile has run. `at`: when
    the fields before it changed. The counters end with the process: offers that it ignored, and boots that failed."""

    fingerprint: str
    profile: Profile = Profile.STANDARD
    worked: bool = False
    why: Why = Why.USUAL
    at: float = 0.0
    ignored_offers: int = 0
    failed_boots: int = 0

    @property
    def lasting(self) -> tuple[Profile, bool, Why]:
        """What is worth storing."""
        return self.profile, self.worked, self.why

    @property
    def special(self) -> bool:
        """Whether it differs from the standard offer."""
        return self.profile is not Profile.STANDARD or self.why is not Why.USUAL


@value
class ClientFirmware:
    """One MAC address: the present attempt of its firmware, and what is known of each of its firmwares, with the one
    heard last at the end."""

    attempt: FirmwareAttempt | None = None
    firmwares: tuple[FirmwareKnowledge, ...] = ()

    @property
    def profile(self) -> Profile:
        """How to offer it its loader now."""
        return self.firmwares[-1].profile if self.firmwares else Profile.STANDARD

    @property
    def started(self) -> bool:
        """Whether the boot loader of the present attempt runs."""
        return self.attempt is not None and self.attempt.stage is AttemptStage.STARTED

    def of(self, fingerprint: str) -> FirmwareKnowledge | None:
        """What is known of this firmware."""
        for known in self.firmwares:
            if known.fingerprint == fingerprint:
                return known
        return None


class Successes:
    """With which profiles a boot loader has run, for how many clients, and when last: what a new client begins with."""

    def __init__(self, counted: Iterable[tuple[str, Profile, int, float]] = ()) -> None:
        """`counted` has fingerprint, profile, clients and time."""
        self._counts: dict[str, dict[Profile, tuple[int, float]]] = {}
        for fingerprint, profile, clients, at in counted:
            self._counts.setdefault(fingerprint, {})[profile] = clients, at

    def count(self, client: Iterable[FirmwareKnowledge], times: int = 1) -> None:
        """Count what worked for a client once more, or with -1 once less."""
        for known in client:
            if known.worked:
                profiles = self._counts.setdefault(known.fingerprint, {})
                before, at = profiles.get(known.profile, (0, 0.0))
                profiles[known.profile] = before + times, max(at, known.at)

    def best(self, fingerprint: str) -> Profile:
        """What worked for most clients with this firmware, and in a tie for the latest."""
        profiles = self._counts.get(fingerprint, {})
        best = max(profiles, key=profiles.__getitem__, default=Profile.STANDARD)
        return best if profiles and profiles[best][0] > 0 else Profile.STANDARD


def notable(known: Iterable[FirmwareKnowledge]) -> list[FirmwareKnowledge]:
    """What people should know of one client's firmwares.

    A firmware that does not work is of no interest if another one of that PC does: OVMF with Secure Boot tries HTTP
    boot after PXE, fails there as well, and boots by PXE from the next time on.
    """
    rows = list(known)
    boots = any(row.worked for row in rows)
    return [row for row in rows if row.special and (row.worked or not boots)]
