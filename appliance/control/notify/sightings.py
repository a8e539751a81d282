"""What the rules look at: the box, its PCs, its images and its network at one moment, as values. PURE.

All words of PCs and strangers in it are made harmless already (services/foreign_text.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from appliance.diagnosis.fault import Diagnosis
from appliance.heartbeats.states import Kind
from appliance.images.rollout import Ending


@dataclass(frozen=True, slots=True)
class PcSighting:
    """A PC. `boot` is the number of its latest boot, which began at `started`; `came_up`: its live system runs;
    `first`: it had never loaded anything before. `state` is what it does, in words. `heard` and `idle_since` (0: it is
    not idle) are in seconds since the epoch. `fault` is what is wrong with it. `refused`: the project refuses its key.
    `away` are the projects that do not answer it, of those that it has joined, `projects`. `may_be_off`: its window has
    ended. `dhcp_server` is the one that gave it its address, or empty: the box did, or nobody knows. `loads` is False
    for a PC that was only offered something."""

    mac: str
    label: str
    kind: Kind
    state: str
    heard: float
    boot: int
    started: float
    came_up: bool = False
    first: bool = False
    address: str = ""
    fault: Diagnosis | None = None
    refused: bool = False
    idle_since: float = 0.0
    projects: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    may_be_off: bool = False
    dhcp_server: str = ""
    loads: bool = True


@dataclass(frozen=True, slots=True)
class FailedBuild:
    """A build of an image that failed; `invocation` tells it from others."""

    invocation: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class StoppedUpdate:
    """A run of `image update` that stopped after its build, at `at`: at this stage, with this release, why, and what to
    do."""

    at: float
    stage: str
    release: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Images:
    """The ids of all releases, of the active one, and of the one before, or empty."""

    releases: tuple[str, ...] = ()
    active: str = ""
    previous: str = ""
    failed: FailedBuild | None = None
    stopped: StoppedUpdate | None = None


@dataclass(frozen=True, slots=True)
class EndedCanary:
    """The canary that ended last: its number and release, how it ended, and why."""

    id: int
    release: str
    verdict: Ending
    reason: str


@dataclass(frozen=True, slots=True)
class KeptSighting:
    """Work of a forgotten PC that was set aside at `at`, and is kept until `until`, in seconds since the epoch."""

    mac: str
    label: str
    at: int
    until: int


@dataclass(frozen=True, slots=True)
class ErrorShare:
    """The tasks of a project that ended in the last day, and which PCs had the failed ones: MAC address and count."""

    project: str
    ended: int
    failed: int
    pcs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Week:
    """The last seven days: hours for which PCs were on and for which cores computed, BOINC's credit, PCs."""

    powered: float
    computed: float
    credit: float
    pcs: int


@dataclass(frozen=True, slots=True)
class Sightings:
    """Everything at `now`, in seconds since the epoch. `box` is the host's name, `page` the address of its page.
    `serving`: the server runs, since `started`. `trouble` has what is wrong with the server itself, each with what to
    do. `disk_used` is in per cent, and `disk` says how much is free. `kept` is the work of forgotten PCs. `claims` are
    claimed addresses in words, by their keys. `not_woken`: the PCs that did not come when they were woken last, with
    their labels."""

    now: float
    box: str
    page: str = ""
    zone: tzinfo = UTC
    serving: bool = True
    started: float = 0.0
    leases: bool = False
    trouble: tuple[tuple[str, str], ...] = ()
    pcs: Mapping[str, PcSighting] = field(default_factory=dict)
    disk_used: float = 0.0
    disk: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)
    not_woken: tuple[tuple[str, str], ...] = ()
    images: Images | None = None
    canary: EndedCanary | None = None
    kept: tuple[KeptSighting, ...] = ()
    errors: tuple[ErrorShare, ...] = ()
    week: Week | None = None
