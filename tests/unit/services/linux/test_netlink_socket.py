"""One interface, asked of the kernel directly: the same as pyroute2 says of it."""

import socket
from ipaddress import IPv4Interface

import pytest

from services.linux.interfaces import links
from services.linux.netlink_socket import KernelInterface, address_of, ask_interface


def test_the_loopback_interface_has_an_address_and_no_mac() -> None:
    assert ask_interface("lo") == KernelInterface(1, None, IPv4Interface("127.0.0.1/8"))
    assert address_of("lo") == IPv4Interface("127.0.0.1/8")


def test_each_interface_is_what_pyroute2_says() -> None:
    """More kinds of interfaces are compared in tests/netns/test_neighbours.py."""
    assert links()
    for link in links():
        mac = bytes(link.mac) if link.mac else None
        first = link.addresses[0].address if link.addresses else None
        assert ask_interface(link.name) == KernelInterface(link.index, mac, first)


def test_a_kernel_that_does_not_check_strictly_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells the addresses of all interfaces, and would take those of the first for ours."""

    class OldKernel(socket.socket):
        def setsockopt(self, *_: object) -> None:
            raise OSError("Protocol not available")

    expected = {link.name: ask_interface(link.name) for link in links()}
    monkeypatch.setattr(socket, "socket", OldKernel)
    assert {name: ask_interface(name) for name in expected} == expected


@pytest.mark.parametrize("name", ["nosuch0", "", "a-name-of-16-let", "lo\0", "\udcff"])
def test_a_missing_interface_is_named(name: str) -> None:
    with pytest.raises(LookupError, match="interface"):
        address_of(name)
