"""This box's DHCP server, as configured in [dhcp]: addresses from the networks, leases from the registry."""

from collections.abc import Sequence
from functools import partial

from appliance.dhcp import leases
from appliance.dhcp.subnets import subnets
from appliance.registry.database import Registry
from appliance.server.box import Box
from services.dhcp.lease_server import LeaseServer
from services.dhcp.leasing import Leasing
from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from services.linux.neighbours import Neighbours


def lease_server(
    box: Box, registry: Registry, neighbours: Neighbours, served: Sequence[Interface]
) -> LeaseServer | None:
    """The server for leases, or None where another one gives out the addresses; raises UserError like `subnets`."""
    settings = box.config.dhcp
    leased_subnets = subnets(box.config, served)
    registry.set_server("addresses", sum(subnet.size for subnet in leased_subnets))
    if not leased_subnets:
        return None
    own_addresses = [interface.address.ip for interface in served]
    static = settings.static_addresses

    def serves(mac: MacAddress) -> bool:
        return settings.unknown == "lease" or mac in static or box.allowed(mac)

    return LeaseServer(
        Leasing(leased_subnets, own_addresses, leases.load(registry)),
        neighbours,
        serves=serves,
        save=partial(leases.save, registry),
        given=box.addresses.given,
        emit=box.emit,
    )
