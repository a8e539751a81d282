"""`/api/v1/orders`: tell PCs what to do. They fetch their orders with their heartbeats."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from appliance.control.access.guard import administrator
from appliance.control.api.answers import HIGHEST_NUMBER, LOOKS, InContext, Limit, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.errors import NotFoundError, OvertakenError
from appliance.heartbeats import orders
from appliance.registry.database import Registry
from appliance.view.clients import OrderView, order_view
from appliance.view.orders import GivenOrder, gather_targets, given_order
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

router = APIRouter(prefix="/orders", tags=["orders"], dependencies=LOOKS, route_class=QuickRoute)
_CHANGES = [Depends(administrator)]


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Orders, the last one first. `next`: the value of `before` for the next page, or null."""

    orders: list[OrderView]
    next: int | None


@dataclass(frozen=True, slots=True)
class GivenOrders:
    """One order for each PC that it reaches."""

    orders: list[GivenOrder]


class WantedOrder(BaseModel):
    """What to tell whom."""

    model_config = ConfigDict(extra="forbid")
    target: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="A MAC address, a range as in the allowlist, or a label of it.",
            examples=["room 12"],
        ),
    ]
    verb: OrderVerb


@router.get("", responses=problems())
async def list_orders(
    context: InContext,
    open: Annotated[bool, Query(description="Without those that have ended.")] = False,
    before: Annotated[int | None, Query(ge=0, le=HIGHEST_NUMBER, description="The `next` of the page before.")] = None,
    limit: Limit = 100,
) -> OrderPage:
    """The orders that are kept (30 days), the last one first."""
    found = await context.with_registry(
        lambda registry: orders.recent(registry, limit + 1, only_open=open, before=before)
    )
    shown = [order_view(each) for each in found[:limit]]
    return OrderPage(shown, shown[-1].id if len(found) > limit else None)


@router.post("", status_code=201, responses=problems(400, 404, 409), dependencies=_CHANGES)
async def give_order(context: InContext, wanted: WantedOrder) -> GivenOrders:
    """Give an order to each PC that `target` names, but to none that is off an order that ends its boot.

    A PC that is on gets it within a minute and a half. For one that is not heard it waits for 24 hours. It takes the
    place of an order that waits.
    """
    config, now = context.config, context.clock()

    def give(registry: Registry) -> GivenOrders:
        pcs = {pc.mac: pc for pc in gather_targets(config, registry, wanted.target, wanted.verb, now)}
        found = orders.give(registry, map(MacAddress.parse, pcs), wanted.verb, now)
        return GivenOrders([given_order(each, pcs[str(each.mac)]) for each in found])

    return await context.with_registry(give)


@router.delete("/{number}", responses=problems(404, 409), dependencies=_CHANGES)
async def cancel_order(
    context: InContext, number: Annotated[int, Path(ge=0, le=HIGHEST_NUMBER, description="The `id` of an order.")]
) -> OrderView:
    """Cancel an order that has not ended. A PC that has got it may still carry it out."""
    now = context.clock()

    def cancel(registry: Registry) -> OrderView:
        order = orders.find(registry, number)
        if order is None:
            raise NotFoundError(f"there is no order {number}", "list the orders: netboot-appliance order list --open")
        if order.ended is not None:
            raise OvertakenError(f"order {number} has ended: {order.result}")
        orders.cancel(registry, [order], now)
        return order_view(orders.find(registry, number) or order)

    return await context.with_registry(cancel)
