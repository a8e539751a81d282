"""`state`: where the PCs' work is kept, and in what."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, mac_address
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.exports import state
from appliance.exports.state import OWN, PLAIN, StateDirectory
from appliance.view.words import size
from services.ethernet import MacAddress

app = typer.Typer(
    name="state",
    help="Show where the PCs' work is kept, and move it into file systems of their own or out again.",
    no_args_is_help=True,
)

MACS = typer.Argument(help="MAC addresses.", show_default=False)
ALL = typer.Option("--all", help="All PCs that it applies to.")


@app.command("list", epilog="Example: sudo netboot-appliance state list")
def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the PCs' state directories: what each is, and the disk space that it takes."""
    found = _directories(context)
    if as_json:
        show_json([{"mac": str(e.mac), "kind": e.kind, "mounted": e.mounted, "used": e.used} for e in found])
        return
    rows = [(str(e.mac), e.kind, "mounted" if e.mounted else "", size(e.used)) for e in found]
    show_table(("MAC", "kept in", "", "takes"), rows, "No PC has any work here yet.")


@app.command(epilog="Example: sudo netboot-appliance state pack --all")
def pack(
    context: typer.Context,
    macs: Annotated[list[str] | None, MACS] = None,
    everything: Annotated[bool, ALL] = False,
) -> None:
    """Move PCs' work from plain directories into file systems of their own. The PCs must be off.

    New PCs have one from the start. This is for directories of older versions that were exported all the time.
    """
    from appliance.cli.exports import expected

    config = load(context.obj)
    chosen = _chosen(context, macs, everything, PLAIN)
    _report(chosen, "in a file system of its own", lambda mac: state.pack(config, *expected(config), [mac]))


@app.command(epilog="Example: sudo netboot-appliance state unpack 52:54:00:aa:bb:cc")
def unpack(
    context: typer.Context,
    macs: Annotated[list[str] | None, MACS] = None,
    everything: Annotated[bool, ALL] = False,
) -> None:
    """Turn PCs' file systems back into plain directories: before going back to an older version, or elsewhere.

    Nothing may be exported: stop the server, then exports withdraw.
    """
    config = load(context.obj)
    _report(_chosen(context, macs, everything, OWN), "a plain directory", lambda mac: state.unpack(config, [mac]))


def _chosen(context: typer.Context, macs: list[str] | None, everything: bool, kind: str) -> Sequence[MacAddress]:
    if bool(macs) == everything:
        raise UserError("name the PCs, or --all", "see them with: netboot-appliance state list")
    if everything:
        return [each.mac for each in _directories(context) if each.kind == kind]
    return [mac_address(text) for text in macs or ()]


def _report(macs: Sequence[MacAddress], what: str, act: Callable[[MacAddress], None]) -> None:
    failed = False
    for mac in macs:
        try:
            act(mac)
            say(f"{mac}: {what}")
        except UserError as error:
            if len(macs) == 1:
                raise
            failed = True
            say(f"{mac}: {error.message}", err=True)
        except OSError as error:
            raise UserError(f"{mac}: {error}", "run with sudo; check the disk", code=1) from None
    if not macs:
        say("there is nothing to do")
    if failed:
        raise UserError("not all could be moved; nothing was lost", "switch these PCs off, and try again", code=1)


def _directories(context: typer.Context) -> list[StateDirectory]:
    try:
        return state.directories(load(context.obj))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"the state directories cannot be read: {error}", "run with sudo", code=1) from None
