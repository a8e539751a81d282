"""Whom an order reaches, and the order that was given, as verbs, page and API show them. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.config.file import Config
from appliance.errors import OvertakenError
from appliance.heartbeats import targets
from appliance.heartbeats.records import ENDS_A_BOOT, Order
from appliance.heartbeats.states import ON, Kind
from appliance.registry.database import Registry
from appliance.view.clients import ClientView, client_views
from appliance.view.facts import gather_some_clients
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb


@dataclass(frozen=True, slots=True)
class GivenOrder:
    """An order as scripts read it. `on`: the PC was heard within the last minutes; `state`: what it does, in words."""

    id: int
    mac: str
    label: str
    verb: str
    on: bool
    state: str


def gather_targets(config: Config, registry: Registry, text: str, verb: OrderVerb, now: float) -> list[ClientView]:
    """The PCs that an order for this MAC address, range or label reaches; `now` is in seconds since the epoch.

    Without those that are known to be off, if it ends a boot: they would get it when somebody switches them on. Raises
    UserError if it reaches nobody.
    """
    macs = targets.resolve(text, registry.allowlist(), registry.known())
    found = [pc for page in gather_some_clients(config, registry, macs, now) for pc in client_views(page, now)]
    if verb not in ENDS_A_BOOT:
        return found
    left = [pc for pc in found if pc.now is None or pc.now.kind is not Kind.OFF]
    if not left:
        raise OvertakenError(f"{'it is' if len(found) == 1 else 'they are all'} off already; nothing was changed")
    return left


def gather_on(config: Config, registry: Registry, macs: Sequence[MacAddress], now: float) -> list[ClientView]:
    """Those of these PCs that are on; `now` is in seconds since the epoch."""
    found = (pc for page in gather_some_clients(config, registry, macs, now) for pc in client_views(page, now))
    return [pc for pc in found if pc.now is not None and pc.now.kind in ON]


def given_order(order: Order, pc: ClientView) -> GivenOrder:
    """An order that this PC was given just now."""
    now = pc.now
    return GivenOrder(
        order.id, pc.mac, pc.label, str(order.verb), bool(now and now.kind in ON), now.words if now else "never heard"
    )
