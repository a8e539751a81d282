"""Ranges of addresses, and the addresses that a subnet gives away."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from services.dhcp.pool import AddressRange, Subnet
from services.ethernet import MacAddress

RANGE = AddressRange.parse("10.77.0.100-10.77.0.102")


def test_a_range_is_read_and_written() -> None:
    assert AddressRange.parse(" 10.77.0.100 - 10.77.0.102 ") == RANGE
    assert str(RANGE) == "10.77.0.100-10.77.0.102"
    assert AddressRange.parse("10.77.0.9") == AddressRange(IPv4Address("10.77.0.9"), IPv4Address("10.77.0.9"))
    assert (RANGE.size, IPv4Address("10.77.0.102") in RANGE, IPv4Address("10.77.0.103") in RANGE) == (3, True, False)


@pytest.mark.parametrize("text", ["", "10.77.0.1-", "10.77.0.0/24", "10.77.0.1-10", "10.77.0.1-10.77.0.256"])
def test_other_text_is_not_a_range(text: str) -> None:
    with pytest.raises(ValueError, match="write it as"):
        AddressRange.parse(text)


def test_a_range_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        AddressRange.parse("10.77.0.102-10.77.0.100")


def test_static_addresses_are_not_for_anybody() -> None:
    static = {MacAddress(1): IPv4Address("10.77.0.101"), MacAddress(2): IPv4Address("10.77.0.50")}
    subnet = Subnet(IPv4Network("10.77.0.0/24"), (RANGE,), static)
    assert [str(each) for each in subnet.dynamic] == ["10.77.0.100", "10.77.0.102"]
    assert not subnet.is_dynamic(IPv4Address("10.77.0.101"))
    assert subnet.size == 4
