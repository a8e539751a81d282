"""The neighbour tables without a network; the rest is in tests/netns/test_neighbours.py."""

from ipaddress import IPv4Address, IPv4Interface

import pytest

from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from services.linux.neighbours import Neighbours

MAC = MacAddress.parse("52:54:00:00:00:01")
NEIGHBOURS = Neighbours(
    [
        Interface("lan0", 2, IPv4Interface("10.77.0.1/24"), MAC),
        Interface("lan1", 3, IPv4Interface("172.20.0.1/16"), MAC),
    ]
)


@pytest.mark.parametrize(
    ("address", "on_link"),
    [
        ("10.77.0.1", True),
        ("10.77.0.254", True),
        ("10.77.1.1", False),
        ("172.20.200.9", True),
        ("172.21.0.1", False),
        ("127.0.0.1", False),
    ],
)
def test_an_address_is_on_link_inside_the_network_of_an_interface(address: str, on_link: bool) -> None:
    assert NEIGHBOURS.on_link(IPv4Address(address)) is on_link


def test_nothing_is_known_or_sent_off_link() -> None:
    assert NEIGHBOURS.mac_of(IPv4Address("198.51.100.7")) is None
    NEIGHBOURS.nudge(IPv4Address("198.51.100.7"))
