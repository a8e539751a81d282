"""Which addresses may connect to the page at all."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.network.interfaces import interfaces


def admitted(config: Config) -> tuple[IPv4Network, ...]:
    """Beside loopback: [control] networks, or BOINC's management hosts, or the networks of the box's interfaces; and
    the box itself. Without a network, only loopback."""
    return (*chosen(config), *(IPv4Network(each.ip) for each in _own(config)))


def chosen(config: Config) -> tuple[IPv4Network, ...]:
    """Those of `admitted` that are not the box itself."""
    hosts = tuple(map(IPv4Network, config.boinc.management_hosts))
    return config.control.networks or hosts or tuple(each.network for each in _own(config))


def own_addresses(config: Config) -> tuple[IPv4Address, ...]:
    """The addresses of the box's interfaces; loopback if it has none now."""
    return tuple(each.ip for each in _own(config)) or (IPv4Address("127.0.0.1"),)


def _own(config: Config) -> list[IPv4Interface]:
    try:
        return [each.address for each in interfaces(config)]
    except UserError:
        return []


def admits(networks: Iterable[IPv4Network], address: IPv4Address) -> bool:
    """Whether this address may connect."""
    return address.is_loopback or any(address in network for network in networks)
