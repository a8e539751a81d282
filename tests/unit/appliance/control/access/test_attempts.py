"""Brute force: how many passwords may be tried, and what that costs."""

import asyncio

import pytest

from appliance.config.menu_password import Scrypt
from appliance.control.access.attempts import LoginAttempts
from tests.unit.appliance.control.pages import PASSWORD, Site


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed."""
    seen: list[str] = []

    def matches(_self: Scrypt, password: str) -> bool:
        seen.append(password)
        return password == PASSWORD

    monkeypatch.setattr(Scrypt, "matches", matches)
    return seen


WANTED = Scrypt(2, 8, 1, b"", b"")


async def test_five_from_an_address_then_none_is_even_hashed(
    hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    limited = LoginAttempts()
    tries = [await limited.check("10.77.0.9", WANTED, f"guess {n}") for n in range(20)]
    assert tries == [False] * 5 + [None] * 15
    assert len(hashed) == 5
    # The right one neither, but from elsewhere.
    assert await limited.check("10.77.0.9", WANTED, PASSWORD) is None
    assert await limited.check("10.77.0.8", WANTED, PASSWORD) is True
    clock[0] += 61
    assert await limited.check("10.77.0.9", WANTED, PASSWORD) is True


async def test_a_whole_network_may_try_thirty_at_once(hashed: list[str]) -> None:
    limited = LoginAttempts()
    tries = await asyncio.gather(*(limited.check(f"10.77.{n // 250}.{n % 250}", WANTED, "x") for n in range(1000)))
    assert tries.count(False) == len(hashed) == 30
    assert tries.count(None) == 970


async def test_whoever_knows_the_password_may_log_in_as_often_as_they_like(hashed: list[str]) -> None:
    limited = LoginAttempts()
    assert [await limited.check("10.77.0.9", WANTED, PASSWORD) for _ in range(40)] == [True] * 40


async def test_the_page_says_so(site: Site, hashed: list[str]) -> None:
    browser = site.browser()
    answers = [await browser.post("/login", data={"password": f"guess {n}"}) for n in range(7)]
    assert [each.status_code for each in answers] == [403] * 5 + [429] * 2
    assert "That is not the password" in answers[0].text
    assert "Try again in a few minutes" in answers[6].text
    assert not browser.cookies
    assert (await site.browser("10.77.0.10").post("/login", data={"password": PASSWORD})).status_code == 303


async def test_the_log_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    limited = LoginAttempts()
    assert [limited.are_news() for _ in range(3)] == [True, False, False]
    clock[0] += 61
    assert limited.are_news()


async def test_a_long_password_is_not_hashed(site: Site, hashed: list[str]) -> None:
    assert (await site.browser().post("/login", data={"password": "x" * 257})).status_code == 422
    assert hashed == []


async def test_a_crowd_keeps_nobody_out_who_has_logged_in_before(hashed: list[str]) -> None:
    limited = LoginAttempts()
    assert await limited.check("10.77.0.9", WANTED, PASSWORD) is True
    tries = [await limited.check(f"10.77.1.{n}", WANTED, "x") for n in range(200)]
    assert tries.count(False) == 30
    assert await limited.check("10.77.0.9", WANTED, PASSWORD) is True
    # But nobody guesses more from there.
    tries = [await limited.check("10.77.0.9", WANTED, "x") for _ in range(20)]
    assert tries == [False] * 5 + [None] * 15
    assert await limited.check("10.77.0.8", WANTED, PASSWORD) is None


async def test_the_addresses_that_are_known_are_bounded(hashed: list[str]) -> None:
    limited = LoginAttempts()
    for n in range(1000):
        assert await limited.check(f"10.77.{n // 250}.{n % 250}", WANTED, PASSWORD) is True
    assert len(limited._known) == 256
    assert "10.77.3.249" in limited._known
