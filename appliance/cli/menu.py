"""`menu`: the boot menu as PCs show it, and the password of its locked entries."""

import getpass
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from appliance.allowlist import BootSettings, Entry
from appliance.boot import next_boot
from appliance.boot.preview import preview, script
from appliance.boot.windows import read_outside
from appliance.cli.arguments import JSON, mac_address
from appliance.cli.output import say, show_json, show_table, show_text
from appliance.config import menu_password
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images.release_choice import ReleaseChoice
from appliance.live.preview import preview as live_preview
from appliance.registry.database import Registry
from appliance.view.menu import MenuView, menu_view
from image.release import ReleaseError, active_id
from services.ethernet import MacAddress
from services.menus.menu import Dialect

app = typer.Typer(name="menu", help="Show the boot menu, or make its password.", no_args_is_help=True)
_ANY = MacAddress(0)
_DIALECTS = {dialect.value.lower(): dialect for dialect in Dialect}


@app.command(epilog="Example: netboot-appliance menu show --for 52:54:00:aa:bb:cc --dialect ipxe")
def show(
    context: typer.Context,
    mac: Annotated[
        str | None, typer.Option("--for", metavar="MAC", help="The menu of this PC at its next boot.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(metavar="|".join(_DIALECTS), help="Print it as this boot loader reads it.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show the menu, and where its default and timeout come from. Secrets are not shown."""
    if dialect is not None and dialect not in _DIALECTS:
        raise UserError(f"there is no dialect {dialect!r}", f"one of {', '.join(_DIALECTS)}")
    config = load(context.obj)
    client = _ANY if mac is None else mac_address(mac)
    with Registry(config.registry) as registry:
        allowlist = registry.allowlist()
        entry = allowlist.decide(client) if mac else None
        live = live_preview(config, registry, allowlist, client).words if dialect else None
        next_entry = next((n.entry for n in next_boot.all_of(registry) if n.mac == client and not n.taken), "")
        own = _release(registry, config.images, client)
        outside = read_outside(config, registry, allowlist, client, time.time()) if mac and not next_entry else None
    if mac and entry is None:
        raise UserError(f"{client} is not allowed: it gets no menu", f"allow it: netboot-appliance allow add {client}")
    range_settings = entry.settings if entry else BootSettings()
    why = outside.why if outside else ""
    if dialect and live:
        show_text(script(config, range_settings, next_entry, client, live, _DIALECTS[dialect], own, why))
        return
    decided = preview(config, range_settings, next_entry, own, why)
    shown = menu_view(decided, range_settings.root or config.image.root)
    if as_json:
        show_json(shown)
    else:
        _show(shown, entry)


@app.command(epilog="Example: netboot-appliance menu password")
def password() -> None:
    """Ask for a password for locked entries, and print the lines for [menu] with its hashes.

    Without a terminal, reads one line from standard input.
    """
    try:
        typed = menu_password.check(_typed())
    except ValueError as error:
        raise UserError(str(error)) from None
    say(f'password = "{menu_password.scrypt(typed)}"')
    say(f'grub_password = "{menu_password.grub(typed)}"')
    say("put these lines into [menu] in the configuration, then: sudo systemctl reload netboot-appliance", err=True)


def _release(registry: Registry, images: Path, mac: MacAddress) -> str:
    """The release that this PC boots; empty: the active one of its image."""
    try:
        active = active_id(images, registry.allowlist().image_of(mac))
        return ReleaseChoice(registry, images).of(mac, active) or ""
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None


def _typed() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password of the locked entries: ")
    if getpass.getpass("Once more: ") != first:
        raise UserError("the passwords do not match", "run it again")
    return first


def _show(menu: MenuView, entry: Entry | None) -> None:
    if entry:
        say(f"range     {entry.range} {entry.label}".rstrip())
    say(f"default   {menu.default} ({menu.default_from})")
    waits = f"{menu.timeout} s" if menu.timeout else "0: no menu is shown, the default starts at once"
    say(f"timeout   {waits} ({menu.timeout_from})")
    say(f"root      {menu.root}")
    say("")
    rows = [
        ("->" if e.name == menu.default else "", e.name, e.title, "password" if e.locked else "") for e in menu.entries
    ]
    show_table(("", "entry", "title", "locked"), rows, "")
    for line in menu.missing:
        say(f"left out: {line}", err=True)
