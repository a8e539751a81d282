"""The interfaces of this host; more kinds of them are in tests/netns/test_neighbours.py."""

import pytest

from services.linux.interfaces import interface_address, interfaces


def test_a_missing_interface_is_named() -> None:
    with pytest.raises(LookupError, match=r"^there is no interface nosuch0; usable: "):
        interface_address("nosuch0")


def test_the_loopback_interface_is_not_offered() -> None:
    assert "lo" not in [interface.name for interface in interfaces()]
    with pytest.raises(LookupError, match=r"^the interface lo is no Ethernet interface with an IPv4 address; usable: "):
        interface_address("lo")
