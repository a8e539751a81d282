"""`live`: what PCs are told at their next boot, by [live] of the configuration and by overlays."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, MAC, mac_address
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.live.preview import preview
from appliance.registry.database import Registry
from appliance.view.live import LiveView, live_view

app = typer.Typer(
    name="live",
    help="Show what PCs are told at their next boot, without a new image: [live] of the configuration, and overlays.",
    epilog="An edit counts from the next boot on: that of an overlay within a second, that of the configuration after"
    " a reload.",
    no_args_is_help=True,
)


@app.command(
    epilog="Example: netboot-appliance live show 52:54:00:aa:bb:cc. Exit code: 0, or 1 if an overlay cannot be used."
)
def show(context: typer.Context, mac: Annotated[str, MAC], as_json: Annotated[bool, JSON] = False) -> None:
    """Show what this PC would be told now. Passwords are not shown."""
    view = _view(context.obj, mac)
    if as_json:
        show_json(view)
    else:
        _show(view)
    if any(each.error for each in view.overlays):
        raise typer.Exit(1)


@app.command(
    "known-hosts", epilog="Example: netboot-appliance live known-hosts 52:54:00:aa:bb:cc >> ~/.ssh/known_hosts"
)
def known_hosts(context: typer.Context, mac: Annotated[str, MAC]) -> None:
    """Print the line of this PC for known_hosts(5), so that nobody has to believe its key."""
    view = _view(context.obj, mac)
    if not view.ssh_keys:
        raise UserError(f"{view.mac} lets nobody in by SSH", "name keys in [live] ssh_keys, then reload", code=1)
    if not view.known_hosts:
        raise UserError("no PC has had a host key yet", "start one with [live] ssh_keys in force", code=1)
    say(view.known_hosts)


def _view(path: Path, mac: str) -> LiveView:
    config = load(path)
    client = mac_address(mac)
    with Registry(config.registry) as registry:
        allowlist = registry.allowlist()
        entry = allowlist.decide(client)
        if entry is None:
            raise UserError(
                f"{client} is not allowed: it is told nothing",
                f"allow it: netboot-appliance allow add {client}",
                code=1,
            )
        return live_view(client, entry, preview(config, registry, allowlist, client))


def _show(view: LiveView) -> None:
    say(f"range      {view.allowed_by}")
    say(f"host name  {view.host_name}")
    say(f"time zone  {view.time_zone or 'UTC'}")
    for name, value in (("keyboard ", view.keyboard), ("proxy    ", view.proxy), ("trusts   ", view.ca_file)):
        if value:
            say(f"{name}  {value}")
    say(f"SSH        {', '.join(view.ssh_keys) or 'off'}")
    if view.host_key:
        say(f"host key   {view.host_key}")
    for overlay in view.overlays:
        say("", f"overlay {overlay.name}")
        if overlay.error:
            say(f"  cannot be used: {overlay.error}", f"  do: {overlay.hint}")
            continue
        rows = [(each.path, each.mode, f"-> {each.link}" if each.link else f"{each.size:,}") for each in overlay.files]
        if rows or not overlay.hooks:
            show_table(("file", "mode", "bytes"), rows, "  no files")
        for hook in overlay.hooks:
            say(f"hook {hook}")
