"""The doctor as a program of its own: this process has no scapy, and need not wait for what the doctor waits for.

One examination at a time. The last one is kept, with its age, for whoever looks next.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from appliance.view import health
from appliance.view.health import HealthReport
from services.linux import programs
from services.linux.programs import ProgramError

SECONDS = 180.0
"""It takes ten seconds at a healthy box; DHCP, NFS and name servers that do not answer take their time."""

_FOUND_SOMETHING = (1, 2)


class DoctorRuns:
    """`command` is how to run it. `report`: the last examination, or None. `began`: when the one that is under way
    began, in seconds since the epoch, or None."""

    def __init__(self, command: Sequence[str], clock: Callable[[], float]) -> None:
        self.report: HealthReport | None = None
        self.began: float | None = None
        self._command = tuple(command)
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> bool:
        """Begin an examination, unless one is under way; returns whether it began."""
        if self.began is not None:
            return False
        self.began = self._clock()
        self._task = asyncio.create_task(self._run(self.began))
        return True

    async def wait(self, seconds: float) -> None:
        """Until the examination has ended, or for this time."""
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), seconds)

    async def _run(self, began: float) -> None:
        try:
            self.report = await asyncio.to_thread(self._examine, began)
        finally:
            self.began = None

    def _examine(self, began: float) -> HealthReport:
        try:
            printed = programs.output(self._command, seconds=SECONDS, accepted=_FOUND_SOMETHING)
        except ProgramError as error:
            return HealthReport(self._clock(), self._clock() - began, failure=f"{error}: {error.paste}")
        return health.read(printed, self._clock(), self._clock() - began)


def command(configuration: Path) -> tuple[str, ...]:
    """The doctor of this installation, for this configuration file."""
    program = "from appliance.cli.main import run; run()"
    return (sys.executable, "-P", "-c", program, "--config", str(configuration), "doctor", "--json")
