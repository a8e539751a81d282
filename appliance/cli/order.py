"""`order`: tell PCs what to do. They fetch their orders with their heartbeats."""

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, confirmed, label_names, with_default
from appliance.cli.boinc import outcome
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.heartbeats import orders, targets
from appliance.heartbeats.records import Order
from appliance.heartbeats.states import Kind
from appliance.registry.database import Registry
from appliance.view.clients import ClientView, order_view
from appliance.view.orders import GivenOrder, gather_targets, given_order
from appliance.view.words import ago, counted
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

_SHOWN = 50
_NOTHING = "nothing was changed"
_ENDS = {
    OrderVerb.OFF: "switch off {}",
    OrderVerb.REBOOT: "restart {}",
    OrderVerb.FINISH: "let {} finish their work and switch them off",
    OrderVerb.FINISH_DISK: "let {} finish their work and give them to their local disks",
}


app = typer.Typer(
    name="order",
    cls=with_default("give"),
    help="Tell PCs what to do: `order MAC|RANGE|LABEL VERB`. They fetch it with their next heartbeat.",
    epilog="Examples: netboot-appliance order 52:54:00:aa:bb:cc suspend; netboot-appliance order 'room 12' finish",
    subcommand_metavar="MAC|RANGE|LABEL VERB",
    no_args_is_help=True,
)


_TARGET = typer.Argument(
    metavar="MAC|RANGE|LABEL",
    help="The PCs: a MAC address, a range as in `allow add`, or a label of the allowlist.",
    show_default=False,
    autocompletion=label_names,
)


@app.command(epilog="Examples: netboot-appliance order 'room 12' finish --yes; netboot-appliance order give list off")
def give(
    context: typer.Context,
    target: Annotated[str, _TARGET],
    verb: Annotated[OrderVerb, typer.Argument(help="What they are to do.", show_default=False)],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask. Without a terminal, several PCs end their boots only so.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Give an order. `give` may be left out.

    suspend: stop computing until `resume`. update: ask the project for work, report what is done. finish: take no new
    work, compute and report what is there, then switch off; finish-disk: the same, then start the local disk. off:
    switch off now, reboot: start again; both lose nothing that BOINC has saved.

    A PC that is on gets the order within a minute and a half. For one that is not heard it waits for 24 hours. It takes
    the place of an order that waits. Exit code: 0 the order is given, 1 you said no, 2 it reaches nobody.
    """
    config = load(context.obj)
    with Registry(config.registry) as registry:
        now = time.time()
        pcs = {pc.mac: pc for pc in gather_targets(config, registry, target, verb, now)}
        if verb in _ENDS and len(pcs) > 1 and not yes:
            confirmed(_ENDS[verb].format(f"these {len(pcs):,} PCs"))
        macs = map(MacAddress.parse, pcs)
        found = [given_order(order, pcs[str(order.mac)]) for order in orders.give(registry, macs, verb, now)]
    if as_json:
        show_json(found)
    else:
        _show(found, pcs, verb)


@app.command("list", epilog="Example: netboot-appliance order list --open --json")
def list_(
    context: typer.Context,
    only_open: Annotated[bool, typer.Option("--open", help="Without those that have ended.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many orders to list; 0: all.")] = 200,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List the orders, latest first, with their results. They are kept for 30 days."""
    with Registry(load(context.obj).registry) as registry:
        found = orders.recent(registry, limit or -1, only_open=only_open)
        allowlist = registry.allowlist()
    if as_json:
        show_json([order_view(each) for each in found])
        return
    labels = {each.mac: entry.label if (entry := allowlist.decide(each.mac)) else "" for each in found}
    rows = [
        (str(each.id), str(each.mac), labels[each.mac], str(each.verb), ago(each.given), outcome(order_view(each)))
        for each in found
    ]
    show_table(("order", "MAC", "label", "what", "given", "result"), rows, "There are no orders.")


@app.command(epilog="Examples: netboot-appliance order cancel 17; netboot-appliance order cancel 'room 12'")
def cancel(
    context: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER|MAC|RANGE|LABEL",
            help="An order's number, or the PCs whose orders to cancel.",
            show_default=False,
            autocompletion=label_names,
        ),
    ],
) -> None:
    """Cancel orders that have not ended. A PC that has got one may still carry it out."""
    with Registry(load(context.obj).registry) as registry:
        found = _open_orders(registry, which)
        orders.cancel(registry, found, time.time())
    say(f"cancelled {counted(len(found), 'order', 'orders')}: {', '.join(str(each.id) for each in found[:_SHOWN])}")
    if sent := [each for each in found if each.sent is not None]:
        say(f"{counted(len(sent), 'was', 'were')} sent already: the PC may still carry it out")


def _open_orders(registry: Registry, which: str) -> Sequence[Order]:
    if which.isascii() and which.isdigit() and len(which) < 12:
        order = orders.find(registry, int(which))
        if order is None or order.ended is not None:
            why = "there is no order" if order is None else f"{outcome(order_view(order))}: order"
            raise UserError(f"{why} {which}; {_NOTHING}", "list the orders: netboot-appliance order list --open")
        return [order]
    macs = targets.resolve(which, registry.allowlist(), registry.known())
    waiting = orders.open_orders(registry)
    found = [order for mac in macs for order in waiting.get(mac, ())]
    if not found:
        raise UserError(f"no order for {which} is open; {_NOTHING}", "list the orders: netboot-appliance order list")
    return found


def _show(found: Sequence[GivenOrder], pcs: dict[str, ClientView], verb: OrderVerb) -> None:
    waiting = [each for each in found if not each.on]
    on = len(found) - len(waiting)
    numbers = f"order {found[0].id}" if len(found) == 1 else f"orders {found[0].id} to {found[-1].id}"
    say(f"{numbers}: {verb}, for {counted(len(found), 'PC', 'PCs')}")
    if on:
        say(f"{counted(on, 'is', 'are')} on, and will get it within a minute and a half")
    if waiting:
        say(
            f"{counted(len(waiting), 'is', 'are')} not heard: the order waits for 24 h"
            + (
                ", and also ends a boot that begins in that time"
                if verb in _ENDS and verb is not OrderVerb.FINISH_DISK
                else ""
            )
        )
    if old := [each for each in waiting if (now := pcs[each.mac].now) and now.kind is Kind.UNHEARD]:
        say(
            f"{counted(len(old), 'of them runs', 'of them run')} an image without heartbeats, and cannot get orders:"
            " netboot-appliance image build, then restart the PC"
        )
    say("")
    rows = [(each.mac, each.label, each.state) for each in (*waiting, *(e for e in found if e.on))][:_SHOWN]
    show_table(("MAC", "label", "state"), rows, "")
    if len(found) > _SHOWN:
        say(f"… and {len(found) - _SHOWN:,} more (--json)")
