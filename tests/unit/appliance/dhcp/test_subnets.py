"""[dhcp], fitted to the networks of the box."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.dhcp.subnets import gives_addresses, subnets
from appliance.errors import UserError
from services.dhcp.pool import Subnet
from services.ethernet import MacAddress
from services.linux.interfaces import Interface

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
LAN = Interface("eth0", 2, IPv4Interface("10.77.0.1/24"), MacAddress(1))
VLAN = Interface("eth0.20", 3, IPv4Interface("10.78.0.1/24"), MacAddress(1))
POOL = 'mode = "server"\npool = "10.77.0.100-10.77.0.200"\n'


def found(settings: str, *served: Interface) -> tuple[Subnet, ...]:
    return subnets(parse(f"[dhcp]\n{settings}", Path("c.toml")), served or (LAN,))


def test_only_a_server_has_addresses_to_give() -> None:
    assert found(POOL.replace("server", "proxy")) == ()
    assert found(POOL.replace("server", "off")) == ()


def test_a_pool_belongs_to_the_network_that_contains_it() -> None:
    settings = """
        mode = "server"
        pool = ["10.78.0.100-10.78.0.109", "10.77.0.100-10.77.0.200", "10.77.0.50", "10.88.0.10-10.88.0.19"]
        router = ["10.77.0.254", "10.88.0.1/24"]
        dns = ["10.77.0.3"]
        ntp = ["10.77.0.4"]
        lease_time = 600
        static = ["52:54:00:aa:bb:cc=10.78.0.105"]
    """
    lan, vlan, remote = found(settings, LAN, VLAN)
    assert (lan.network, lan.size, lan.routers) == (IPv4Network("10.77.0.0/24"), 102, (IPv4Address("10.77.0.254"),))
    assert (vlan.network, vlan.size, vlan.routers) == (IPv4Network("10.78.0.0/24"), 10, ())
    assert vlan.static == {MAC: IPv4Address("10.78.0.105")}
    assert (remote.network, remote.size, remote.routers) == (
        IPv4Network("10.88.0.0/24"),
        10,
        (IPv4Address("10.88.0.1"),),
    )
    for subnet in (lan, vlan, remote):
        assert (subnet.dns, subnet.ntp, subnet.lease_seconds) == (
            (IPv4Address("10.77.0.3"),),
            (IPv4Address("10.77.0.4"),),
            600,
        )


def test_a_network_without_addresses_is_not_served() -> None:
    assert [str(each.network) for each in found(POOL, LAN, VLAN)] == ["10.77.0.0/24"]


def test_static_addresses_alone_are_enough() -> None:
    (subnet,) = found('mode = "server"\nstatic = ["52:54:00:aa:bb:cc=10.77.0.50"]')
    assert (subnet.dynamic, subnet.size) == ((), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('pool = "10.99.0.1-10.99.0.9"', "the pool 10.99.0.1-10.99.0.9 is not inside any of the networks"),
        ('pool = "10.77.0.200-10.77.1.10"', "the pool 10.77.0.200-10.77.1.10 is not inside any of the networks"),
        ('pool = "10.77.0.1-10.77.0.9"', "contains 10.77.0.1, which is the box's own address"),
        ('pool = "10.77.0.0-10.77.0.0"', "contains 10.77.0.0, which cannot belong to a host"),
        ('pool = "10.77.0.250-10.77.0.255"', "contains 10.77.0.255, which cannot belong to a host"),
        ('pool = "10.77.0.9"\nrouter = ["10.77.0.9"]', "contains 10.77.0.9, which belongs to a router"),
        ('pool = "10.77.0.9"\nrouter = ["10.88.0.1"]', "the router 10.88.0.1 is not in any of the networks"),
        ('pool = "10.77.0.9"\nrouter = ["10.77.0.254/16"]', "the networks 10.77.0.0/24 and 10.77.0.0/16 overlap"),
        ('static = ["52:54:00:aa:bb:cc=10.99.0.1"]', "the static address 10.99.0.1 of 52:54:00:aa:bb:cc is not in any"),
        ('static = ["52:54:00:aa:bb:cc=10.77.0.1"]', "10.77.0.1 of 52:54:00:aa:bb:cc is the box's own address"),
        ('static = ["52:54:00:aa:bb:cc=10.77.0.255"]', "10.77.0.255 of 52:54:00:aa:bb:cc cannot belong to a host"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_networks(settings: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        found(f'mode = "server"\n{settings}')
    assert caught.value.message.startswith("c.toml: [dhcp] ")
    assert message in caught.value.message
    assert "the networks are 10.77.0.0/24" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "networks"),
    [
        (POOL, {LAN}),
        (POOL.replace("server", "proxy"), set()),
        ('mode = "server"\nstatic = ["52:54:00:aa:bb:cc=10.78.0.105"]\n', {VLAN}),
    ],
)
def test_the_box_is_the_dhcp_server_where_it_has_addresses(settings: str, networks: set[Interface]) -> None:
    config = parse(f"[dhcp]\n{settings}", Path("c.toml"))
    assert {each for each in (LAN, VLAN) if gives_addresses(config, each.address.network)} == networks
