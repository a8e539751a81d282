"""[dhcp]: whether the box answers DHCP clients itself, and with which addresses.

Values only. Mistakes within the section are found here; appliance/dhcp/subnets.py finds what does not fit the box's
networks. PURE.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal, TypeVar

from services.dhcp.pool import AddressRange
from services.ethernet import MacAddress

T = TypeVar("T")

MOST_ADDRESSES = 16384
"""In all pools together: finding the last free address of a pool means looking at all of them."""

_SHORTEST, _LONGEST = 10, 31 * 86400
# RFC 2132 sections 3.8 and 8.3 set no limit, but every ROM must accept the packet (312 bytes of options, RFC 2131).
_MOST_SERVERS = 4


@dataclass(frozen=True)
class DhcpSettings:
    """[dhcp]: read at start, like [server].

    `mode`: "proxy" adds boot files to the offers of the site's DHCP server. "server": the box is the DHCP server.
    "off": another server has UDP port 67 of this host, or names the boot files itself (`netboot-appliance config
    dhcp`); the box only listens on port 4011. `pool`: one or more ranges of addresses, each inside a network of the
    interfaces or, behind a relay, of a `router` that is written with its network (10.88.0.1/24). `lease_time` is in
    seconds. `relays`: relays that are in none of the PCs' networks. `static`: MAC=address. `unknown`: whether PCs that
    are not allowed get an address; they are never told what to boot. `force`: serve even if there is another DHCP
    server.
    """

    mode: Literal["proxy", "server", "off"] = "proxy"
    pool: str | tuple[str, ...] = ()
    lease_time: int = 3600
    router: tuple[str, ...] = ()
    relays: tuple[IPv4Network, ...] = ()
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    static: tuple[str, ...] = ()
    unknown: Literal["lease", "ignore"] = "lease"
    force: bool = False

    def __post_init__(self) -> None:
        if self.mode == "server" and not self.pool and not self.static:
            raise ValueError('mode = "server" needs addresses, such as pool = "10.77.0.100-10.77.0.200"')
        if not _SHORTEST <= self.lease_time <= _LONGEST:
            raise ValueError(f"lease_time: must be from {_SHORTEST} to {_LONGEST} seconds")
        for key, servers in (("dns", self.dns), ("ntp", self.ntp)):
            if len(servers) > _MOST_SERVERS:
                raise ValueError(f"{key}: at most {_MOST_SERVERS} addresses: boot firmware accepts no larger packets")
        ranges = self.ranges
        for number, one in enumerate(ranges):
            if other := next((each for each in ranges[:number] if each.overlaps(one)), None):
                raise ValueError(f"pool: {one} overlaps {other}")
        if sum(each.size for each in ranges) > MOST_ADDRESSES:
            raise ValueError(f"pool: at most {MOST_ADDRESSES:,} addresses")
        _each("router", self.router, _router)
        static = _each("static", self.static, _static)
        for index, what in ((0, "MAC address"), (1, "address")):
            values = [pair[index] for pair in static]
            if twice := next((str(v) for v in values if values.count(v) > 1), ""):
                raise ValueError(f"static: the {what} {twice} appears twice")

    @property
    def ranges(self) -> list[AddressRange]:
        """The ranges in `pool`."""
        return _each("pool", (self.pool,) if isinstance(self.pool, str) else self.pool, AddressRange.parse)

    @property
    def routers(self) -> list[IPv4Interface]:
        """The routers in `router`; one without a network has the prefix length 32."""
        return _each("router", self.router, _router)

    @property
    def static_addresses(self) -> dict[MacAddress, IPv4Address]:
        """The pairs in `static`."""
        return dict(_each("static", self.static, _static))

    @property
    def hears_broadcasts(self) -> bool:
        """Whether the box uses UDP port 67."""
        return self.mode != "off"


def _each(key: str, texts: Sequence[str], parse: Callable[[str], T]) -> list[T]:
    try:
        return [parse(text) for text in texts]
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _router(text: str) -> IPv4Interface:
    try:
        return IPv4Interface(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address: write 10.77.0.254, or 10.88.0.1/24 for the network behind a relay"
        ) from None


def _static(text: str) -> tuple[MacAddress, IPv4Address]:
    mac, equals, address = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return MacAddress.parse(mac), IPv4Address(address.strip())
    except ValueError:
        raise ValueError(f"{text!r}: write it as 52:54:00:aa:bb:cc=10.77.0.50") from None
