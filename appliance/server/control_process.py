"""The control process of a `serve` that was started by hand: started, and started again when it ends.

Under systemd it is a unit of its own, and `serve` starts none. All of this happens in a thread: whatever becomes of the
control process, the event loop notices nothing. It ends with this process, however that ends, because its standard
input does.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.registry.server_lock import holder
from services.linux import programs

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before it is started again: doubled each time, until it has run for as long as the longest wait."""
_GOODBYE = 5.0
_LOOK = 0.5  # seconds between two looks at the process
_MOMENT = 0.05  # seconds between those at one that is to end

log = structlog.get_logger("serve")


def command(path: Path) -> list[str]:
    """The command of the control process with this configuration file."""
    program = "from appliance.cli.main import run; run()"
    # -P: the working directory holds no modules of ours.
    return [sys.executable, "-P", "-c", program, "--config", str(path), "control", "--supervised"]


class ControlProcess:
    """`config` returns the configuration in force; `arguments` is the command to start."""

    def __init__(self, config: Callable[[], Config], arguments: Sequence[str]) -> None:
        self._config = config
        self._arguments = list(arguments)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Start it, and keep it."""
        self._thread.start()

    def close(self) -> None:
        """End it. Waits for that, some seconds at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * _GOODBYE)

    def _run(self) -> None:
        wait = FIRST_WAIT
        while not self._stop.is_set():
            config = self._config()
            if not config.control.enabled or self._runs_already(config):
                self._stop.wait(_LOOK)
                continue
            began = time.monotonic()
            code = self._attend()
            if code == 0 and not self._stop.is_set():
                # It was switched off, or somebody has ended it: then not before the configuration is read again.
                log.info("the control process has ended", do="netboot-appliance reload")
                while self._config() is config and not self._stop.wait(_LOOK):
                    pass
                continue
            wait = FIRST_WAIT if time.monotonic() - began > LONGEST_WAIT else wait
            if not self._stop.is_set():
                log.error("the control process has ended; it is started again", code=code, seconds=wait)
            self._stop.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _runs_already(self, config: Config) -> bool:
        try:
            return holder(config.registry, "control") is not None
        except UserError:
            return False

    def _attend(self) -> int:
        """Run it until it ends, or this server does; returns its exit code."""
        try:
            process = programs.attach(self._arguments)
        except OSError as error:
            log.error("the control process could not be started", error=error.strerror)
            return 1
        assert process.stdin is not None
        while process.poll() is None and not self._stop.wait(_LOOK):
            pass
        with suppress(OSError):
            process.stdin.close()
        deadline = time.monotonic() + _GOODBYE
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(_MOMENT)
        process.kill()
        return process.wait()
