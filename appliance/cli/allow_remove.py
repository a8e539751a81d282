"""`allow remove`: an entry of the allowlist goes, at once or when its PCs are idle."""

import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from appliance.boot import allowed_edits
from appliance.cli.arguments import RANGE
from appliance.cli.output import say
from appliance.config.file import Config, load
from appliance.heartbeats import orders
from appliance.registry.database import Registry
from appliance.view.allowed_page import covered
from appliance.view.clients import ClientView
from appliance.view.orders import gather_on
from appliance.view.words import counted
from services.ethernet import MacAddress, MacRange
from services.http.heartbeats import OrderVerb

_NAMED = 8
"""PCs that a line names."""
_LOOK_EVERY = 5.0
"""Seconds between two looks at PCs that are to be off."""


def remove(
    context: typer.Context,
    range: Annotated[str, RANGE],
    when_idle: Annotated[
        bool,
        typer.Option("--when-idle", help="Let its PCs finish and report their work first. Waits until they are off."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, though PCs of it are on.")] = False,
) -> None:
    """Remove an entry. Any notation of the same range will do.

    PCs that only this entry allows lose the live system at once, and what BOINC has not saved. Their work is kept.
    """
    config = load(context.obj)
    with Registry(config.registry) as registry:
        span = allowed_edits.require_entry(registry, range)
        if on := _on(config, registry, span):
            if when_idle:
                _finish(config, registry, span, on)
            elif not yes and sys.stdin.isatty():
                say(f"{_pcs(on)}: they stop at once; with --when-idle they finish their work first", err=True)
                typer.confirm(f"Remove {span} all the same?", abort=True, err=True)
        done = allowed_edits.remove(registry, range)
    if on and not when_idle:
        say(f"{_pcs(on)}, and stop now; their work is kept", err=True)
    label = f" ({done.rest.label})" if done.rest and done.rest.label else ""
    rest = f" (still allowed by {done.rest.range}{label})" if done.rest else ""
    say(f"removed {done.range}{rest}")


def _on(config: Config, registry: Registry, span: MacRange) -> list[ClientView]:
    """The PCs that are on, and that nothing but the entry of this range allows."""
    return gather_on(config, registry, covered(span, registry.allowlist(), registry.known()), time.time())


def _pcs(on: Sequence[ClientView]) -> str:
    named = ", ".join(pc.mac for pc in on[:_NAMED]) + (f" and {len(on) - _NAMED} more" if len(on) > _NAMED else "")
    return f"{counted(len(on), 'PC of it is', 'PCs of it are')} on ({named})"


def _finish(config: Config, registry: Registry, span: MacRange, on: Sequence[ClientView]) -> None:
    """Have these PCs finish, and wait until they are off."""
    given = orders.give(registry, [MacAddress.parse(pc.mac) for pc in on], OrderVerb.FINISH, time.time())
    say(f"{_pcs(on)}: they take no new work, and switch off when theirs is reported")
    try:
        while left := _on(config, registry, span):
            if len(left) != len(on):
                say(f"{len(left)} still on", err=True)
                on = left
            time.sleep(_LOOK_EVERY)
    except KeyboardInterrupt:
        numbers = " ".join(str(each.id) for each in given[:_NAMED])
        say(f"{span} is still allowed; the PCs finish all the same (order cancel {numbers})", err=True)
        raise
