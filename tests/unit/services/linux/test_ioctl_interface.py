"""The address of an interface, by ioctl."""

from ipaddress import IPv4Interface

import pytest

from services.linux.ioctl_interface import address_of


def test_the_loopback_has_its_own() -> None:
    assert address_of("lo") == IPv4Interface("127.0.0.1/8")


@pytest.mark.parametrize("name", ["", "nosuch0", "a-name-of-16-let"])
def test_an_interface_without_one_is_told(name: str) -> None:
    with pytest.raises(LookupError, match="interface"):
        address_of(name)
