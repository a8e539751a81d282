"""Where the box is: its interfaces, the networks it serves, its own address in URLs."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from services.linux.interfaces import Interface, interface_address
from services.linux.interfaces import interfaces as all_interfaces


def interfaces(config: Config) -> list[Interface]:
    """The configured interfaces as they are now, or the one that is found; raises UserError if there is none.

    The error's code is 1: during boot the network may not be up yet, although the configuration is right.
    """
    if not config.server.interfaces:
        return [found_interface()]
    try:
        return [interface_address(name) for name in config.server.interfaces]
    except LookupError as error:
        raise UserError(
            f"{config.path}: [server] interfaces: {error.args[0]}", "see the names with: ip -brief address", code=1
        ) from None


def with_interfaces_named(config: Config) -> Config:
    """The configuration with the interfaces filled in that are found now; raises UserError like `interfaces`."""
    names = config.server.interfaces or (found_interface().name,)
    return replace(config, server=replace(config.server, interfaces=names))


def found_interface() -> Interface:
    """The only interface with an address, or else the one with the default route; raises UserError."""
    usable = {interface.name: interface for interface in all_interfaces()}
    if not usable:
        raise UserError(
            "no network interface has an IPv4 address",
            "set one up for the network of the PCs; list the interfaces: ip -brief address",
            code=1,
        )
    if len(usable) == 1:
        return next(iter(usable.values()))
    for name in _default_routes():
        if name in usable:
            return usable[name]
    raise UserError(
        f"cannot tell which interface leads to the PCs: {', '.join(usable)}",
        "name it in the configuration ([server] interfaces), "
        "or write one with: sudo netboot-appliance config init --interface NAME",
        code=1,
    )


def _default_routes() -> list[str]:
    """The interfaces of the default routes, preferred one first."""
    # Columns of /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask ...
    table = (line.split() for line in Path("/proc/self/net/route").read_text(encoding="ascii").splitlines()[1:])
    found = [(int(route[6]), route[0]) for route in table if route[1] == route[7] == "00000000"]
    return [name for _, name in sorted(found, key=lambda route: route[0])]


def networks(config: Config, served: Sequence[Interface]) -> tuple[IPv4Network, ...]:
    """The configured networks, or those of the interfaces."""
    return config.nfs.networks or tuple(interface.address.network for interface in served)


def answered(config: Config, served: Sequence[Interface]) -> tuple[IPv4Network, ...]:
    """The networks to which DHCP answers go: those of PCs, and what the configuration says of relays."""
    routers = (router.network for router in config.dhcp.routers)
    links = (interface.address.network for interface in served)
    return tuple(dict.fromkeys((*networks(config, served), *links, *routers, *config.dhcp.relays)))


def base_url(address: IPv4Address, port: int) -> str:
    """The box's HTTP address, without the port if it is 80 (some firmware cannot parse one)."""
    return f"http://{address!s}" if port == 80 else f"http://{address!s}:{port}"
