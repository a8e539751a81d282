"""How often a password may be tried, by a clock of the test's own."""

import asyncio
import hashlib
import threading

from appliance.boot.password_attempts import MOST_OF_ALL, MOST_OF_ONE, WITHIN, PasswordAttempts
from appliance.config.menu_password import Scrypt
from services.decision import Ignore, Reason
from services.ethernet import MacAddress

A, B = MacAddress(1), MacAddress(2)
WRONG, LIMITED = Ignore(Reason.PASSWORD_WRONG), Ignore(Reason.PASSWORDS_BLOCKED)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lock(password: str = "secret") -> Scrypt:
    """A password that takes a microsecond to check."""
    return Scrypt(2, 1, 1, b"salt", hashlib.scrypt(password.encode(), salt=b"salt", n=2, r=1, p=1, dklen=32))


async def test_right_wrong_and_none() -> None:
    attempts = PasswordAttempts(Clock())
    assert await attempts.check(A, lock(), None) == Ignore(Reason.PASSWORD_NEEDED)
    assert await attempts.check(A, lock(), "wrong") == WRONG
    assert await attempts.check(A, lock(), "secret") is None


async def test_after_five_wrong_passwords_the_right_one_has_to_wait_too() -> None:
    clock = Clock()
    attempts = PasswordAttempts(clock)
    for _ in range(MOST_OF_ONE):
        assert await attempts.check(A, lock(), "wrong") == WRONG
        clock.now += 1
    assert await attempts.check(A, lock(), "secret") == LIMITED
    assert await attempts.check(B, lock(), "secret") is None, "another PC is not affected"
    clock.now += WITHIN - MOST_OF_ONE - 0.1
    assert await attempts.check(A, lock(), "secret") == LIMITED
    clock.now += 0.2
    assert await attempts.check(A, lock(), "secret") is None, "the first wrong one no longer counts"
    assert await attempts.check(A, lock(), "wrong") == WRONG
    assert await attempts.check(A, lock(), "secret") == LIMITED, "one out, one in"


async def test_right_passwords_and_requests_without_one_do_not_count() -> None:
    attempts = PasswordAttempts(Clock())
    for _ in range(3 * MOST_OF_ONE):
        assert await attempts.check(A, lock(), "secret") is None
        await attempts.check(A, lock(), None)


async def test_changing_the_mac_address_meets_the_limit_for_all() -> None:
    attempts = PasswordAttempts(Clock())
    for number in range(MOST_OF_ALL):
        assert await attempts.check(MacAddress(number), lock(), "wrong") == WRONG
    assert await attempts.check(MacAddress(MOST_OF_ALL), lock(), "secret") == LIMITED


async def test_attempts_at_once_get_no_further_than_attempts_in_sequence() -> None:
    attempts = PasswordAttempts(Clock())
    found = await asyncio.gather(*(attempts.check(A, lock(), "wrong") for _ in range(20)))
    assert found.count(WRONG) == MOST_OF_ONE
    assert found.count(LIMITED) == 20 - MOST_OF_ONE


async def test_the_loop_runs_on_while_a_password_is_checked() -> None:
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
