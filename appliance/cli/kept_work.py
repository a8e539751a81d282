"""Work of PCs that was set aside: `clients kept`, `clients restore`, `clients purge`. For root."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import typer

from appliance.cli.arguments import JSON, MAC, confirmed, mac_address
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.exports import kept_work, state
from appliance.exports.forgotten_work import DAYS
from appliance.exports.kept_work import KeptWork
from appliance.view.words import ago, counted, moment, size
from services.ethernet import MacAddress

KEPT_EPILOG = "Example: sudo netboot-appliance clients kept"
RESTORE_EPILOG = "Example: sudo netboot-appliance clients restore 52:54:00:aa:bb:cc"
PURGE_EPILOG = (
    "Examples: sudo netboot-appliance clients purge; sudo netboot-appliance clients purge 52:54:00:aa:bb:cc --yes"
)
T = TypeVar("T")


def kept(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the work of forgotten PCs that was set aside: since when, until when, and the disk space that it takes."""
    config = load(context.obj)
    found = _looked(lambda: [(each, each.used()) for each in _find(config)])
    if as_json:
        show_json([{"mac": str(e.mac), "at": e.at, "until": e.until, "used": used} for e, used in found])
        return
    rows = [(str(e.mac), ago(e.at), moment(e.until), size(used)) for e, used in found]
    show_table(("MAC", "set aside", "kept until", "takes"), rows, "No work is set aside.")


def restore(context: typer.Context, mac: Annotated[str, MAC]) -> None:
    """Give a PC, which must be off, the work back that was set aside last.

    What it has computed since is set aside in its turn: the same command again exchanges the two.
    """
    from appliance.cli.exports import expected

    address = mac_address(mac, "nothing was changed")
    config = load(context.obj)
    _looked(lambda: kept_work.find_of(config, address))
    present = _looked(lambda: state.restore(config, *expected(config), address, time.time()))
    say(f"{address} has its work again")
    if present:
        say(f"what it had computed since is set aside, and kept until {moment(present.until)}")


def purge(
    context: typer.Context,
    mac: Annotated[str, typer.Argument(help="A MAC address.", show_default=False)] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before work is deleted.")] = False,
) -> None:
    """Delete work that was set aside for good: that of a PC, or all that was kept for 7 days.

    netboot-appliance-purge.timer does the latter once a day.
    """
    config = load(context.obj)
    if mac:
        address = mac_address(mac, "nothing was changed")
        found: Sequence[KeptWork] = _looked(lambda: kept_work.find_of(config, address))
        if not yes:
            confirmed(f"delete the work of {address} that was set aside for good")
    else:
        now = time.time()
        found = [each for each in _looked(lambda: _find(config)) if each.until <= now]
        # Once a day, whatever has become of the list meanwhile.
        _looked(lambda: kept_work.note(config))
    freed, failed = 0, []
    for each in found:
        try:
            used = each.used()
            state.purge(config, each)
            freed += used
        except (UserError, OSError) as error:
            failed.append(f"{each.mac}: {error}")
    if len(found) > len(failed):
        say(f"deleted the work of {counted(len(found) - len(failed), 'PC', 'PCs')} for good: {size(freed)}")
    elif not failed:
        say(f"no work was kept for {DAYS} days")
    if failed:
        raise UserError(f"not all could be deleted: {failed[0]}", "check the disk, and try again", code=1)


def set_aside(config: Config, mac: MacAddress) -> None:
    """The end of `clients forget --work`: wait until the work is not exported any more, and move it aside."""
    done = _looked(lambda: state.set_aside(config, mac, time.time()))
    say(f"its work is set aside, and kept until {moment(done.until)}")
    say(f"to give it back: sudo netboot-appliance clients restore {mac}")
    say(f"to delete it now: sudo netboot-appliance clients purge {mac}")


def _find(config: Config) -> list[KeptWork]:
    if os.geteuid() != 0:
        raise UserError("only root may look at the PCs' work", "run with sudo")
    return kept_work.find(config)


def _looked(act: Callable[[], T]) -> T:
    try:
        return act()
    except OSError as error:
        raise UserError(f"the PCs' work: {error}", "run with sudo; check the disk", code=1) from None
