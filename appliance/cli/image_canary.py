"""`image canary`: a release that some PCs boot before all do; and `image activate`, which begins one."""

import re
import time
from collections.abc import Callable
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.images import canary_edits, rollout_table
from appliance.images.canary_edits import USUAL_PROOF
from appliance.images.release_choice import image_of
from appliance.images.rollout import Proof
from appliance.registry.database import Registry
from appliance.view.canary import CanaryView
from appliance.view.trials import gather_rollout
from appliance.view.words import moment
from image import activation
from image.release import Release, ReleaseError

app = typer.Typer(name="canary", help="A release that some PCs boot before all do.", invoke_without_command=True)

_NOTHING = "nothing was changed"
_WITHIN_TASKS = 86400.0
_TIME = re.compile(r"([1-9][0-9]{0,3})(m|h|d)")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 30 * 86400.0

Tell = Callable[[str], None]
"""Shows a line to the administrator."""


@app.callback(
    epilog="Begin one: sudo netboot-appliance image activate ID --canary 1-per-label. While it lasts:"
    " netboot-appliance image canary; sudo netboot-appliance image canary promote; … cancel"
)
def show(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Show the canary: who tries which release, how far that is, and until when.

    Exit code: 0 if one is open, 3 if not.
    """
    if context.invoked_subcommand:
        return
    config = load(context.obj)
    now = time.time()
    with Registry(config.registry) as registry:
        found = gather_rollout(config, registry, now)
    if as_json:
        show_json(found)
    elif found.canary is None:
        say("There has been no canary. Begin one: netboot-appliance image activate ID --canary 1-per-label")
    else:
        _show(found.canary, now)
    if not as_json:
        for back in found.gone_back:
            say(f"{back.mac} {back.words}")
    if found.canary is None or found.canary.ended is not None:
        raise typer.Exit(3)


@app.command(epilog="Example: sudo netboot-appliance image canary promote")
def promote(context: typer.Context) -> None:
    """Make the canary the active release now, whatever its PCs have shown."""
    config = load(context.obj)
    with Registry(config.registry) as registry:
        ident = canary_edits.find_open(registry).release
    try:
        say(f"active: {activate(config, ident).id}")
    except ReleaseError as error:
        raise UserError(str(error), error.hint) from None


@app.command(epilog="Example: sudo netboot-appliance image canary cancel")
def cancel(context: typer.Context) -> None:
    """End the canary: at their next boot its PCs get the active release again."""
    config = load(context.obj)
    with Registry(config.registry) as registry:
        canary = canary_edits.cancel(registry, time.time())
    say(f"the canary {canary.release} has ended; its PCs boot {canary.base}")


def begin(config: Config, ident: str, wanted: list[str], within: str, share: int, prove: str, tell: Tell = say) -> None:
    """Begin a canary, and say so to `tell`; raises UserError."""
    proof, now = _proof(within, share, prove), time.time()
    with Registry(config.registry) as registry:
        begun = canary_edits.begin(config, registry, ident, wanted, proof, now)
    if begun.warning:
        say(f"warning: {begun.warning}", err=True)
    more = f" and {len(begun.ranges) - 5} more" if len(begun.ranges) > 5 else ""
    who = ", ".join(map(str, begun.ranges[:5])) + more
    tell(f"canary: {ident} at the next boot of {who}; all others boot {begun.base}")
    tell("how it does: netboot-appliance image canary")
    if not config.control.enabled:
        say("warning: [control] enabled = false, so nobody judges it: promote or cancel it by hand", err=True)


def activate(config: Config, ident: str, tell: Tell = say) -> Release:
    """Make a release the active one of its image, and end a canary of that, and say that to `tell`; raises UserError
    and ReleaseError."""
    checked = activation.activate(config.images, ident, config.key_ring)
    found = checked.release
    if checked.warning:
        say(f"warning: {checked.warning}", err=True)
    if not config.registry.exists():
        return found
    try:
        with Registry(config.registry) as registry:
            _end(registry, config, found, tell)
    except UserError as error:
        # A damaged registry must not keep a release from being activated.
        say(f"warning: {error.message}; {error.hint}", err=True)
    return found


def _end(registry: Registry, config: Config, found: Release, tell: Tell) -> None:
    canary = rollout_table.open_canary(registry)
    ends = canary is not None and image_of(config.images, canary) == found.image
    if ended := rollout_table.activated(registry, found.id, time.time(), ends=ends):
        tell(f"the canary {ended.release} has ended: {ended.verdict}, {ended.reason}")


def _proof(within: str, share: int, prove: str) -> Proof:
    tasks = 0
    if prove:
        found = re.fullmatch(r"tasks=([1-9][0-9]{0,2})", prove)
        if found is None:
            raise UserError(f"--prove {prove!r} is not known; {_NOTHING}", "write --prove tasks=1")
        tasks = int(found[1])
    return Proof(_seconds(within) if within else (_WITHIN_TASKS if tasks else USUAL_PROOF.seconds), share, tasks)


def _seconds(text: str) -> float:
    found = _TIME.fullmatch(text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 60.0 <= seconds <= _LONGEST:
        raise UserError(f"--within {text!r} is no time from 1m to 30d; {_NOTHING}", "write it as 30m, 2h or 1d")
    return seconds


def _show(shown: CanaryView, now: float) -> None:
    say(f"release  {shown.release}")
    say(f"state    {shown.state}{f': {shown.reason}' if shown.reason else ''}")
    say(f"for      {shown.chosen}; all others boot {shown.base}")
    say(f"began    {moment(shown.began)}")
    if shown.ended is not None:
        say(f"ended    {moment(shown.ended)}")
    else:
        say(f"until    {moment(shown.until) if shown.until else 'its time begins with the first PC that boots it'}")
    tasks = f" and returned {shown.tasks} task{'' if shown.tasks == 1 else 's'}" if shown.tasks else ""
    say(f"proof    {shown.share} % of the PCs that boot it compute within {shown.seconds / 60:.0f} min{tasks}")
    say(f"so far   {shown.booted} booted it, {shown.proven} proven, {shown.failed} failed")
    if not shown.judged and shown.ended is None:
        say("judged   by nobody: netboot-appliance control does not run")
    if shown.pcs:
        rows = [(each.name, each.state, str(each.boots), each.why) for each in shown.pcs]
        show_table(("PC", "state", "boots", "why"), rows, "")
