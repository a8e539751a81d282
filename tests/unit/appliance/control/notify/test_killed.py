"""Killed at any moment: no notice is lost, and none is sent twice but one whose delivery was cut off."""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.config.file import load
from appliance.control.notify import outbox
from appliance.control.notify.notices import Notice
from appliance.control.notify.outbox import SENT
from appliance.control.notify.rules import RuleName
from appliance.registry.database import Registry
from tests.unit.appliance.control.notify.servers import Webhook, number_of, webhook
from tests.unit.appliance.control.notify.teller import LEASE

NOTICES = 24
KILLS = 4


@contextmanager
def teller(config: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The process; killed at the end."""
    line = [sys.executable, "-m", "tests.unit.appliance.control.notify.teller", str(config)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def outcomes(config: Path) -> list[str]:
    with Registry(load(config).registry) as registry:
        return [each.result for _, found in outbox.recent(registry, 1000) for each in found]


def kill_around_a_post(config: Path, hook: Webhook, after: int, moment: float) -> None:
    """Run the process until it has sent `after` more notices, and kill it `moment` seconds after the post of the next
    one came, which is answered 0.02 s after that."""
    come = threading.Event()
    first = len(hook.posts)

    def answer(_: object) -> int:
        if len(hook.posts) > first + after:
            come.set()
            time.sleep(0.02)
        return 200

    hook.answer = answer
    with teller(config) as process:
        assert come.wait(60)
        time.sleep(moment)
        process.kill()
        process.wait()


def test_killed_in_mid_delivery(tmp_path: Path) -> None:
    """Before the answer, while it is on its way, and just after it; then the last process delivers what is left."""
    chance = random.Random(15)
    with webhook() as hook:
        path = tmp_path / "c.toml"
        path.write_text(f'[server]\ndata = "{tmp_path}"\n[notify]\naddresses = ["{hook.url}"]\n')
        config = load(path)
        with Registry(config.registry) as registry, registry.transaction():
            for number in range(NOTICES):
                told = Notice(RuleName.DISK, "info", f"[boot] {number}", "words")
                outbox._add(registry, told, config.notify.targets, time.time())
        for moment in moments(chance):
            kill_around_a_post(path, hook, chance.randrange(3), moment)
        hook.answer = lambda _: 200
        with teller(path):
            end = time.monotonic() + 30
            while set(outcomes(path)) != {SENT}:
                assert time.monotonic() < end, outcomes(path)
                time.sleep(0.05)
    titles = Counter(post["title"] for post in hook.posts)
    assert set(titles) == {f"[boot] {number}" for number in range(NOTICES)}, "a notice was lost"
    numbers = Counter(map(number_of, hook.posts))
    assert len(numbers) == NOTICES, "a repeat has the number of the first try"
    # One delivery at a time: each kill cuts one off, if any.
    assert sum(many - 1 for many in numbers.values()) <= KILLS, numbers


def moments(chance: random.Random) -> list[float]:
    """Seconds after a post, around its answer."""
    return [0.0, 0.018, 0.021, *(chance.uniform(0.0, 0.06) for _ in range(KILLS - 3))]


def test_a_repeat_waits_for_a_while(tmp_path: Path) -> None:
    """Who was killed and begins anew does not send the same notice twice in a row: others come first."""
    with webhook() as hook:
        path = tmp_path / "c.toml"
        path.write_text(f'[server]\ndata = "{tmp_path}"\n[notify]\naddresses = ["{hook.url}"]\n')
        config = load(path)
        with Registry(config.registry) as registry:
            with registry.transaction():
                for number in range(2):
                    told = Notice(RuleName.DISK, "info", f"[boot] {number}", "words")
                    outbox._add(registry, told, config.notify.targets, time.time())
            now = time.time()
            (claimed,) = outbox.claim(registry, config.notify.targets, (), now)
            (next_one,) = outbox.claim(registry, config.notify.targets, (), now + LEASE)
    assert (claimed.notice.title, next_one.notice.title) == ("[boot] 0", "[boot] 1")
