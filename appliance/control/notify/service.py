"""The thread of the control process that looks, tells and delivers. It belongs to no request, and no request to it.

One thread looks and keeps the outbox. Each attempt to deliver has a short-lived thread of its own, one for each address
at a time: an address that does not answer holds up its own notices and no others. Whatever fails here is logged, and
tried again at the next look.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.config.file import Config
from appliance.config.notify import NotifyAddress
from appliance.control.notify import outbox
from appliance.control.notify.outbox import Delivery
from appliance.control.notify.sending import Letter, Receipt, misspelt, send
from appliance.control.notify.watch import Watch, is_quiet
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError

LOOK_EVERY = 15.0
"""Seconds."""

DELIVER_EVERY = 1.0
SHARE = 20.0
"""A look that takes a second of the processor is followed by at least so many seconds without one."""

PRUNE_EVERY = 3600.0
PATIENCE = 120.0
"""Seconds after which an attempt that still runs is written down as one without an answer. It is not cut off, and until
it ends no other one begins for its address: it may still arrive."""

STOP_WITHIN = 3.0

log = logging.getLogger("notices")

Send = Callable[[NotifyAddress, Config, Letter], Receipt]


def _send(address: NotifyAddress, config: Config, letter: Letter) -> Receipt:
    return send(address, config.notify.mail, letter)


@dataclass
class _Attempt:
    delivery: Delivery
    began: float
    """By the monotonic clock."""

    answer: Receipt | None = None
    late: bool = False


class NoticeService:
    """Looks and delivers for one box. `config` returns the configuration in force, `clock` seconds since the epoch."""

    def __init__(self, config: Callable[[], Config], clock: Callable[[], float], *, send_: Send = _send) -> None:
        self._config = config
        self._clock = clock
        self._send = send_
        self._watch = Watch()
        self._attempts: dict[str, _Attempt] = {}
        self._checked: tuple[NotifyAddress, ...] = ()
        self._next_look = self._next_prune = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon. Attempts that are under way are not waited for: what they come to is found out again."""
        self._stopping.set()
        if self._thread:
            self._thread.join(STOP_WITHIN)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except (UserError, SqlError, OSError) as error:
                log.warning("notices wait: %s", error)
                self._stopping.wait(LOOK_EVERY)
            except Exception:
                # A fault of ours must not end the notices of all days to come.
                log.exception("notices wait: a fault in netboot-appliance")
                self._stopping.wait(LOOK_EVERY)
            self._stopping.wait(DELIVER_EVERY)

    def step(self) -> None:
        """Look if it is time to, take in what came of attempts, and begin those that are due. Raises UserError,
        SqlError and OSError."""
        config = self._config()
        targets = config.notify.targets
        self._complain(targets)
        if not targets and not self._attempts:
            # The rules begin anew with the first address: what is so then is known.
            self._forget(config)
            return
        with Registry(config.registry) as registry:
            self._take_in(registry)
            if targets and time.monotonic() >= self._next_look:
                self._look(config, registry, targets)
            self._begin(config, registry, targets)
            if time.monotonic() >= self._next_prune:
                outbox.prune(registry, self._clock())
                self._next_prune = time.monotonic() + PRUNE_EVERY

    def _forget(self, config: Config) -> None:
        if time.monotonic() < self._next_look or not config.registry.exists():
            return
        self._next_look = time.monotonic() + LOOK_EVERY
        with Registry(config.registry) as registry:
            outbox.forget_rules(registry)
            outbox.claim(registry, (), (), self._clock())

    def _look(self, config: Config, registry: Registry, targets: Sequence[NotifyAddress]) -> None:
        # Of this thread: on a busy machine it looks as often.
        began, now = time.thread_time(), self._clock()
        seen, counted = self._watch.look(config, registry, outbox.load_tally(registry), now)
        quiet = is_quiet(config, now)
        for notice in outbox.look(registry, seen, config.notify.rules, targets, counted=counted, quiet=quiet):
            log.info("notice (%s): %s", notice.rule, notice.title)
        took = time.thread_time() - began
        self._next_look = time.monotonic() + max(LOOK_EVERY, SHARE * took)

    def _begin(self, config: Config, registry: Registry, targets: Sequence[NotifyAddress]) -> None:
        by_key = {target.key: target for target in targets}
        for delivery in outbox.claim(registry, targets, self._attempts, self._clock()):
            attempt = _Attempt(delivery, time.monotonic())
            self._attempts[delivery.address] = attempt
            address = by_key[delivery.address]
            thread = threading.Thread(
                target=self._attempt, args=(attempt, address, config), name=f"notice {delivery.notice.id}", daemon=True
            )
            thread.start()

    def _attempt(self, attempt: _Attempt, address: NotifyAddress, config: Config) -> None:
        attempt.answer = self._send(address, config, letter(attempt.delivery))

    def _take_in(self, registry: Registry) -> None:
        now = self._clock()
        for key, attempt in list(self._attempts.items()):
            delivery, answer = attempt.delivery, attempt.answer
            if answer is None:
                if not attempt.late and time.monotonic() - attempt.began > PATIENCE:
                    attempt.late = True
                    outbox.record(registry, delivery, f"no answer for {PATIENCE:.0f} s; the attempt goes on", now)
                continue
            outbox.record(registry, delivery, "" if answer.taken else answer.words, now)
            del self._attempts[key]
            if not answer.taken:
                log.warning("notice %d was not delivered to %s: %s", delivery.notice.id, delivery.name, answer.words)

    def _complain(self, targets: tuple[NotifyAddress, ...]) -> None:
        """Once for each configuration, log addresses that cannot work."""
        if targets != self._checked:
            self._checked = targets
            for target in targets:
                if wrong := misspelt(target):
                    log.warning("[notify] addresses: %s: %s", target.shown, wrong)


def letter(delivery: Delivery) -> Letter:
    """A notice as it is sent, the same each time. Its name has the moment too: numbers begin anew with a registry."""
    notice = delivery.notice
    ident = f"notice-{notice.id}-{notice.made * 1000:.0f}-{delivery.address}"
    return Letter(ident, notice.level, notice.title, notice.body, notice.made)
