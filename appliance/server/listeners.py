"""The services on their sockets: DHCP, TFTP and HTTP on every served interface, opened and closed together."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from appliance.exports import mailbox
from appliance.server.boot_scripts import BootScripts
from appliance.server.box import Box
from services.dhcp.lease_server import LeaseServer
from services.dhcp.server import DhcpServer
from services.http.server import HttpServer
from services.ipv6.sending import NoRouterSender
from services.linux.interfaces import Interface
from services.linux.sockets import BindError
from services.tftp.content_cache import ContentCache
from services.tftp.files import Files
from services.tftp.server import TftpServer

DRAIN_SECONDS = 10.0
"""How long transfers in progress may go on when the server stops."""


@contextlib.asynccontextmanager
async def open_services(
    box: Box, scripts: BootScripts, served: Sequence[Interface], leases: LeaseServer | None
) -> AsyncIterator[list[tuple[str, str, int]]]:
    """Open all sockets on all interfaces; drain and close them at the end. Raises UserError when a port is taken.

    Yields the name, address and port of each.
    """
    dhcp: list[DhcpServer] = []
    tftp: list[TftpServer] = []
    http: list[HttpServer] = []
    content_cache = ContentCache()
    no_router = NoRouterSender(_no_router_program())
    try:
        for interface in served:
            address = interface.address.ip
            dhcp.append(_dhcp(box, interface, leases, no_router))
            dhcp[-1].open()
            tftp.append(_tftp(box, scripts, address, content_cache))
            tftp[-1].open()
            http.append(_http(box, scripts, address))
            await http[-1].start()
        yield [socket for interface in served for socket in _sockets(box, interface.address.ip)]
    except BindError as error:
        # Finding out which process uses the port takes psutil: no server should wait for that import at its start.
        from appliance.network.ports import explain  # noqa: PLC0415

        raise explain(error) from error
    finally:
        # Offers end first: no PC should begin a boot that the box will not finish.
        if leases is not None:
            leases.close()
        for each in dhcp:
            each.close()
        no_router.close()
        await asyncio.gather(*(t.drain(DRAIN_SECONDS) for t in tftp), *(h.close(DRAIN_SECONDS) for h in http))


def _no_router_program() -> Path:
    """The socket of netboot-appliance-no-router.socket, beside the server's own directory below /run."""
    own = Path(os.environ.get(mailbox.ENVIRONMENT) or "/run/netboot-appliance")
    return own.with_name(f"{own.name}-no-router")


def _dhcp(box: Box, interface: Interface, leases: LeaseServer | None, no_router: NoRouterSender) -> DhcpServer:
    address = interface.address.ip
    return DhcpServer(
        interface.name,
        address,
        allowed=box.allows_number,
        knows=box.knows_number,
        plan=partial(box.plan, address),
        emit=box.emit,
        commit=box.commit,
        no_router=partial(no_router.tell, interface.name),
        basis=box.answer_inputs,
        serves=box.serves,
        broadcasts=box.config.dhcp.hears_broadcasts,
        leases=leases,
    )


def _tftp(box: Box, scripts: BootScripts, address: IPv4Address, content_cache: ContentCache) -> TftpServer:
    config = box.config
    files = Files(
        config.boot_root,
        config.images,
        partial(scripts.loader, address),
        partial(scripts.autoexec, address),
        config.boot.raspberry_pi,
    )
    return TftpServer(
        address,
        files,
        admit=box.admit,
        emit=box.emit,
        ports=config.tftp.ports,
        most_in_block=config.tftp.largest_block,
        cache=content_cache,
    )


def _http(box: Box, scripts: BootScripts, address: IPv4Address) -> HttpServer:
    return HttpServer(
        address,
        box.config.server.http_port,
        images=box.config.images,
        loaders=box.config.boot_root,
        admit=box.admit_over_tcp,
        script=partial(scripts.ipxe, address),
        autoexec=partial(scripts.autoexec, address),
        entry_script=partial(scripts.entry, address),
        secrets=box.secrets,
        live_list=box.live_list,
        live_archive=box.live_archive,
        report=box.report,
        exchange=box.exchange,
        heartbeat=box.heartbeat,
        emit=box.emit,
    )


def _sockets(box: Box, address: IPv4Address) -> list[tuple[str, str, int]]:
    where = str(address)
    dhcp = [("dhcp", where, 67)] if box.config.dhcp.hears_broadcasts else []
    return [*dhcp, ("pxe", where, 4011), ("tftp", where, 69), ("http", where, box.config.server.http_port)]
