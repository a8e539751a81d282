"""Puts the wall before the NFS ports up for the grants, pins the neighbours, and tells what the wall recorded.

`appliance.exports.senders` decides; this asks the kernel, and calls services.nfs and services.linux. The caller is
root, or has CAP_NET_ADMIN. Every function blocks. docs/adr/0012-the-wall-before-nfs.md.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.exports.grants import ExportGrant
from appliance.exports.senders import Senders, believed, decide_senders, tell_claims, tell_heard
from services.ethernet import MacAddress
from services.linux import atomic_file, pins
from services.linux.netlink import delete_neighbour
from services.linux.netlink_socket import KernelInterface, ask_interface
from services.linux.next_hops import Neighbour, NextHop, Place, reconcile
from services.nfs import nftables
from services.nfs.backend import NfsError
from services.nfs.rpc import BESIDE_NFS, MOUNT, NFS, NFS_PORT, PORTMAPPER_PORT, RpcError, registered
from services.nfs.wall import Pair, Wall, render

ENVIRONMENT = "STATE_DIRECTORY"
"""systemd passes a service's state directory in this variable: systemd.exec(5), StateDirectory=."""

KEPT = "wall.nft"
"""The last wall, in that directory, for netboot-appliance-wall.service."""

_LOOPBACK = IPv4Address("127.0.0.1")
_RPC_SECONDS = 1.0
_ROUTER_SECONDS = 0.5
_MOST_LISTED = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the wall knew before it was changed, as in an ExportAnswer."""

    heard: Mapping[str, float] = field(default_factory=dict)
    claims: tuple[tuple[str, str], ...] = ()


def put_up(config: Config, networks: Sequence[IPv4Network], grants: Sequence[ExportGrant]) -> Observed:
    """Let exactly the clients of these grants to the NFS ports, and pin the neighbours. Raises NfsError, UserError."""
    served = _served(config)
    heard = nftables.heard()
    try:
        neighbours = pins.neighbours()
        hops = _hops(served, {address for grant in grants for address in grant.addresses})
        routers = _routers(config, hops, neighbours, heard)
        senders = decide_senders(grants, hops, routers)
        _put_up(wall_for(config, tuple(served), networks, grants, senders))
        _pin(senders.pins, neighbours)
    except OSError as error:
        raise NfsError(f"the kernel does not say how PCs are reached: {error}", "run it as root") from error
    if senders.unknown:
        log.warning("not let in, since it is not clear whose they are: %s", _listed(senders.unknown))
    return Observed(tell_heard(senders, heard), tell_claims(senders, grants, nftables.claims()))


def unpin() -> None:
    """Remove our pins, and those of nobody else. Raises NfsError."""
    try:
        _pin({}, pins.neighbours())
    except OSError as error:
        raise NfsError(f"the neighbours stay pinned: {error}", "run it as root") from error


def take_down() -> None:
    """Remove the wall, what was kept of it, and our pins. Without nft there is none. Raises NfsError."""
    unpin()
    if directory := os.environ.get(ENVIRONMENT):
        Path(directory, KEPT).unlink(missing_ok=True)
    with contextlib.suppress(NfsError):
        nftables.take_down()


def wall_for(
    config: Config,
    interfaces: tuple[str, ...],
    networks: Sequence[IPv4Network],
    grants: Sequence[ExportGrant],
    senders: Senders,
) -> Wall:
    """The wall for these senders, with the ports that the NFS server has now. Raises UserError."""
    privileged = {(transport, NFS_PORT) for transport in ("tcp", "udp")}
    ports = privileged | {(transport, PORTMAPPER_PORT) for transport in ("tcp", "udp")}
    with contextlib.suppress(RpcError):  # without a portmapper there is only NFSv4
        for program, transport, port in registered(_LOOPBACK, _RPC_SECONDS):
            if program in BESIDE_NFS:
                ports.add((transport, port))
            if program in (NFS, MOUNT):
                privileged.add((transport, port))
    granted = frozenset(address for grant in grants for address in grant.addresses)
    try:
        return Wall(
            interfaces,
            tuple(networks),
            config.nfs.others,
            frozenset(ports),
            frozenset(privileged),
            granted,
            senders.pairs,
        )
    except ValueError as error:
        raise UserError(str(error), "rename it: ip link set NAME name NEW", code=1) from error


def _served(config: Config) -> dict[str, KernelInterface]:
    names = config.server.interfaces
    if not names:
        # Nothing is configured: finding the interface takes half a second of imports.
        from appliance.network.interfaces import found_interface  # noqa: PLC0415

        names = (found_interface().name,)
    try:
        return {name: ask_interface(name) for name in names}
    except LookupError as error:
        raise UserError(
            f"{config.path}: [server] interfaces: {error.args[0]}", "see them with: ip -brief address", code=1
        ) from None


def _hops(served: Mapping[str, KernelInterface], addresses: set[IPv4Address]) -> dict[IPv4Address, NextHop]:
    """The next hops. Most addresses are in the network of an interface: the kernel is not asked for each of them."""
    found: dict[IPv4Address, NextHop] = {}
    for interface in served.values():
        if interface.address is not None:
            network = interface.address.network
            found |= {each: NextHop(interface.number, None) for each in addresses - found.keys() if each in network}
    return found | pins.next_hops(addresses - found.keys())


def _routers(
    config: Config,
    hops: Mapping[IPv4Address, NextHop],
    neighbours: dict[Place, Neighbour],
    heard: Mapping[Pair, float],
) -> dict[Place, tuple[MacAddress, ...]]:
    """The MAC addresses of the routers on the way: as configured, else as pinned, else as they answer now."""
    configured = config.nfs.router_macs
    found: dict[Place, tuple[MacAddress, ...]] = {}
    unknown: set[Place] = set()
    for place in {(hop.interface, hop.router) for hop in hops.values() if hop.router is not None}:
        behind = {mac for mac, address in heard if hops.get(address) == NextHop(*place)}
        if macs := configured.get(place[1]):
            found[place] = macs
        elif mac := believed(neighbours.get(place), behind):
            found[place] = (mac,)
        else:
            unknown.add(place)
    _change({place: delete_neighbour(*place) for place in unknown if neighbours.pop(place, None)})
    neighbours |= (answered := pins.resolve(unknown, _ROUTER_SECONDS))
    return found | {place: (neighbour.mac,) for place, neighbour in answered.items()}


def _put_up(wall: Wall) -> None:
    text = render(wall)
    nftables.put_up(text)
    if directory := os.environ.get(ENVIRONMENT):
        try:
            atomic_file.write(Path(directory, KEPT), text.encode(), mode=0o600, durable=False)
        except OSError as error:
            message = f"the wall before the NFS ports cannot be kept for the next boot: {error}"
            raise NfsError(message, f"check the disk with {directory}") from error


def _pin(wanted: Mapping[Place, MacAddress], neighbours: Mapping[Place, Neighbour]) -> None:
    _change(reconcile(wanted, neighbours))


def _change(orders: Mapping[Place, bytes]) -> None:
    if failed := pins.change(orders):
        first = next(iter(failed.values()))
        log.warning("not pinned (%s): %s", first.strerror, _listed(address for _, address in failed))


def _listed(addresses: Iterable[IPv4Address]) -> str:
    found = sorted(set(addresses))
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return ", ".join(map(str, found[:_MOST_LISTED])) + more
