"""What is known of a client's firmware, as values: what it does at the moment, and what it takes. PURE.

What follows from that is adaptation.py; where it is kept, adaptations.py.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from services.dhcp.firmware import Machine
from services.dhcp.plan import Profile


class Why(StrEnum):
    """Why a client has the profile that it has, in the words people read."""

    USUAL = ""
    IGNORED = "it ignored the offers before"
    IGNORED_ALL = "it has ignored every kind of offer"
    REFUSED = "it loaded the boot loader and did not start it (Secure Boot, most likely)"
    NEITHER = "neither the usual boot loader nor the signed one got further"
    SAME_FIRMWARE = "this is what other PCs with its firmware take"


class Reaction(IntEnum):
    """How far a try of the firmware came, in order."""

    NONE = 0
    ASKED = 1
    LOADING = 2
    LOADED = 3
    STARTED = 4


@dataclass(frozen=True, slots=True)
class FirmwareAttempt:
    """One try of the firmware: its DISCOVERs of one xid, and what followed. `secs` and `at` are those of the last one,
    `offers` counts our answers, `pending`: the last one has none yet; `leased`: it took an address meanwhile."""

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
    sign: Reaction = Reaction.NONE
    loader: str = ""
    loaded: float = 0.0


@dataclass(frozen=True, slots=True)
class FirmwareKnowledge:
    """What is known of one firmware of a client. `worked`: a boot loader that was offered so has run. `at`: when the
    fields before it changed. The counters go with the process; `in_vain` counts DISCOVERs, `failures` whole boots."""

    fingerprint: str
    profile: Profile = Profile.STANDARD
    worked: bool = False
    why: Why = Why.USUAL
    at: float = 0.0
    in_vain: int = 0
    failures: int = 0

    @property
    def lasting(self) -> tuple[Profile, bool, Why]:
        """What is worth writing down."""
        return self.profile, self.worked, self.why

    @property
    def special(self) -> bool:
        """Whether it is not simply the standard offer."""
        return self.profile is not Profile.STANDARD or self.why is not Why.USUAL


@dataclass(frozen=True, slots=True)
class ClientFirmware:
    """One MAC address: what its firmware is trying just now, and what is known of each of its firmwares, the one that
    was heard last at the end."""

    attempt: FirmwareAttempt | None = None
    firmwares: tuple[FirmwareKnowledge, ...] = ()

    @property
    def profile(self) -> Profile:
        """How it is to be offered its loader now."""
        return self.firmwares[-1].profile if self.firmwares else Profile.STANDARD

    @property
    def started(self) -> bool:
        """Whether the boot loader of the present try runs."""
        return self.attempt is not None and self.attempt.sign is Reaction.STARTED

    def of(self, fingerprint: str) -> FirmwareKnowledge | None:
        """What is known of this firmware."""
        for known in self.firmwares:
            if known.fingerprint == fingerprint:
                return known
        return None


def favourite(known: Iterable[FirmwareKnowledge], fingerprint: str) -> Profile:
    """What a new client of this firmware begins with: what worked for most, and of equals for the latest."""
    fellows = sorted((k for k in known if k.fingerprint == fingerprint and k.worked), key=lambda k: k.at)
    counts = Counter(fellow.profile for fellow in reversed(fellows))
    return counts.most_common(1)[0][0] if counts else Profile.STANDARD


def notable(known: Iterable[FirmwareKnowledge]) -> list[FirmwareKnowledge]:
    """What people should know of one client's firmwares.

    What does not work is of no interest where another one of that PC does: OVMF with Secure Boot tries HTTP boot after
    PXE, is refused there as well, and boots by PXE from the next time on.
    """
    rows = list(known)
    boots = any(row.worked for row in rows)
    return [row for row in rows if row.special and (row.worked or not boots)]
