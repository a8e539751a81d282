"""Where the box stands: its interfaces, the networks it serves, its own address in URLs."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network

from appliance.config import Config
from appliance.errors import UserError
from services.neighbours import Interface, interface_address


def interfaces(config: Config) -> list[Interface]:
    """The configured interfaces as they are now; raises UserError when one is missing or has no address."""
    try:
        return [interface_address(name) for name in config.server.interfaces]
    except LookupError as error:
        raise UserError(
            f"{config.path}: [server] interfaces: {error.args[0]}", "see the names with: ip -brief address"
        ) from None


def networks(config: Config, served: Sequence[Interface]) -> tuple[IPv4Network, ...]:
    """The configured networks, or those of the interfaces."""
    return config.nfs.networks or tuple(interface.address.network for interface in served)


def base_url(address: IPv4Address, port: int) -> str:
    """The box's HTTP address, without the port where it is the usual one (some firmware cannot parse it)."""
    return f"http://{address}" if port == 80 else f"http://{address}:{port}"
