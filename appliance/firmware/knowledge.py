"""What is known of a client's firmware, as values: what it is doing now, and which offers it accepts. PURE.

What follows from that is decided in rules.py; memory.py keeps it, table.py stores it.
"""

from collections import Counter
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


def most_successful_profile(known: Iterable[FirmwareKnowledge], fingerprint: str) -> Profile:
    """What a new client with this firmware begins with: what worked for most, and in a tie for the latest."""
    alike = sorted((k for k in known if k.fingerprint == fingerprint and k.worked), key=lambda k: k.at)
    counts = Counter(each.profile for each in reversed(alike))
    return counts.most_common(1)[0][0] if counts else Profile.STANDARD


def notable(known: Iterable[FirmwareKnowledge]) -> list[FirmwareKnowledge]:
    """What people should know of one client's firmwares.

    A firmware that does not work is of no interest if another one of that PC does: OVMF with Secure Boot tries HTTP
    boot after PXE, fails there as well, and boots by PXE from the next time on.
    """
    rows = list(known)
    boots = any(row.worked for row in rows)
    return [row for row in rows if row.special and (row.worked or not boots)]
