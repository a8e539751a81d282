"""What the running server says of its interfaces, and when it has to be started again."""

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
def footing() -> InterfaceWatch:
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
def test_no_trouble(footing: InterfaceWatch, link: Link) -> None:
    for now in (0.0, 100.0):
        footing.look([OTHER, link], now)
        assert footing.trouble == ()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([OTHER], "the interface lan0 is gone"),
        ([OTHER, replace(LINK, index=9, addresses=())], "the interface lan0 was deleted and made anew"),
        ([OTHER, replace(LINK, addresses=())], "the interface lan0 has lost its address 10.77.0.1/24"),
    ],
)
def test_what_may_come_back_is_waited_for(footing: InterfaceWatch, found: list[Link], words: str) -> None:
    for now in (0.0, 1000.0):
        footing.look(found, now)
        assert footing.trouble == (words,)
    footing.look([LINK], 1001.0)
    assert footing.trouble == ()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (replace(LINK, index=9), "the interface lan0 was deleted and made anew"),
        (replace(LINK, addresses=ELSEWHERE), "the interface lan0 has lost its address 10.77.0.1/24"),
    ],
)
def test_what_stays_another_one_ends_the_server(footing: InterfaceWatch, link: Link, words: str) -> None:
    footing.look([link], 10.0)
    footing.look([link], 10.0 + SETTLED / 2)
    assert footing.trouble == (words,)
    with pytest.raises(UserError, match=words) as raised:
        footing.look([link], 10.0 + SETTLED)
    assert raised.value.code == 1


def test_the_time_counts_anew_after_it_was_back(footing: InterfaceWatch) -> None:
    moved = replace(LINK, addresses=ELSEWHERE)
    for now, link in ((0.0, moved), (2.0, LINK), (4.0, moved), (6.0, replace(LINK, addresses=())), (8.0, moved)):
        footing.look([link], now)
    assert footing.trouble


async def test_all_interfaces_are_looked_at_only_when_one_is_not_as_it_was(
    footing: InterfaceWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes milliseconds, for which every PC waits."""
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
    watching = asyncio.create_task(footing.watch(told.append))
    async with asyncio.timeout(60):
        while looks.count("one") < 10:
            await asyncio.sleep(0)
        assert looks.count("all") == 1, "at the start"
        now[0], there[0] = replace(LAN, index=9), replace(LINK, index=9, addresses=())
        while not told:
            await asyncio.sleep(0)
        assert told == [("the interface lan0 was deleted and made anew",)]
        now[0], there[0] = LAN, LINK
        while len(told) < 2:
            await asyncio.sleep(0)
    assert told[1] == ()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
