"""A registry as a box with many PCs leaves it: rooms of PCs with labels, boots of every outcome, heartbeats with tasks,
orders, refusals.

The same arguments make the same fleet. Each eighth PC is one that a person may have to look at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.allowlist import Entry
from appliance.heartbeats import days as figures_of_days
from appliance.heartbeats import orders, store
from appliance.heartbeats.days import Counted
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.tally import Figures
from appliance.journal.codec import encode, encode_state
from appliance.journal.timeline import Boot, replay
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState, Client, IgnoredRow
from services.boinc.condition import BoincMessage, Condition, Doing, ProjectCondition, Task, to_json
from services.decision import Reason
from services.ethernet import MacAddress, MacRange
from services.events import (
    AddressSeen,
    Discovered,
    EntryStarted,
    Event,
    LeaseChosen,
    Offered,
    Reported,
    ScriptServed,
    TokenExchanged,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)
from services.http.heartbeats import OrderVerb

SEATS = 40
"""PCs of one room."""

DAY = 86400
RELEASE = "20261101-100000-0a1b2c3d"
PROJECT = "https://project.example.org/"
STRANGERS = 12
"""Machines that asked and may not boot."""

_FIRST = 0x525400000000
_IMAGE = f"image/{RELEASE}"

Story = Sequence[tuple[float, Event]]
"""Events with their moments, in seconds since the boot began."""


def mac_of(number: int) -> MacAddress:
    """The MAC address of PC `number`, from 0 on."""
    return MacAddress(_FIRST + (number // SEATS << 8) + number % SEATS + 1)


def label_of(number: int) -> str:
    """The label of its room."""
    return f"room {number // SEATS + 1}"


@dataclass(frozen=True)
class Outcome:
    """What became of a PC. `began` is how many seconds ago its latest boot did; `heard`: how many seconds ago its
    latest heartbeat came, None if none did."""

    story: Story
    began: float
    heard: float | None = None
    doing: Doing = Doing.COMPUTING
    suspended: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    messages: tuple[str, ...] = ()


def _loaded(mac: MacAddress, number: int) -> Story:
    kernel, ramdisk = f"{_IMAGE}/vmlinuz", f"{_IMAGE}/initrd.img"
    return (
        (0.0, Discovered(mac, 7, ipxe=False, xid=number + 1, secs=0, fingerprint="PXEClient 7")),
        (0.01, Offered(mac, f"{mac.bare}/snponly.efi", 67)),
        (1.0, AddressSeen(mac, IPv4Address("10.0.0.10") + number)),
        (1.0, LeaseChosen(mac, IPv4Address("10.0.0.1"), ours=False)),
        (2.0, TransferServed(mac, "tftp", "snponly.efi", 300_000, 0.4)),
        (6.0, ScriptServed(mac)),
        (8.0, TransferServed(mac, "http", kernel, 8_200_000, 1.0)),
        (17.0, TransferServed(mac, "http", ramdisk, 41_000_000, 9.0)),
    )


def _up(mac: MacAddress, number: int) -> Story:
    return (
        *_loaded(mac, number),
        (31.0, Reported(mac, "initrd", {"uptime": "9.1"})),
        (36.0, Reported(mac, "root-mounted", {"uptime": "14.2"})),
        (48.0, TokenExchanged(mac, "spent")),
        (52.0, Reported(mac, "reported", {"uptime": "30.5"})),
        (61.0, Reported(mac, "attached", {"uptime": "39.0"})),
        (75.0, Reported(mac, "computing", {"hostid": str(1000 + number)})),
    )


def _outcomes(mac: MacAddress, number: int) -> Iterator[Outcome]:
    """Those that a person may have to look at; the first is that of the first PC in question."""
    loaded, up = _loaded(mac, number), _up(mac, number)
    kernel = f"{_IMAGE}/vmlinuz"

    def failed(reason: str) -> Story:
        return (*loaded, (40.0, Reported(mac, "failed", {"reason": reason})))

    yield Outcome(failed("state directory: No space left on device"), 900.0)
    yield Outcome(up, 30_000.0, heard=1500.0)
    yield Outcome(up, 20_000.0, 20.0, Doing.IDLE, messages=("Project has no tasks available",))
    yield Outcome((*loaded[:6], (8.0, TransferProgressed(mac, "http", kernel, 94_000, 8_200_000))), 600.0)
    yield Outcome(
        (*loaded[:7], (9.0, TransferProgressed(mac, "http", f"{_IMAGE}/initrd.img", 9_000_000, 41_000_000))), 10
    )
    yield Outcome(up, 50_000.0, 45.0, Doing.SUSPENDED, "user request")
    yield Outcome((*loaded, (31.0, Reported(mac, "initrd", {"uptime": "9.1"}))), 1200.0)
    yield Outcome((*up, (40_000.0, Reported(mac, "off"))), 60_000.0, heard=20_010.0)
    yield Outcome(up, 90_000.0)
    yield Outcome((*loaded[:6], (7.0, EntryStarted(mac, "local"))), 7000.0)
    yield Outcome(loaded[:2], 2000.0)
    yield Outcome(failed("the live system could not be fetched: nothing arrived for two minutes"), 1800.0)
    yield Outcome(up, 9000.0, 30.0, Doing.NO_ANSWER, facts=(("boinc", "stopped"),))
    yield Outcome(up, 8000.0, 30.0, Doing.IDLE, facts=(("state_directory", "read-only"),))
    yield Outcome(
        (*loaded[:4], (3.0, TransferFailed(mac, "tftp", "snponly.efi", 146_000, "the client gave up"))), 500.0
    )
    yield Outcome(up, 9000.0, 30.0, Doing.IDLE, messages=("Invalid or missing account key",))


def _outcome(number: int) -> Outcome:
    mac = mac_of(number)
    if number % 8 == 7:
        found = tuple(_outcomes(mac, number))
        return found[number // 8 % len(found)]
    return Outcome(_up(mac, number), 3600.0 + number % 97 * 600, heard=5.0 + number % 55)


def fill(
    registry: Registry, pcs: int, boots_each: int = 1, now: float = 1.79e9, *, with_events: int = 20, days: int = 0
) -> None:
    """Write `pcs` PCs, each with a boot a day for `boots_each` days, as they are at `now`, in seconds since the epoch.
    The last `with_events` boots of each have their events. `days`: those with figures, today included."""
    earlier = boots_each - 1
    with registry.transaction():
        registry.register(*(Client(n + 1, mac_of(n), now - boots_each * DAY, f"secret-{n}") for n in range(pcs)))
        for ago in range(earlier, 0, -1):
            _write_earlier(registry, pcs, earlier - ago, now - ago * DAY, with_events=ago < with_events)
        for number in range(pcs):
            _write_latest(registry, number, pcs * earlier + number + 1, now)
        registry.record_ignored(_strangers(now))
        for ago in range(days):
            _write_day(registry, pcs, int(now) // DAY - ago)
    store.write(registry, _heartbeats(pcs, pcs * earlier, now))
    registry.allow(_entries(pcs))
    for number in range(15, pcs, 160):
        orders.give(registry, [mac_of(number)], OrderVerb.FINISH, now - 30.0)


def _write_earlier(registry: Registry, pcs: int, day: int, started: float, *, with_events: bool) -> None:
    """All boots of one day: they are alike, but for what is in their rows, and each fiftieth has failed."""
    first = day * pcs + 1
    usual = _up(mac_of(0), 0)
    failed = (*_loaded(mac_of(0), 0), (40.0, Reported(mac_of(0), "failed", {"reason": "state directory refused"})))
    for numbers, story in ((range(0, pcs, 50), failed), ([n for n in range(pcs) if n % 50], usual)):
        boot = _boot(1, mac_of(0), started, story)
        folded = str(boot.stage), boot.under_way, encode_state(boot)
        registry.sql.executemany(
            "INSERT INTO boots (id, mac, started, token, release, inherited, latest, last_at, stage, under_way, state)"
            " VALUES (?, ?, ?, ?, ?, '', 0, ?, ?, ?, ?)",
            [
                (first + n, mac_of(n).value, started, f"{first + n:024d}", RELEASE, boot.last_event, *folded)
                for n in numbers
            ],
        )
        if with_events:
            rows = [(started + at, type(event).__name__, encode(event)) for at, event in story]
            registry.append_events((first + n, *row) for n in numbers for row in rows)


def _write_latest(registry: Registry, number: int, ident: int, now: float) -> None:
    mac, outcome = mac_of(number), _outcome(number)
    boot = _boot(ident, mac, now - outcome.began, outcome.story)
    registry.open_boot(BootRow(ident, mac, boot.started, boot.token, RELEASE, ""))
    registry.append_events(
        (ident, boot.started + at, type(event).__name__, encode(event)) for at, event in outcome.story
    )
    state = BootState(ident, boot.last_event, str(boot.stage or ""), boot.under_way, encode_state(boot))
    registry.save_states([state])


def _boot(ident: int, mac: MacAddress, started: float, story: Story) -> Boot:
    begun = Boot(ident, mac, started, f"{ident:024d}", RELEASE, last_event=started)
    return replay(begun, ((started + at, event) for at, event in story))


def _heartbeats(pcs: int, earlier: int, now: float) -> Iterator[StoredHeartbeat]:
    for number in range(pcs):
        if (heard := _outcome(number).heard) is not None:
            yield heartbeat_of(number, earlier + number + 1, now - heard)


def heartbeat_of(number: int, boot: int, at: float) -> StoredHeartbeat:
    """A heartbeat of PC `number` that came at `at`."""
    outcome, cores = _outcome(number), (4, 8, 12)[number % 3]
    facts = {
        "uptime": "86461",
        "load": f"{cores - 0.03:.2f}",
        "memory_mb": "7900",
        "memory_free_mb": "5100",
        "temperature": str(50 + number % 30),
        "clock": f"{at:.0f}",
        "address": str(IPv4Address("10.0.0.10") + number),
        "boinc": "running",
        "state_directory": "ok",
        "state_free_mb": str(18000 - number % 500),
        "files": "0123456789abcdef",
        "cores": str(cores),
        "card": "e1000e pci 8086:15bb",
        "model": ("Dell Inc. OptiPlex 7060", "LENOVO 10SUS0LL00", "HP EliteDesk 800 G4")[number % 3],
        "cpu": "Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz",
    }
    return StoredHeartbeat(
        mac_of(number), boot, at, facts | dict(outcome.facts), to_json(_condition(number, outcome, cores, at))
    )


def _condition(number: int, outcome: Outcome, cores: int, at: float) -> Condition:
    if outcome.doing is Doing.NO_ANSWER:
        return Condition()
    computes = outcome.doing is Doing.COMPUTING
    state = "running" if computes else f"suspended: {outcome.suspended}"
    tasks = tuple(
        Task(
            f"example_wu_20261130_{number:05d}_{task}_0", PROJECT, state, (number + task * 7) % 100 / 100,
            1234.5, 5432.1, at + 600_000.0, computes,
        )
        for task in range(0 if outcome.doing is Doing.IDLE else cores)
    )  # fmt: skip
    project = ProjectCondition(
        PROJECT, "Example@home", 1000 + number, 2345.0 + number, 123.45, 40 + number % 9, number % 3, False, False,
        0, 0, at + 120.0,
    )  # fmt: skip
    said = ("Starting BOINC client version 7.20.5", "Scheduler request completed: got 1 new tasks", *outcome.messages)
    messages = tuple(BoincMessage(at - 600.0 + i, "Example@home", words, 1) for i, words in enumerate(said))
    return Condition(
        outcome.doing, at - 500.0, outcome.suspended, "", "according to prefs", "according to prefs",
        "according to prefs", tasks, (project,), messages,
    )  # fmt: skip


def _entries(pcs: int) -> Iterator[Entry]:
    """A room is one range, or an entry for each of its PCs; one PC in twenty has left the allowlist."""
    for room in range((pcs + SEATS - 1) // SEATS):
        numbers = range(room * SEATS, min((room + 1) * SEATS, pcs))
        if room % 2 == 0:
            first = mac_of(room * SEATS).value & ~0xFF
            yield Entry(MacRange(MacAddress(first), MacAddress(first | 0xFF)), label_of(numbers[0]))
        else:
            yield from (Entry(MacRange(mac_of(n), mac_of(n)), label_of(n)) for n in numbers if n % 20 != 19)


def _write_day(registry: Registry, pcs: int, day: int) -> None:
    """Each PC was on for some hours, less at weekends."""
    weekend = (day + 4) % 7 in (0, 6)
    counted = []
    for number in range(pcs):
        powered = (3 if weekend else 9) * 3600 + (number * 37 + day * 101) % 7200
        figures = Figures(powered, powered * (4, 8, 12)[number % 3] * 9 // 10, round(powered / 40, 2))
        counted.append(Counted(mac_of(number), {day: figures}, frozenset({day}), None))
    figures_of_days.write(registry, counted)


def _strangers(now: float) -> Iterator[IgnoredRow]:
    for number in range(STRANGERS):
        mac, address = MacAddress(0x001B21000000 + number), str(IPv4Address("10.0.200.1") + number)
        reason = (Reason.NOT_ALLOWED, Reason.NOT_NETBOOT, Reason.UNSUPPORTED_FIRMWARE)[number % 3]
        yield IgnoredRow(str(mac), "dhcp", reason, now - 90_000.0, now - number * 60.0, number + 1, address, str(mac))
