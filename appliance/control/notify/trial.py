"""`notify test` and the page's button: send to each address now, and say what it answered. Nothing is kept."""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.config.file import Config
from appliance.config.notify import NotifyAddress
from appliance.control.notify.notices import trial
from appliance.control.notify.sending import Letter, Receipt, send
from appliance.control.notify.sightings import Sightings
from appliance.control.notify.watch import page_of, zone_of
from appliance.errors import UserError

PATIENCE = 60.0
"""Seconds to wait for the answers of all."""


@dataclass(frozen=True, slots=True)
class TrialView:
    """What became of a test: the name of the address, whether it was taken, and the answer in words."""

    address: str
    taken: bool
    answer: str


def targets(config: Config, address: str = "") -> tuple[NotifyAddress, ...]:
    """The address, or those of the configuration. Raises UserError if there is none, or if it cannot work."""
    if not address:
        if not config.notify.targets:
            raise UserError(
                "nobody is told anything: [notify] addresses is empty",
                f'write addresses = ["admin@example.org"] under [notify] in {config.path}',
            )
        return config.notify.targets
    try:
        target = NotifyAddress(address)
    except ValueError as error:
        raise UserError(f"not an address: {error}", "nothing was sent") from None
    if target.mail and not config.notify.mail.host:
        raise UserError("there is no mail server: nothing was sent", '[notify.mail] host = "mail.example.org"')
    return (target,)


def run(config: Config, those: Sequence[NotifyAddress], now: float) -> list[TrialView]:
    """Send a test to all of them at once, and wait for their answers; `now` is in seconds since the epoch."""
    notice = trial(Sightings(now, socket.gethostname(), page_of(config), zone_of(config)))
    answers: dict[NotifyAddress, Receipt] = {}

    def attempt(target: NotifyAddress) -> None:
        letter = Letter(f"test-{now * 1000:.0f}-{target.key}", notice.level, notice.title, notice.body, now)
        answers[target] = send(target, config.notify.mail, letter)

    threads = [threading.Thread(target=attempt, args=(each,), name="notice test", daemon=True) for each in those]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = Receipt(False, f"no answer within {PATIENCE:.0f} s")
    found = [(each, answers.get(each, late)) for each in those]
    return [TrialView(target.shown, answer.taken, answer.words) for target, answer in found]
