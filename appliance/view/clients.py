"""The PCs that have booted, as people and scripts see them: `clients list`, `clients show` and their --json. PURE."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from appliance.heartbeats.records import Order
from appliance.heartbeats.states import PcState, condition, state
from appliance.journal.timeline import Boot
from appliance.registry.records import Client
from appliance.schedules.effective import Outside
from appliance.view.boots import BootView, boot_view
from appliance.view.canary import FallbackView, fallback_view
from appliance.view.facts import ClientRecord, KnownClients, Signs
from appliance.view.firmware import FirmwareView, firmware_view
from appliance.view.schedules import ScheduleNow
from appliance.view.status import NextBootView, next_boot_view
from services.boinc.condition import Condition


@dataclass(frozen=True, slots=True)
class ClientView:
    """A PC, its latest boot and what it does now, if any boot is still known. `first_seen` is in seconds since the
    epoch."""

    mac: str
    label: str
    allowed: bool
    first_seen: float
    boot: BootView | None
    now: PcState | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order. Times are in seconds since the epoch, or None; `result` is "done" or says why not."""

    id: int
    mac: str
    verb: str
    given: float
    sent: float | None
    ended: float | None
    result: str


@dataclass(frozen=True, slots=True)
class ClientDetails:
    """All about one PC. `allowed_by` is the range that allows it, with its label, or empty; `boots`: oldest first.

    Of its latest heartbeat: `facts` is what the live system says of the PC, `boinc` what BOINC says of itself; `heard`
    is its moment, in seconds since the epoch, or None. `orders`: the last one first. `schedule`: None if it computes at
    any time. `outside`: why it would start its own disk now, or None. `gone_back`: None unless it boots an earlier
    release by itself. `image` is the one that its range names, or None, and `no_image` why it boots nothing then and
    what to do, or None."""

    client: ClientView
    host_name: str
    allowed_by: str
    next_boot: NextBootView | None
    gui_rpc_password: str
    state: str
    firmware: tuple[FirmwareView, ...]
    boots: tuple[BootView, ...]
    heard: float | None
    facts: Mapping[str, str]
    boinc: Condition
    orders: tuple[OrderView, ...]
    schedule: ScheduleNow | None
    outside: Outside | None
    gone_back: FallbackView | None
    image: str | None
    no_image: tuple[str, str] | None


def client_views(known: KnownClients, now: float) -> list[ClientView]:
    """Every PC, by MAC address; `now` is in seconds since the epoch."""
    return [
        _client(each, known.boots.get(each.mac), known, known.signs.get(each.mac, Signs()), now)
        for each in known.clients
    ]


def order_view(order: Order) -> OrderView:
    """The order in plain values."""
    return OrderView(order.id, str(order.mac), str(order.verb), order.given, order.sent, order.ended, order.result)


def details(record: ClientRecord, now: float) -> ClientDetails:
    """One PC; `now` is in seconds since the epoch."""
    mac = record.client.mac
    entry = record.allowlist.decide(mac)
    heartbeat = record.signs.heartbeat
    client = _client(record.client, record.boots[-1] if record.boots else None, record, record.signs, now)
    earlier = tuple(boot_view(boot, now) for boot in record.boots[:-1])
    return ClientDetails(
        client=client,
        host_name=record.host_name,
        allowed_by=f"{entry.range} {entry.label}".rstrip() if entry else "",
        next_boot=next_boot_view(record.next_boot) if record.next_boot else None,
        gui_rpc_password=record.client.gui_rpc_password,
        state=str(record.state),
        firmware=tuple(firmware_view(mac, known) for known in record.firmware),
        boots=(*earlier, client.boot) if client.boot else (),
        heard=heartbeat.at if heartbeat else None,
        facts=heartbeat.facts if heartbeat else {},
        boinc=condition(heartbeat),
        orders=tuple(map(order_view, record.orders)),
        schedule=record.schedule,
        outside=record.outside,
        gone_back=fallback_view(record.gone_back) if record.gone_back else None,
        image=(entry.settings.image or None) if entry else None,
        no_image=record.no_image,
    )


def as_json(pc: ClientDetails) -> dict[str, Any]:
    """All about one PC as scripts read it. `next_boot` is None once that boot is under way."""
    return asdict(pc.client) | {
        "gui_rpc_password": pc.gui_rpc_password,
        "state": pc.state,
        "boots": [asdict(boot) for boot in pc.boots],
        "firmware": [asdict(known) for known in pc.firmware],
        "next_boot": pc.next_boot.entry if pc.next_boot and not pc.next_boot.taken else None,
        "heard": pc.heard,
        "facts": dict(pc.facts),
        "boinc": asdict(pc.boinc),
        "orders": [asdict(order) for order in pc.orders],
        "schedule": asdict(pc.schedule) if pc.schedule else None,
        "outside": asdict(pc.outside) if pc.outside else None,
        "gone_back": asdict(pc.gone_back) if pc.gone_back else None,
        "image": pc.image,
        "no_image": pc.no_image[0] if pc.no_image else None,
    }


def _client(
    client: Client, boot: Boot | None, known: KnownClients | ClientRecord, signs: Signs, now: float
) -> ClientView:
    entry = known.allowlist.decide(client.mac)
    return ClientView(
        mac=str(client.mac),
        label=entry.label if entry else "",
        allowed=entry is not None,
        first_seen=client.first_seen,
        boot=boot_view(boot, now, known.evidence.of(boot, signs.heartbeat, signs.ended, now)) if boot else None,
        now=state(boot, signs.heartbeat, signs.ended, now) if boot else None,
    )
