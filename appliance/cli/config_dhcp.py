"""`config dhcp`: what to tell the site's own DHCP server where it holds port 67 or names the boot files itself."""

from typing import Annotated

import typer

from appliance.boot.choices import loaders
from appliance.cli.output import say, show_text
from appliance.config.file import load
from appliance.errors import UserError
from appliance.network.interfaces import base_url, interfaces
from services.dhcp.machines import pxe_files
from services.dhcp.snippets import IPXE_OWN_MAC, BootServer, DhcpProduct, HandOver, render


def dhcp(
    context: typer.Context,
    server: Annotated[DhcpProduct | None, typer.Argument(help="The DHCP server.", show_default=False)] = None,
    way: Annotated[
        HandOver | None,
        typer.Option(
            help="pxe: option 60 and port 4011; options: options 66 and 67. Default: the first one the server supports."
        ),
    ] = None,
    interface: Annotated[str, typer.Option(help="The interface that leads to the PCs, if there are several.")] = "",
) -> None:
    """Print what to paste into the configuration of a DHCP server, so that its PCs boot from this box.

    For a DHCP server on this host, which holds UDP port 67, or one elsewhere that should name the boot files itself.
    No other DHCP server needs any change. Without a server, lists the ones it knows.
    """
    if server is None:
        for each in DhcpProduct:
            say(f"netboot-appliance config dhcp {each:8} --way {' | '.join(each.ways)}")
        return
    chosen = way or server.ways[0]
    if chosen not in server.ways:
        raise UserError(
            f"{server} does not support --way {chosen}: firmware asks port 4011 of the DHCP server's own host, and no "
            "netboot-appliance runs there",
            f"netboot-appliance config dhcp {server} --way {server.ways[0]}",
        )
    show_text(render(server, chosen, _box(context, interface)))


def _box(context: typer.Context, name: str) -> BootServer:
    config = load(context.obj)
    served = [each for each in interfaces(config) if name in ("", each.name)]
    if len(served) != 1:
        names = " or ".join(f"--interface {each.name}" for each in interfaces(config))
        raise UserError("the box has several interfaces, and the PCs are on one of them", f"choose: {names}")
    address = served[0].address
    script = f"{base_url(address.ip, config.server.http_port)}/boot/{IPXE_OWN_MAC}/boot.ipxe"
    return BootServer(address.ip, address.network, pxe_files(loaders(config)), script)
