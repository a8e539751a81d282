"""The thread of the control process that judges canaries: it promotes them, or rolls them back.

appliance/images/rollout.py decides, appliance/view/trials.py reads. A canary that is rolled back only ends in the
registry: `serve` gives its PCs the active release again. To promote one is root's: root's helper is asked, as for the
page, or this process does it if it is root itself (started by hand). Whatever fails here is logged, and tried again.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from appliance.config.file import Config
from appliance.control.promotion import BY_HAND
from appliance.errors import UserError
from appliance.images import request_files, rollout_table
from appliance.images.image_request import ImageVerb
from appliance.images.release_choice import image_of
from appliance.images.rollout import Canary, Ending, judge
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from appliance.view.trials import gather_circumstances, gather_trials
from image import activation, release
from image.release import ReleaseError

LOOK_EVERY = 5.0
"""Seconds. Much less than rollout.GAP."""

SHARE = 20.0
"""A look that takes a second of the processor is followed by at least so many seconds without one."""

STOP_WITHIN = 3.0

log = logging.getLogger("canary")


class CanaryJudge:
    """Judges for one box. `config` returns the configuration in force, `clock` seconds since the epoch."""

    def __init__(self, config: Callable[[], Config], clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._next_look = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()
        if self._thread:
            self._thread.join(STOP_WITHIN)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            try:
                if time.monotonic() >= self._next_look:
                    self.step()
            except (UserError, ReleaseError, SqlError, OSError) as error:
                log.warning("the canary is not judged now: %s", error)
            except Exception:
                log.exception("the canary is not judged now: a fault in netboot-appliance")

    def step(self) -> None:
        """Judge the canary, if one is open. Raises UserError, ReleaseError, SqlError and OSError."""
        config = self._config()
        if not config.registry.exists():
            return
        # Of this thread: on a busy machine it looks as often.
        began = time.thread_time()
        with Registry(config.registry) as registry:
            canary = rollout_table.open_canary(registry)
            if canary is None:
                return
            now = self._clock()
            trials = gather_trials(config, registry, canary, now, keep=True)
            judged = judge(canary, trials, gather_circumstances(config, registry, canary), now)
            if judged.verdict is Ending.PROMOTED:
                judged = self._promoted(config, canary, judged)
            if rollout_table.keep(registry, judged) and judged.verdict is not Ending.OPEN:
                log.warning("canary %s: %s: %s", judged.release, judged.verdict, judged.reason)
        self._next_look = time.monotonic() + SHARE * (time.thread_time() - began)

    def _promoted(self, config: Config, canary: Canary, judged: Canary) -> Canary:
        """The canary after its release was made the active one, or still open if that failed."""
        try:
            if request_files.available(config.path):
                answer = request_files.ask(ImageVerb.ACTIVATE, canary.release)
                if answer.error:
                    raise UserError(answer.error, answer.hint)
            elif release.active_id(config.images, image_of(config.images, canary)) != canary.release:
                activation.activate(config.images, canary.release, config.key_ring)
        except (UserError, ReleaseError) as error:
            reason = f"{judged.reason}, but it cannot be activated: {error}; do: {BY_HAND}"
            if reason != canary.reason:
                log.error("canary %s: %s", canary.release, reason)
            return replace(canary, looked=judged.looked, until=judged.until, reason=reason)
        return judged
