"""How often a password may be tried; the clock is ours."""

import asyncio
import hashlib
import threading

from appliance.boot.password_attempts import MOST_OF_ALL, MOST_OF_ONE, WITHIN, PasswordAttempts
from appliance.config.menu_password import Scrypt
from services.decision import Ignore, Reason
from services.ethernet import MacAddress

A, B = MacAddress(1), MacAddress(2)
WRONG, TIRED = Ignore(Reason.PASSWORD_WRONG), Ignore(Reason.PASSWORDS_BLOCKED)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lock(password: str = "secret") -> Scrypt:
    """One that takes a microsecond."""
    return Scrypt(2, 1, 1, b"salt", hashlib.scrypt(password.encode(), salt=b"salt", n=2, r=1, p=1, dklen=32))


async def test_right_wrong_and_none() -> None:
    unlocking = PasswordAttempts(Clock())
    assert await unlocking.check(A, lock(), None) == Ignore(Reason.PASSWORD_NEEDED)
    assert await unlocking.check(A, lock(), "wrong") == WRONG
    assert await unlocking.check(A, lock(), "secret") is None


async def test_after_five_wrong_ones_the_right_one_waits_too() -> None:
    clock = Clock()
    unlocking = PasswordAttempts(clock)
    for _ in range(MOST_OF_ONE):
        assert await unlocking.check(A, lock(), "wrong") == WRONG
        clock.now += 1
    assert await unlocking.check(A, lock(), "secret") == TIRED
    assert await unlocking.check(B, lock(), "secret") is None, "another PC is not concerned"
    clock.now += WITHIN - MOST_OF_ONE - 0.1
    assert await unlocking.check(A, lock(), "secret") == TIRED
    clock.now += 0.2
    assert await unlocking.check(A, lock(), "secret") is None, "the first wrong one has been forgotten"
    assert await unlocking.check(A, lock(), "wrong") == WRONG
    assert await unlocking.check(A, lock(), "secret") == TIRED, "one out, one in"


async def test_right_ones_and_questions_do_not_count() -> None:
    unlocking = PasswordAttempts(Clock())
    for _ in range(3 * MOST_OF_ONE):
        assert await unlocking.check(A, lock(), "secret") is None
        await unlocking.check(A, lock(), None)


async def test_who_changes_addresses_meets_the_limit_of_all() -> None:
    unlocking = PasswordAttempts(Clock())
    for number in range(MOST_OF_ALL):
        assert await unlocking.check(MacAddress(number), lock(), "wrong") == WRONG
    assert await unlocking.check(MacAddress(MOST_OF_ALL), lock(), "secret") == TIRED


async def test_tries_at_once_are_no_more_than_tries_in_turn() -> None:
    unlocking = PasswordAttempts(Clock())
    found = await asyncio.gather(*(unlocking.check(A, lock(), "wrong") for _ in range(20)))
    assert found.count(WRONG) == MOST_OF_ONE
    assert found.count(TIRED) == 20 - MOST_OF_ONE


async def test_the_loop_runs_on_while_a_password_is_looked_at() -> None:
    released, beside = threading.Event(), []

    class Slow(Scrypt):
        def matches(self, password: str) -> bool:
            assert released.wait(10), "the event loop stood still"
            return True

    under_way = asyncio.create_task(PasswordAttempts(Clock()).check(A, Slow(2, 1, 1, b"", b""), "x"))
    await asyncio.sleep(0)
    beside.append("a transfer")
    released.set()
    assert await under_way is None
    assert beside
