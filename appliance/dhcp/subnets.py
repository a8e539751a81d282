"""The networks whose PCs get addresses from the box: fits [dhcp] to the interfaces."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import NoReturn

from appliance.config.file import Config
from appliance.errors import UserError
from services.dhcp.pool import AddressRange, Subnet
from services.linux.interfaces import Interface


def subnets(config: Config, served: Sequence[Interface]) -> tuple[Subnet, ...]:
    """The networks with addresses to give; none unless mode is "server". Raises UserError if something does not fit."""
    settings = config.dhcp
    if settings.mode != "server":
        return ()
    own = {interface.address.ip for interface in served}
    remote = [router.network for router in settings.routers if router.network.prefixlen < 32]
    networks = list(dict.fromkeys([*(interface.address.network for interface in served), *remote]))
    for number, network in enumerate(networks):
        if other := next((each for each in networks[:number] if each.overlaps(network)), None):
            _fail(config, f"the networks {other} and {network} overlap: name a router in the first one only", networks)
    for router in settings.routers:
        if _network_of(router.ip, networks) is None:
            _fail(config, f"the router {router.ip} is not in any of the networks", networks)
    ranges: dict[IPv4Network, list[AddressRange]] = {network: [] for network in networks}
    taken = own | {router.ip for router in settings.routers}
    for span in settings.ranges:
        home = _network_of(span.first, networks)
        if home is None or span.last not in home:
            _fail(config, f"the pool {span} is not inside any of the networks", networks)
        ends = {home.network_address, home.broadcast_address}
        if inside := sorted(address for address in taken | ends if address in span):
            _fail(config, f"the pool {span} contains {inside[0]}, which {_whose(inside[0], own, ends)}", networks)
        ranges[home].append(span)
    static = settings.static_addresses
    for mac, address in static.items():
        home = _network_of(address, networks)
        if home is None:
            _fail(config, f"the static address {address} of {mac} is not in any of the networks", networks)
        ends = {home.network_address, home.broadcast_address}
        if address in taken | ends:
            _fail(config, f"the static address {address} of {mac} {_whose(address, own, ends)}", networks)
    found = (
        Subnet(
            network,
            tuple(ranges[network]),
            {mac: address for mac, address in static.items() if _network_of(address, networks) == network},
            tuple(router.ip for router in settings.routers if _network_of(router.ip, networks) == network),
            settings.dns,
            settings.ntp,
            settings.lease_time,
        )
        for network in networks
    )
    return tuple(subnet for subnet in found if subnet.size)


def gives_addresses(config: Config, network: IPv4Network) -> bool:
    """Whether the box is the DHCP server of that network."""
    settings = config.dhcp
    given = [*(span.first for span in settings.ranges), *settings.static_addresses.values()]
    return settings.mode == "server" and any(address in network for address in given)


def _network_of(address: IPv4Address, networks: Sequence[IPv4Network]) -> IPv4Network | None:
    return next((network for network in networks if address in network), None)


def _whose(address: IPv4Address, own: set[IPv4Address], ends: set[IPv4Address]) -> str:
    if address in own:
        return "is the box's own address"
    return (
        "cannot belong to a host (it is the first or last of the network)" if address in ends else "belongs to a router"
    )


def _fail(config: Config, what: str, networks: Sequence[IPv4Network]) -> NoReturn:
    raise UserError(
        f"{config.path}: [dhcp] {what}",
        f"the networks are {', '.join(map(str, networks))}; to add one behind a relay, name its router with the "
        'network: router = ["10.88.0.1/24"]',
    )
