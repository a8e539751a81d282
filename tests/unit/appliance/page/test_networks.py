"""Who may connect to the page, and where it is."""

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from appliance.config.file import Config, parse
from appliance.errors import UserError
from appliance.page import networks
from appliance.page.address import local_address, urls
from appliance.page.networks import admits, admitted
from services.ethernet import MacAddress
from services.linux.interfaces import Interface

NEIGHBOUR, ELSEWHERE, MANAGER = map(IPv4Address, ("10.77.0.9", "10.88.0.9", "10.99.0.4"))
BOX = IPv4Address("10.77.0.1")


@pytest.fixture(autouse=True)
def one_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Interface("lan0", 2, IPv4Interface("10.77.0.1/24"), MacAddress(2))]
    monkeypatch.setattr(networks, "interfaces", lambda _config: found)


def may(text: str, address: IPv4Address) -> bool:
    return admits(admitted(config(text)), address)


def config(text: str) -> Config:
    return parse(text, Path("/c.toml"))


def test_by_default_the_networks_of_the_interfaces() -> None:
    assert may("", NEIGHBOUR)
    assert not may("", ELSEWHERE)


def test_management_hosts_are_alone_where_there_are_any() -> None:
    text = f'[boinc]\nmanagement_hosts = ["{MANAGER}"]'
    assert may(text, MANAGER)
    assert not may(text, NEIGHBOUR)


def test_networks_win() -> None:
    text = f'[boinc]\nmanagement_hosts = ["{MANAGER}"]\n[control]\nnetworks = ["10.88.0.0/16"]'
    assert may(text, ELSEWHERE)
    assert not may(text, MANAGER)
    assert not may(text, NEIGHBOUR)


def test_the_box_itself_always_may() -> None:
    text = '[control]\nnetworks = ["10.88.0.0/16"]'
    assert may(text, BOX)
    assert may(text, IPv4Address("127.0.0.1"))


def test_a_box_without_an_address_lets_nobody_else_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_config: Config) -> list[Interface]:
        raise UserError("no network interface has an IPv4 address")

    monkeypatch.setattr(networks, "interfaces", none)
    assert admitted(config("")) == ()
    assert admits((), IPv4Address("127.0.0.1"))
    assert not admits((), NEIGHBOUR)


@pytest.mark.parametrize(
    ("text", "addresses", "local"),
    [
        ("", ["https://10.77.0.1:8443/"], "127.0.0.1"),
        ('[control]\nlisten = "10.77.0.1:443"', ["https://10.77.0.1:443/"], "10.77.0.1"),
        ('[control]\nlisten = "127.0.0.1:80"\nbehind_proxy = true', ["http://127.0.0.1:80/"], "127.0.0.1"),
    ],
)
def test_the_address_of_the_page(text: str, addresses: list[str], local: str) -> None:
    assert list(urls(config(text))) == addresses
    assert local_address(config(text)) == IPv4Address(local)
