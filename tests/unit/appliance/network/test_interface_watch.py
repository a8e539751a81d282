"""What the running server says about its interfaces, and when it must be restarted."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Interface

import pytest

from appliance.errors import UserError
from appliance.network import interface_watch as module
from appliance.network.interface_watch import SETTLED, InterfaceWatch
from services.ethernet import MacAddress
from services.linux.interfaces import Address, Interface, Link

HOME = IPv4Interface("10.77.0.1/24")
MAC = MacAddress.parse("02:77:00:00:00:01")
LAN = Interface("lan0", 5, HOME, MAC)
LINK = Link("lan0", 5, mac=MAC, up=True, carrier=True, mtu=1500, addresses=(Address(HOME, None),))
OTHER = Link("lan1", 6, mac=MAC, up=True, carrier=True, mtu=1500, addresses=())
ELSEWHERE = (Address(IPv4Interface("10.99.0.1/24"), None),)


@pytest.fixture
def watch() -> InterfaceWatch:
    return InterfaceWatch([LAN])


@pytest.mark.parametrize(
    "link",
    [
        LINK,
        replace(LINK, carrier=False),
        replace(LINK, up=False),
        replace(LINK, addresses=(*ELSEWHERE, *LINK.addresses)),
    ],
)
def test_no_trouble(watch: InterfaceWatch, link: Link) -> None:
    for now in (0.0, 100.0):
        watch.look([OTHER, link], now)
        assert watch.trouble == ()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([OTHER], "the interface lan0 is gone"),
        ([OTHER, replace(LINK, index=9, addresses=())], "the interface lan0 was deleted and recreated"),
        ([OTHER, replace(LINK, addresses=())], "the interface lan0 has lost its address 10.77.0.1/24"),
    ],
)
def test_a_missing_interface_or_address_is_waited_for(watch: InterfaceWatch, found: list[Link], words: str) -> None:
    for now in (0.0, 1000.0):
        watch.look(found, now)
        assert watch.trouble == (words,)
    watch.look([LINK], 1001.0)
    assert watch.trouble == ()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (replace(LINK, index=9), "the interface lan0 was deleted and recreated"),
        (replace(LINK, addresses=ELSEWHERE), "the interface lan0 has lost its address 10.77.0.1/24"),
    ],
)
def test_an_interface_that_stays_different_ends_the_server(watch: InterfaceWatch, link: Link, words: str) -> None:
    watch.look([link], 10.0)
    watch.look([link], 10.0 + SETTLED / 2)
    assert watch.trouble == (words,)
    with pytest.raises(UserError, match=words) as raised:
        watch.look([link], 10.0 + SETTLED)
    assert raised.value.code == 1


def test_the_time_starts_again_when_it_was_back(watch: InterfaceWatch) -> None:
    moved = replace(LINK, addresses=ELSEWHERE)
    for now, link in ((0.0, moved), (2.0, LINK), (4.0, moved), (6.0, replace(LINK, addresses=())), (8.0, moved)):
        watch.look([link], now)
    assert watch.trouble


async def test_all_interfaces_are_looked_at_only_if_one_has_changed(
    watch: InterfaceWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at all takes milliseconds, and every PC waits."""
    looks: list[str] = []
    now, there = [LAN], [LINK]

    def all_there_are() -> Sequence[Link]:
        looks.append("all")
        return there

    def this_one(_: str) -> Interface:
        looks.append("one")
        return now[0]

    monkeypatch.setattr(module, "_LOOK_EVERY", 0)
    monkeypatch.setattr(module, "links", all_there_are)
    monkeypatch.setattr(module, "interface_address", this_one)
    told: list[tuple[str, ...]] = []
    watching = asyncio.create_task(watch.watch(told.append))
    async with asyncio.timeout(60):
        while looks.count("one") < 10:
            await asyncio.sleep(0)
        assert looks.count("all") == 1, "at the start"
        now[0], there[0] = replace(LAN, index=9), replace(LINK, index=9, addresses=())
        while not told:
            await asyncio.sleep(0)
        assert told == [("the interface lan0 was deleted and recreated",)]
        now[0], there[0] = LAN, LINK
        while len(told) < 2:
            await asyncio.sleep(0)
    assert told[1] == ()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
