"""The wall as text for nft, and what nft recorded. Whether the kernel keeps to it: tests/netns/test_wall.py."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from services.ethernet import MacAddress
from services.nfs.wall import REMEMBERED_SECONDS, REMOVE, TABLE, Wall, recorded, render

GOLDEN = Path(__file__).parent / "golden"
DESK, ROUTER = MacAddress.parse("52:54:00:77:00:01"), MacAddress.parse("02:77:00:00:00:fe")
NEAR, MOVED, FAR = map(IPv4Address, ("10.77.0.50", "10.77.0.51", "10.78.0.9"))

WALL = Wall(
    interfaces=("lan0", "eth1.20"),
    networks=(IPv4Network("10.77.0.0/25"), IPv4Network("10.77.0.128/25"), IPv4Network("10.78.0.0/24")),
    others=(IPv4Network("10.77.0.7/32"),),
    ports=frozenset({("tcp", 2049), ("udp", 2049), ("tcp", 111), ("udp", 111), ("tcp", 20048)}),
    privileged=frozenset({("tcp", 2049), ("udp", 2049), ("tcp", 20048)}),
    granted=frozenset({NEAR, MOVED, FAR}),
    pairs=frozenset({(DESK, NEAR), (ROUTER, FAR)}),
)


def test_the_transaction_is_the_golden_one() -> None:
    assert render(WALL) == (GOLDEN / "wall.nft").read_text()


def test_only_our_own_tables_are_named() -> None:
    nobody = replace(WALL, granted=frozenset(), pairs=frozenset(), others=())
    for text in (render(WALL), render(nobody), REMOVE):
        lines = [line for line in text.splitlines() if line.startswith(("add", "flush", "delete", "table"))]
        assert all(f" {TABLE}" in line for line in lines)
        assert "ruleset" not in text
    assert "{\n    \n}" not in render(nobody), "nft does not read an empty list"


def test_the_text_and_the_constant_remember_for_the_same_time() -> None:
    assert render(WALL).count(f"timeout {REMEMBERED_SECONDS // 60}m;") == 3


@pytest.mark.parametrize("name", ["", "a*", 'a"b', "a b", "a{b", "$a", "a-name-of-16-let"])
def test_an_interface_name_that_nft_would_read_differently_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name that nftables rules cannot have"):
        replace(WALL, interfaces=(name,))


def listing(*elements: Any) -> str:
    return json.dumps({"nftables": [{"metainfo": {}}, {"set": {"name": "heard", "elem": list(elements)}}]})


def element(mac: str, address: str, expires: Any) -> dict[str, Any]:
    return {"elem": {"val": {"concat": [mac, address]}, "timeout": 300, "expires": expires}}


def test_what_was_recorded_is_read() -> None:
    assert dict(recorded(listing(element(str(DESK), str(NEAR), 299), element(str(ROUTER), str(FAR), 1)))) == {
        (DESK, NEAR): 1.0,
        (ROUTER, FAR): 299.0,
    }
    assert list(recorded('{"nftables": [{"metainfo": {}}, {"set": {"name": "heard"}}]}')) == []


def test_pairs_without_a_time_are_read() -> None:
    assert dict(recorded(listing({"concat": [str(DESK), str(NEAR)]}))) == {(DESK, NEAR): 0.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"nftables": 1}',
        listing(7),
        listing({"elem": {"val": "x", "expires": 1}}),
        listing(element("x", "10.77.0.1", 1)),
        listing(element(str(DESK), "desk", 1)),
        listing(element(str(DESK), "10.77.0.1", "x")),
    ],
)
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        list(recorded(text))
