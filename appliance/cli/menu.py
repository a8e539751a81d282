"""`menu`: what PCs may boot, as they would show it, and the password of the entries that are locked."""

import getpass
import sys
from ipaddress import IPv4Address
from typing import Annotated, Any

import typer

from appliance.allowlist import BootSettings, Entry
from appliance.boot import choices, next_boot
from appliance.boot.menu import MenuDecision, decide
from appliance.cli.output import show_json, show_table
from appliance.config import menu_password
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.network.interfaces import base_url, interfaces
from appliance.registry.database import Registry
from image.release import ReleaseError, current
from services.ethernet import MacAddress
from services.menus import grub, ipxe, pxelinux
from services.menus.menu import Dialect, LiveBoot, Menu

app = typer.Typer(name="menu", help="The boot menu.", no_args_is_help=True)
_ANY = MacAddress(0)
NOWHERE = IPv4Address(0)
"""For a preview of which nobody sees the addresses."""

_HIDDEN = "(not-shown)"
_DIALECTS = {dialect.value.lower(): dialect for dialect in Dialect}
_EXAMPLES = "netboot-appliance menu show --for 52:54:00:aa:bb:cc --dialect ipxe"


@app.command(epilog=f"Example: {_EXAMPLES}")
def show(
    context: typer.Context,
    mac: Annotated[
        str | None, typer.Option("--for", metavar="MAC", help="As this PC would show it at its next boot.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(metavar="|".join(_DIALECTS), help="What its boot loader would read.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show the menu, and where its default and its timeout come from. Nothing secret is in it."""
    if dialect is not None and dialect not in _DIALECTS:
        raise UserError(f"there is no dialect {dialect!r}", f"one of {', '.join(_DIALECTS)}")
    config = load(context.obj)
    client = _ANY if mac is None else _mac(mac)
    with Registry(config.registry) as registry:
        entry = registry.allowlist().decide(client) if mac else None
        following = next((n.entry for n in next_boot.all_of(registry) if n.mac == client and not n.taken), "")
    if mac and entry is None:
        raise UserError(f"{client} is not allowed: it gets no menu", f"allow it: netboot-appliance allow add {client}")
    own = entry.settings if entry else BootSettings()
    address = _address(config) if dialect else NOWHERE
    decided = preview(config, own, following, client, address)
    if dialect:
        typer.echo(_render(_DIALECTS[dialect], decided.menu, client, address, config), nl=False)
    elif as_json:
        show_json(_json(decided, own.root or config.image.root))
    else:
        _show(decided, entry, own.root or config.image.root)


@app.command(epilog="Example: netboot-appliance menu password")
def password() -> None:
    """Ask for the password of locked entries, and print the lines of [menu] that hold its hashes.

    Off a terminal it is read from standard input, one line.
    """
    try:
        typed = menu_password.check(_typed())
    except ValueError as error:
        raise UserError(str(error)) from None
    typer.echo(f'password = "{menu_password.scrypt(typed)}"')
    typer.echo(f'grub_password = "{menu_password.grub(typed)}"')
    typer.echo("put them into [menu] of the configuration, then: sudo systemctl reload netboot-appliance", err=True)


def _typed() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password of the locked entries: ")
    if getpass.getpass("Once more: ") != first:
        raise UserError("the two are not the same", "run it again")
    return first


def preview(config: Config, own: BootSettings, following: str, mac: MacAddress, address: IPv4Address) -> MenuDecision:
    """The menu of a PC whose range has the settings `own`, without its token; raises UserError without an image."""
    try:
        active = current(config.images)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    if active is None:
        raise UserError(
            "no image is active, so nobody gets a menu", "make one with: netboot-appliance image build", code=1
        )

    def live(release: str, rescue: bool) -> LiveBoot:
        return choices.live(config, address, mac, _HIDDEN, own.root, release, rescue=rescue)

    names = (*config.menu.entries, own.entry, following)
    return decide(config.menu, own, following, choices.look(config, active.id, names), live)


def _mac(text: str) -> MacAddress:
    try:
        return MacAddress.parse(text)
    except ValueError as error:
        raise UserError(str(error)) from None


def _address(config: Config) -> IPv4Address:
    return interfaces(config)[0].address.ip


def _render(dialect: Dialect, menu: Menu, mac: MacAddress, address: IPv4Address, config: Config) -> str:
    match dialect:
        case Dialect.IPXE:
            return ipxe.render(menu, f"{base_url(address, config.server.http_port)}/boot/{mac.bare}/")
        case Dialect.GRUB:
            text = grub.render(menu, mac.bare, address, config.menu.grub_password)
            return text.replace(config.menu.grub_password, _HIDDEN) if config.menu.grub_password else text
        case Dialect.PXELINUX:
            return pxelinux.render(menu)


def _show(decided: MenuDecision, entry: Entry | None, root: str) -> None:
    menu = decided.menu
    if entry:
        typer.echo(f"range     {entry.range} {entry.label}".rstrip())
    typer.echo(f"default   {menu.default} ({decided.default_from})")
    waits = f"{menu.timeout} s" if menu.timeout else "0: no menu is shown, the default starts at once"
    typer.echo(f"timeout   {waits} ({decided.timeout_from})")
    typer.echo(f"root      {root}")
    typer.echo("")
    rows = [
        ("->" if e.name == menu.default else "", e.name, e.title, "password" if e.locked else "") for e in menu.entries
    ]
    show_table(("", "entry", "title", "locked"), rows, "")
    for line in decided.missing:
        typer.echo(f"left out: {line}", err=True)


def _json(decided: MenuDecision, root: str) -> dict[str, Any]:
    menu = decided.menu
    return {
        "default": menu.default,
        "default_from": decided.default_from,
        "timeout": menu.timeout,
        "timeout_from": decided.timeout_from,
        "root": root,
        "entries": [{"name": e.name, "title": e.title, "locked": e.locked} for e in menu.entries],
        "missing": list(decided.missing),
    }
