"""The page's address, as people type it."""

from ipaddress import IPv4Address

from appliance.config.file import Config
from appliance.page.networks import own_addresses


def local_address(config: Config) -> IPv4Address:
    """An address at which this host itself reaches the page."""
    listening = config.control.listen.address
    return IPv4Address("127.0.0.1") if listening.is_unspecified else listening


def urls(config: Config) -> tuple[str, ...]:
    """Where the page is: at each address of the box, or at the one it listens on."""
    scheme = "http" if config.control.behind_proxy else "https"
    return tuple(f"{scheme}://{address}:{config.control.listen.port}/" for address in page_addresses(config))


def page_addresses(config: Config) -> tuple[IPv4Address, ...]:
    """Those addresses."""
    listening = config.control.listen.address
    return own_addresses(config) if listening.is_unspecified else (listening,)
