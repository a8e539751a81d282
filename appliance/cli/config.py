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
from appliance.errors import UserError
from appliance.network.interfaces import found_interface
from appliance.registry.server_lock import holder
from image.bootfiles import BootFileError, original
from services.linux import atomic_file
from services.linux.neighbours import interface_address
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
    return _TEMPLATE.format(interface=found.name, address=found.address, network=found.address.network)


_NO_FILE = "there is no configuration file {path}; these are the defaults"

_TEMPLATE = """\
# netboot-appliance: the configuration. After a change: netboot-appliance config check, then
# systemctl reload netboot-appliance (by hand: netboot-appliance reload). Lines with # show the defaults.

[server]
# The interface to the PCs. Found here: {interface} with {address}.
interfaces = ["{interface}"]
# data = "/var/lib/netboot-appliance"    # images, the PCs' work, the registry
# http_port = 80

[dhcp]
# mode = "proxy"                         # "off" where another DHCP server has port 67: netboot-appliance config dhcp
                                         # "server" where there is none: then give a pool; docs/dhcp.md
# pool = []                              # addresses to give out: ["10.77.0.100-10.77.0.200"]
# lease_time = 3600                      # seconds
# router = []                            # told to PCs; "10.88.0.1/24" also names the network behind a relay
# dns = []
# ntp = []
# static = []                            # one PC's own address: ["52:54:00:aa:bb:cc=10.77.0.50"]
# unknown = "lease"                      # "ignore": PCs that may not boot get no address
# force = false                          # true: start although another DHCP server answers

[tftp]
# ports = "shared"                       # all from port 69; "session": a port a transfer, for clients that insist on it

[boot]
# Boot loaders of your own are taken from here before those of Debian's packages; docs/booting.md.
# directory = "/etc/netboot-appliance/loaders"

[boot.loaders]
# A file for each kind of firmware; "" refuses that kind.
# bios = "undionly.kpxe"                 # "pxelinux.0" where HTTP is closed
# uefi_x64 = "snponly.efi"               # "ipxe.efi" for cards on which this one hangs; "shimx64.efi": Secure Boot
# uefi_ia32 = ""
# uefi_arm64 = ""
# raspberry_pi = ""                      # a folder with what Raspberry Pis ask for

[menu]
# What PCs may choose from: boinc, local, previous, memtest, rescue, reboot, image:RELEASE; docs/menu.md.
# entries = ["boinc", "local", "reboot"]
# default = "boinc"
# timeout = 0                            # seconds that the menu waits; 0: there is none, the default boots at once
# locked = []                            # entries that want the password: netboot-appliance menu password
# password = ""                          # for iPXE
# grub_password = ""                     # for GRUB (Secure Boot)

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
# root = "nfs"                           # or "http": into each PC's memory; for some PCs: allow add --root
"""
