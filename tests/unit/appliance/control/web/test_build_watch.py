"""Open pages that follow a build: each is told what it has not seen, whatever the others do."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from appliance.control.fleet.hub import Places, TooManyPagesError
from appliance.control.web import build_watch
from appliance.control.web.build_watch import BuildListener, BuildWatch
from appliance.images.build_record import OutputLine
from appliance.view.build import BuildView

BUILD = BuildView("r1", True, "chroot", 4, 7, "Unpacking linux", 1000.0, 60.0, ())


def lines(first: int, last: int) -> list[OutputLine]:
    return [OutputLine(number, f"<line {number}>") for number in range(first, last + 1)]


class Builds:
    """A build that goes on as the test says, and how often it was looked at."""

    def __init__(self) -> None:
        self.build: BuildView | None = replace(BUILD, lines=lines(1, 3))
        self.looks = 0
        self.changes = 0
        self.places = Places(3, 2)
        self.watch = BuildWatch(self._look, lambda: self.changes, self.places)

    def _look(self) -> BuildView | None:
        self.looks += 1
        return self.build

    def go_on(self, build: BuildView | None) -> None:
        self.changes += 1
        self.build = build


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    monkeypatch.setattr(build_watch, "_PACE", 0.01)
    return Builds()


async def hears(page: BuildListener, wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """What the page is told, until it is what the test wants."""
    async with asyncio.timeout(30):
        while True:
            events = await page.next(1.0)
            assert events is not None
            if events and wanted(found := dict(events)):
                return found


def names(*wanted: str) -> Callable[[dict[str, str]], bool]:
    return lambda found: set(wanted) <= found.keys()


async def test_a_page_is_told_the_lines_that_it_has_not_seen(builds: Builds) -> None:
    with builds.watch.listen("10.0.0.1", "r1.1.1") as page:
        first = await hears(page, names("lines"))
        assert "Stage 4 of 7: chroot" in first["stage"]
        assert "Unpacking linux" in first["now"]
        assert first["lines"] == "<span>&lt;line 2&gt;\n</span><span>&lt;line 3&gt;\n</span>"
        assert builds.watch.ident == "r1.1.3"
        builds.go_on(replace(BUILD, stage="binary", number=5, lines=lines(2, 4)))
        more = await hears(page, names("lines"))
        assert "Stage 5 of 7: binary" in more["stage"]
        assert more["lines"] == "<span>&lt;line 4&gt;\n</span>"
        assert await page.next(0.1) == []


async def test_a_slow_page_loses_what_is_no_longer_kept_and_is_told_so(builds: Builds) -> None:
    builds.go_on(replace(BUILD, lines=lines(900, 901)))
    with builds.watch.listen("10.0.0.1", "r1.1.3") as page:
        told = (await hears(page, names("lines")))["lines"]
    assert "… 896 lines are left out" in told
    assert told.endswith("<span>&lt;line 900&gt;\n</span><span>&lt;line 901&gt;\n</span>")


@pytest.mark.parametrize("since", ["r1.0.3", "r0.1.3", "", "r1.1.x", "r1.2.3", "r1.1.-3", "r1.1.\u0663"])
async def test_a_page_that_shows_something_else_is_loaded_anew(builds: Builds, since: str) -> None:
    with builds.watch.listen("10.0.0.1", since) as page:
        assert await hears(page, lambda _: True) == {"anew": ""}
        # It does so once; not again and again while it loads.
        assert await page.next(0.1) == []


async def test_the_beginning_and_the_end_of_a_build_load_the_page_anew(builds: Builds) -> None:
    builds.go_on(None)
    with builds.watch.listen("10.0.0.1", ".0.0") as page:
        assert await page.next(0.1) == []
        builds.go_on(BUILD)
        assert await hears(page, lambda _: True) == {"anew": ""}
    builds.go_on(replace(BUILD, lines=lines(1, 3)))
    with builds.watch.listen("10.0.0.1", "r1.1.3") as page:
        await hears(page, names("stage"))
        builds.go_on(replace(BUILD, running=False, release="r", lines=lines(1, 3)))
        assert await hears(page, lambda _: True) == {"anew": ""}


async def test_a_build_is_looked_at_only_for_open_pages_and_a_finished_one_only_if_it_changes(builds: Builds) -> None:
    await asyncio.sleep(0.05)
    assert builds.looks == 0
    builds.go_on(replace(BUILD, running=False, release="r"))
    with builds.watch.listen("10.0.0.1", "r1.0.0") as one, builds.watch.listen("10.0.0.1", "r1.0.0") as two:
        assert await one.next(0.1) == await two.next(0.05) == []
        assert builds.looks == 1
        builds.go_on(replace(BUILD, lines=lines(1, 1)))
        await hears(one, names("anew"))
        await hears(two, names("anew"))
    await asyncio.sleep(0.05)
    looks = builds.looks
    await asyncio.sleep(0.05)
    assert builds.looks == looks


async def test_open_pages_share_their_places_with_those_of_the_room(builds: Builds) -> None:
    builds.places.take("10.0.0.1")
    with builds.watch.listen("10.0.0.1", ""):
        with pytest.raises(TooManyPagesError):
            builds.watch.listen("10.0.0.1", "")
        with builds.watch.listen("10.0.0.2", ""), pytest.raises(TooManyPagesError):
            builds.watch.listen("10.0.0.3", "")
    assert len(builds.places) == 1


async def test_the_process_ends_all(builds: Builds) -> None:
    with builds.watch.listen("10.0.0.1", "r1.1.3") as page:
        await hears(page, names("stage"))
        waiting = asyncio.create_task(page.next(60.0))
        await asyncio.sleep(0)
        builds.watch.end()
        assert await waiting is None
