"""`wake`: switch PCs on over the network."""

import shlex
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, label_names, schedule_names, with_default
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.view.wakes import WakeView, wake_views
from appliance.view.words import ago, counted
from appliance.wake import requests
from appliance.wake.absence import absent
from appliance.wake.decision import EXPIRES_AFTER
from appliance.wake.request import WakeRequest, WakeResult
from appliance.wake.targets import SCHEDULE, resolve
from services.spans import span

_SHOWN = 50
_LOOK_EVERY = 0.5
_NOTHING = "nothing was changed"
_START = "systemctl start netboot-appliance-control (without systemd: netboot-appliance serve, or control)"

app = typer.Typer(
    name="wake",
    cls=with_default("ask"),
    help="Switch PCs on over the network: `wake MAC|RANGE|LABEL|schedule:NAME`.",
    epilog="Examples: netboot-appliance wake 52:54:00:aa:bb:cc --wait; netboot-appliance wake 'room 12'",
    subcommand_metavar="MAC|RANGE|LABEL|schedule:NAME",
    no_args_is_help=True,
)


def _names(incomplete: str) -> list[str]:
    """What may follow at a Tab."""
    scheduled = [f"{SCHEDULE}{name}" for name in schedule_names("")]
    return label_names(incomplete) + [name for name in scheduled if name.startswith(incomplete)]


_TARGET = typer.Argument(
    metavar="MAC|RANGE|LABEL|schedule:NAME",
    help="The PCs: a MAC address, a range as in `allow add`, a label of the allowlist, or those with a schedule.",
    show_default=False,
    autocompletion=_names,
)


@app.command(epilog="Examples: netboot-appliance wake schedule:night --json; netboot-appliance wake 'room 12' --wait")
def ask(
    context: typer.Context,
    target: Annotated[str, _TARGET],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until each PC has come, or has not.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Wake PCs that are allowed. `ask` may be left out.

    Each gets magic packets until it is seen: it boots, or sends a heartbeat. [wake] of the configuration says how many,
    and how far apart. A PC that is on gets none, and neither does one that its owner has just taken back. With --wait,
    Ctrl-C ends the waiting and not the waking.

    Exit code: 0 the packets will be sent, or with --wait all PCs came; 1 some did not; 2 it reaches nobody.
    """
    config = load(context.obj)
    with Registry(config.registry) as registry:
        now = time.time()
        allowlist = registry.allowlist()
        macs = resolve(target, allowlist, registry.known(), config.schedules)
        asked = requests.ask(registry, macs, "hand", now)
    _warn_without_sender(config)
    if not wait:
        views = wake_views(asked, allowlist, now)
        if as_json:
            show_json(views)
        else:
            _show_asked(config, views)
        return
    if not as_json:
        say(f"waking {counted(len(asked), 'PC', 'PCs')}; Ctrl-C ends the waiting, and not the waking")
    try:
        views = _wait(config, [each.id for each in asked], quiet=as_json)
    except KeyboardInterrupt:
        say(f"the requests stay; to end them: netboot-appliance wake cancel {shlex.quote(target)}", err=True)
        raise typer.Exit(130) from None
    away = sum(not view.arrived for view in views)
    if as_json:
        show_json(views)
    else:
        say(f"{len(views) - away:,} of {counted(len(views), 'PC is', 'PCs are')} on")
    if away:
        raise typer.Exit(1)


@app.command("list", epilog="Examples: netboot-appliance wake list --away; netboot-appliance wake list --open --json")
def list_(
    context: typer.Context,
    only_open: Annotated[bool, typer.Option("--open", help="Without those that have ended.")] = False,
    away: Annotated[bool, typer.Option("--away", help="Only PCs that did not come when they were woken last.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many requests to list; 0: all.")] = 200,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List the requests to wake PCs, latest first, with their results. They are kept for 30 days."""
    if away and only_open:
        raise UserError("--away and --open: what is open has no result yet", "leave one of them out")
    with Registry(load(context.obj).registry) as registry:
        allowlist = registry.allowlist()
        found = absent(registry) if away else requests.recent(registry, limit or -1, only_open=only_open)
    views = wake_views(found[: limit or None], allowlist, time.time())
    if as_json:
        show_json(views)
        return
    rows = [(str(v.id), v.mac, v.label, v.asked_by, ago(v.asked), v.state) for v in views]
    empty = "All PCs came when they were woken last." if away else "Nobody was woken."
    show_table(("wake", "MAC", "label", "asked by", "asked", "result"), rows, empty)


@app.command(epilog="Examples: netboot-appliance wake cancel 17; netboot-appliance wake cancel 'room 12'")
def cancel(
    context: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER|MAC|RANGE|LABEL|schedule:NAME",
            help="A request's number, or the PCs whose requests to cancel.",
            show_default=False,
            autocompletion=_names,
        ),
    ],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Cancel requests that have not ended. A PC that has had its packet may still come."""
    config = load(context.obj)
    with Registry(config.registry) as registry:
        chosen = _chosen(config, registry, which)
        now = time.time()
        done = requests.end(registry, {each.id: WakeResult.CANCELLED for each in chosen}, now)
        views = wake_views(requests.numbered(registry, done), registry.allowlist(), now)
    if as_json:
        show_json(views)
        return
    more = f" and {len(views) - _SHOWN:,} more" if len(views) > _SHOWN else ""
    say(f"cancelled {counted(len(views), 'request', 'requests')}: {', '.join(v.mac for v in views[:_SHOWN])}{more}")
    if sent := sum(view.tries > 0 for view in views):
        say(f"{counted(sent, 'PC has', 'PCs have')} had a packet already, and may still come")


def _chosen(config: Config, registry: Registry, which: str) -> list[WakeRequest]:
    """The open requests that are meant; raises UserError if there are none."""
    hint = "list them: netboot-appliance wake list --open"
    if which.isascii() and which.isdigit() and len(which) < 12:
        found = requests.numbered(registry, [int(which)])
        if not found:
            raise UserError(f"there is no request {which}; {_NOTHING}", hint)
        if found[0].result:
            raise UserError(f"request {which} has ended: {found[0].result}; {_NOTHING}", hint)
        return found
    macs = set(resolve(which, registry.allowlist(), registry.known(), config.schedules))
    found = [each for each in requests.open_requests(registry) if each.mac in macs]
    if not found:
        raise UserError(f"nobody of {which} is being woken; {_NOTHING}", hint)
    return found


def _wait(config: Config, numbers: Sequence[int], *, quiet: bool) -> list[WakeView]:
    """Wait until these requests have ended, and say so of each unless `quiet`; returns them all."""
    said: dict[int, WakeView] = {}
    with Registry(config.registry) as registry:
        allowlist = registry.allowlist()
        while True:
            found = wake_views(requests.numbered(registry, numbers), allowlist, time.time())
            for view in found:
                if view.ended is not None and view.id not in said:
                    said[view.id] = view
                    if not quiet:
                        say(f"{view.mac}  {view.label}  {view.state}" if view.label else f"{view.mac}  {view.state}")
            # One whose PC was forgotten meanwhile is not there any more.
            if all(view.ended is not None for view in found):
                return found
            time.sleep(_LOOK_EVERY)


def _show_asked(config: Config, views: Sequence[WakeView]) -> None:
    numbers = f"wake {views[0].id}" if len(views) == 1 else f"wakes {views[0].id} to {views[-1].id}"
    say(f"{numbers}: {counted(len(views), 'PC', 'PCs')}, {_pace(config, len(views))}", "")
    show_table(("MAC", "label"), [(view.mac, view.label) for view in views[:_SHOWN]], "")
    if len(views) > _SHOWN:
        say(f"… and {len(views) - _SHOWN:,} more (--json)")
    say("", "Who came, and who did not: netboot-appliance wake list")


def _pace(config: Config, count: int) -> str:
    seconds = (count - 1) * 60 / config.wake.per_minute
    if seconds < 1:
        return "at once"
    return f"{config.wake.per_minute} in a minute: the last one in {span(seconds)}"


def _warn_without_sender(config: Config) -> None:
    if holder(config.registry, "control") is None:
        hours = f"{EXPIRES_AFTER / 3600:.0f} h"
        say(f"warning: the control process does not run, and it sends the packets; it has {hours} to start", err=True)
        say(f"start it: {_START}", err=True)
