"""What a DHCP server may give away: ranges of addresses in a network, static addresses, and the options of its clients.
PURE.

leasing.py knows which of them are taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from services.ethernet import MacAddress


@dataclass(frozen=True, order=True, slots=True)
class AddressRange:
    """All addresses from `first` to `last`, both included."""

    first: IPv4Address
    last: IPv4Address

    @classmethod
    def parse(cls, text: str) -> "AddressRange":
        """Read `10.77.0.100-10.77.0.200` or one address; raises ValueError with a message for people."""
        first, dash, last = (part.strip() for part in text.partition("-"))
        try:
            span = cls(IPv4Address(first), IPv4Address(last if dash else first))
        except ValueError:
            raise ValueError(f"{text!r} is not a range of addresses: write it as 10.77.0.100-10.77.0.200") from None
        if span.first > span.last:
            raise ValueError(f"the range {text} runs backwards: write the lower address first")
        return span

    def __contains__(self, address: IPv4Address) -> bool:
        return self.first <= address <= self.last

    def overlaps(self, other: "AddressRange") -> bool:
        """Whether the two have an address in common."""
        return self.first <= other.last and other.first <= self.last

    @property
    def size(self) -> int:
        """The number of addresses in the range."""
        return int(self.last) - int(self.first) + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Subnet:
    """A network whose clients get addresses: `ranges` are for anybody, `static` addresses for one MAC address each.

    The caller makes sure that all of them are inside `network`, and that none is the server's own or a router's.
    """

    network: IPv4Network
    ranges: tuple[AddressRange, ...]
    static: Mapping[MacAddress, IPv4Address] = field(default_factory=dict)
    routers: tuple[IPv4Address, ...] = ()
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    lease_seconds: int = 3600

    @cached_property
    def dynamic(self) -> tuple[IPv4Address, ...]:
        """The addresses for anybody, in ascending order."""
        reserved = set(self.static.values())
        numbers = (range(int(each.first), int(each.last) + 1) for each in sorted(self.ranges))
        addresses = (IPv4Address(number) for span in numbers for number in span)
        return tuple(address for address in addresses if address not in reserved)

    def is_dynamic(self, address: IPv4Address) -> bool:
        """Whether the address is for anybody."""
        return address in self._dynamic_set

    @cached_property
    def _dynamic_set(self) -> frozenset[IPv4Address]:
        return frozenset(self.dynamic)

    @property
    def size(self) -> int:
        """The number of addresses to give, static ones included."""
        return len(self.dynamic) + len(self.static)
