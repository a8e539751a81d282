"""A registry with as many PCs as you like, in rooms of thirty, most of them computing: what the page has to show."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from appliance.allowlist import Entry
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.journal.codec import encode_state
from appliance.journal.timeline import Boot, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState, Client
from services.boinc.condition import Condition, Doing, Task, to_json
from services.ethernet import MacAddress, MacRange
from services.events import AddressSeen, Discovered, Event, Offered, Reported, ScriptServed, TransferProgressed
from tests.unit.appliance.cli.room_of_pcs import FACTS, REFUSED

FIRST = 0x525400000000
ROOM = 30
"""PCs in a room."""

STATES = ("computing",) * 22 + ("idle", "silent", "booting", "stalled", "failed", "suspended", "off", "unheard")
"""What the PCs of a room do, in their order."""


def pc(number: int) -> MacAddress:
    """The PC with this number, from 0."""
    return MacAddress(FIRST + 256 * (number // ROOM) + number % ROOM)


def fill(path: Path, pcs: int, now: float, states: tuple[str, ...] = STATES, first: int = 0) -> None:
    """Write them, with an entry of the allowlist for each room; those before `first` are there already."""
    with Registry(path, durable=False) as registry:
        rooms = range((pcs + ROOM - 1) // ROOM)
        spans = [MacRange(pc(ROOM * room), MacAddress(pc(ROOM * room).value + 255)) for room in rooms]
        registry.allow(Entry(span, f"Room {number + 101}") for number, span in enumerate(spans))
        with registry.transaction():
            for number in range(first, pcs):
                _write_boot(registry, number, states[number % len(states)], now)
        beats = (_beat(number, states[number % len(states)], now) for number in range(first, pcs))
        store.write(registry, [beat for beat in beats if beat])
        with registry.transaction():
            _write_days(registry, pcs, int(now) // 86400)


def beat_again(registry: Registry, numbers: Iterable[int], now: float) -> None:
    """Another heartbeat of each of these PCs, which compute."""
    store.write(registry, [beat for number in numbers if (beat := _beat(number, "computing", now))])


def _write_days(registry: Registry, pcs: int, today: int) -> None:
    """Eighty days: at weekends fewer PCs are on."""
    rows = []
    for day in range(today - 79, today + 1):
        on = pcs * (30 if day % 7 in (2, 3) else 80 + day * 7919 % 17) // 100
        rows.append((day, on, on * 9 * 3600, on * 34 * 3600, on * 812.5))
    registry.sql.executemany(
        "INSERT OR REPLACE INTO day_totals (day, pcs, powered, computed, credit) VALUES (?, ?, ?, ?, ?)", rows
    )


def _write_boot(registry: Registry, number: int, state: str, now: float) -> None:
    mac, began = pc(number), now - 7200 - number
    if state == "booting":
        began = now - 25
    boot = Boot(number + 1, mac, began, f"token {number}", "20261123-150102-1a2b3c4d", last_event=began)
    events: list[Event] = [
        Discovered(mac, 7, ipxe=False, xid=5, secs=0),
        Offered(mac, "snponly.efi", 67),
        AddressSeen(mac, IPv4Address("10.77.0.1") + number),
        ScriptServed(mac),
    ]
    if state == "booting":
        events.append(TransferProgressed(mac, "http", "image/vmlinuz", 4_000_000, 9_000_000))
    elif state == "failed":
        events.append(Reported(mac, "failed", {"reason": "no root"}))
    elif state == "off":
        events += [Reported(mac, "computing", {"hostid": str(number)}), Reported(mac, "off")]
    elif state != "stalled":
        events.append(Reported(mac, "computing", {"hostid": str(number)}))
    for second, event in enumerate(events):
        boot = fold(boot, event, began + 5 * second)
    registry.register(Client(number + 1 if number < 65534 else 0, mac, began, f"password {number}"))
    registry.open_boot(BootRow(boot.id, mac, began, boot.token, boot.release, ""))
    registry.save_states([BootState(boot.id, boot.last_event, str(boot.stage), boot.under_way, encode_state(boot))])


def _beat(number: int, state: str, now: float) -> StoredHeartbeat | None:
    if state not in ("computing", "idle", "silent", "suspended"):
        return None
    if state == "idle":
        boinc = Condition(Doing.IDLE, now - 7200, projects=REFUSED.projects, messages=REFUSED.messages)
    elif state == "suspended":
        boinc = Condition(Doing.SUSPENDED, now - 600, "user request", tasks=_tasks(number, now))
    else:
        boinc = Condition(Doing.COMPUTING, now - 3600, tasks=_tasks(number, now))
    at = now - 900 if state == "silent" else now - number % 60
    return StoredHeartbeat(pc(number), number + 1, at, FACTS, to_json(boinc))


def _tasks(number: int, now: float) -> tuple[Task, ...]:
    return tuple(
        Task(f"task_{number}_{each}", "https://project.example/", "running", (number * 7 + each * 13) % 100 / 100,
             3600.0, 1800.0, now + 86400, each < 4)
        for each in range(6)
    )  # fmt: skip
