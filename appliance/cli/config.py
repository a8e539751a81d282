"""`config`: the configuration file."""

import grp
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from appliance.boot.choices import boot_files, look
from appliance.cli import config_dhcp
from appliance.cli.output import show_json
from appliance.config import file as config
from appliance.config.loaders import dialect
from appliance.config.menu import release_of
from appliance.config.template import TEMPLATE
from appliance.errors import UserError
from appliance.network.interfaces import found_interface
from appliance.registry.server_lock import holder
from image.bootfiles import BootFileError, original
from services.linux import atomic_file
from services.linux.interfaces import interface_address
from services.menus.menu import Dialect

app = typer.Typer(name="config", help="The configuration file.", no_args_is_help=True)
app.command("dhcp", epilog="Example: netboot-appliance config dhcp dnsmasq --way pxe")(config_dhcp.dhcp)


@app.command(epilog="Example: sudo netboot-appliance config init")
def init(
    context: typer.Context,
    interface: Annotated[
        str | None, typer.Option(help="The interface to the PCs; without it the one with the default route.")
    ] = None,
) -> None:
    """Write a commented configuration with the interface and address that were found.

    Never overwrites a file that says anything; the package's own, in which every setting is a comment, is replaced.
    """
    path: Path = context.obj
    text = _template(interface)
    written = config.parse(text, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)
    except FileExistsError:
        raise UserError(
            f"{path} exists already; nothing was changed", "edit it, or move it away and run config init again"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}", "run with sudo, or name another with --config"
        ) from None
    typer.echo(f"wrote {path}")
    typer.echo("next: fill in [project], then: netboot-appliance config check")
    typer.echo(f"then: {_into_force(written)}")


def _write(path: Path, text: str) -> None:
    """Make the file, in one step; raises FileExistsError where one stands that says something."""
    # The account key goes in there: only root and the service may read it.
    group = _service_group() if os.geteuid() == 0 else None
    mode = 0o600 if group is None else 0o640
    with atomic_file.new_file(path, mode=mode, replace=path.exists() and _says_nothing(path)) as file:
        file.write(text.encode())
        if group is not None:
            os.fchown(file.fileno(), 0, group)


def _says_nothing(path: Path) -> bool:
    try:
        return _is_empty(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return False


def _is_empty(value: object) -> bool:
    """A section, however deep, in which no key is set."""
    return isinstance(value, dict) and all(map(_is_empty, value.values()))


def _service_group() -> int | None:
    try:
        return grp.getgrnam(config.SERVICE_GROUP).gr_gid
    except KeyError:
        return None


def _into_force(written: config.Config) -> str:
    """The command with which the new configuration comes into force here."""
    try:
        running = holder(written.registry) is not None
    except UserError:
        running = False
    if Path("/run/systemd/system").is_dir():
        verb = "reload" if running else "enable --now"
        return f"sudo systemctl {verb} netboot-appliance"
    return f"sudo netboot-appliance {'reload' if running else 'serve'}"


@app.command(
    epilog="Example: netboot-appliance config check. Exit code: 0 valid, 2 not, 1 valid but not on this machine now."
)
def check(context: typer.Context) -> None:
    """Say whether the configuration is valid, and what it means on this machine."""
    from appliance.dhcp.subnets import subnets
    from appliance.network.interfaces import interfaces, networks

    found = config.load(context.obj)
    served = interfaces(found)
    typer.echo(f"{found.path} is valid" if found.written else _NO_FILE.format(path=found.path))
    for interface in served:
        how = "" if found.server.interfaces else " (found; [server] interfaces names none)"
        typer.echo(f"serves    {interface.name}, {interface.address}{how}")
    for subnet in subnets(found, served):
        typer.echo(f"leases    {subnet.size} addresses in {subnet.network}")
    typer.echo(f"exports   inside {', '.join(map(str, networks(found, served)))}")
    typer.echo(f"project   {found.project.url or 'none: the PCs will boot and wait'}")
    if found.written:
        for warning in _warnings(found):
            typer.echo(f"warning: {warning}", err=True)


def _warnings(found: config.Config) -> Iterator[str]:
    state = found.path.stat()
    if (found.project.account_key or found.menu.password) and state.st_mode & 0o007:
        yield f"everybody on this machine can read the account key and passwords in it: chmod o= {found.path}"
    group = _service_group()
    if group is not None and not (state.st_mode & 0o004 or (state.st_mode & 0o040 and state.st_gid == group)):
        yield f"the service cannot read it: chgrp {config.SERVICE_GROUP} {found.path}; chmod 640 {found.path}"
    for name in boot_files(found):
        try:
            original(name, found.boot.directory)
        except BootFileError as error:
            yield f"{error}; {error.hint}"
    if (folder := found.boot.raspberry_pi) is not None and not folder.is_dir():
        yield f"there is no folder {folder}; put the boot files of your Raspberry Pis there, readable for all"
    yield from _menu_warnings(found)


def _menu_warnings(found: config.Config) -> Iterator[str]:
    menu = found.menu
    releases = look(found, "", menu.entries).releases
    for name in menu.entries:
        if (release := release_of(name)) and release not in releases:
            yield f"[menu] {name} is left out, there is no such release: netboot-appliance image list"
    if "rescue" in menu.entries and "rescue" not in menu.locked:
        yield "[menu] rescue is not locked: everybody at a PC gets a root shell there"
    by_grub = any(dialect(name) is Dialect.GRUB for name in found.boot.names)
    if menu.locked and by_grub and not menu.grub_password:
        yield "[menu] grub_password is empty: PCs that boot with GRUB do not show the locked entries"


@app.command(epilog="Example: netboot-appliance config show")
def show(context: typer.Context) -> None:
    """Print the effective configuration, defaults included, as JSON. The account key is not shown."""
    found = config.load(context.obj)
    if not found.written:
        typer.echo(_NO_FILE.format(path=found.path), err=True)
    show_json(config.redacted(found))


def _template(wanted: str | None) -> str:
    try:
        found = interface_address(wanted) if wanted else found_interface()
    except LookupError as error:
        raise UserError(str(error.args[0]), "name the interface to the PCs with --interface") from None
    return TEMPLATE.format(interface=found.name, address=found.address, network=found.address.network)


_NO_FILE = "there is no configuration file {path}; these are the defaults"
