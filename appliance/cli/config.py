"""`config`: the configuration file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from appliance import config
from appliance.cli.output import show_json
from appliance.errors import UserError

app = typer.Typer(help="The configuration file.", no_args_is_help=True)


@app.command(epilog="Example: sudo netboot-appliance config init")
def init(
    context: typer.Context,
    interface: Annotated[
        str | None, typer.Option(help="The interface to the PCs; without it the one with the default route.")
    ] = None,
) -> None:
    """Write a commented configuration with the interface and address that were found. Never overwrites a file."""
    path: Path = context.obj
    text = _template(interface)
    config.parse(text, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The account key goes in there: readable by root alone from the start.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(
            f"{path} exists already; nothing was changed", "edit it, or move it away and run config init again"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}", "run with sudo, or name another with --config"
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    typer.echo(f"wrote {path}")
    typer.echo("next: fill in [project], then: netboot-appliance config check")


@app.command(epilog="Example: netboot-appliance config check. Exit code: 0 valid, 2 not.")
def check(context: typer.Context) -> None:
    """Say whether the configuration is valid, and what it means on this machine."""
    from appliance.network import interfaces, networks

    found = config.load(context.obj)
    served = interfaces(found)
    typer.echo(f"{found.path} is valid")
    for interface in served:
        typer.echo(f"serves    {interface.name}, {interface.address}")
    typer.echo(f"exports   inside {', '.join(map(str, networks(found, served)))}")
    typer.echo(f"project   {found.project.url or 'none: the PCs will boot and wait'}")
    if found.project.account_key and found.path.stat().st_mode & 0o007:
        typer.echo(f"warning: everybody on this machine can read the account key: chmod o= {found.path}", err=True)


@app.command(epilog="Example: netboot-appliance config show")
def show(context: typer.Context) -> None:
    """Print the effective configuration, defaults included, as JSON. The account key is not shown."""
    show_json(config.redacted(config.load(context.obj)))


def _template(wanted: str | None) -> str:
    # pyroute2 takes a third of a second to import, which no other verb has to wait for.
    from services.neighbours import interface_address

    try:
        found = interface_address(wanted or _default_interface())
    except LookupError as error:
        raise UserError(str(error.args[0]), "name the interface to the PCs with --interface") from None
    return _TEMPLATE.format(interface=found.name, address=found.address, network=found.address.network)


def _default_interface() -> str:
    """The only interface there is, else the one with the default route; raises LookupError."""
    from services.neighbours import interfaces

    names = [interface.name for interface in interfaces()]
    if len(names) == 1:
        return names[0]
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        name, destination = line.split()[:2]
        if destination == "00000000" and name in names:
            return name
    raise LookupError(f"cannot tell which interface leads to the PCs; there are: {', '.join(names) or 'none'}")


_TEMPLATE = """\
# netboot-appliance: the configuration. After a change: netboot-appliance config check, then
# systemctl reload netboot-appliance (or SIGHUP). Lines with # show the defaults.

[server]
# The interface to the PCs. Found here: {interface} with {address}.
interfaces = ["{interface}"]
# data = "/var/lib/netboot-appliance"    # images, the PCs' work, the registry
# http_port = 80

[nfs]
# Nothing is exported outside these networks. Default: those of the interfaces ({network}).
# networks = ["{network}"]
# backend = "auto"                       # auto, kernel or ganesha

[project]
# The BOINC project that every PC joins. The key is best a weak account key: it can only attach computers.
# url = "https://www.worldcommunitygrid.org/"
# account_key = "1234_0123456789abcdef0123456789abcdef"

[boinc]
# Where BOINC Manager may connect from. The passwords: netboot-appliance clients show MAC
# management_hosts = []

[boinc.preferences]
# How much of a PC the work may take; the names are those of BOINC's global_prefs_override.xml.
# max_ncpus_pct = 100.0
# start_hour = 18.0
# end_hour = 7.0

[image]
# What goes into the live system beside what it needs.
# packages = []
# firmware = false                       # non-free firmware, for network cards that want it
# kernel_arguments = []
"""
