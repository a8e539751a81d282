"""Processes of the virtual room: each in a session of its own, each reliably ended.

Every process has the room's name in its environment. By that mark a later room finds what a killed one left, and the
tests prove that nothing is left. Knows nothing about networks.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

MARK = "NETBOOT_APPLIANCE_ROOM"
"""The environment variable that names the room a process belongs to."""


class RoomError(Exception):
    """Something in the room did not work. The message says what, and where its log is."""


def tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log file, or a note that there is none."""
    try:
        text = path.read_bytes()[-65536:].decode("utf-8", "replace")
    except OSError as error:
        return f"(no log {path}: {error.strerror})"
    return "\n".join(text.replace("\r", "").splitlines()[-lines:])


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str, interval: float = 0.1, rest: float = 0.0
) -> None:
    """Return as soon as `condition()` holds; after `seconds` raise RoomError that says `what` was awaited.

    Asks again after `interval` seconds, or after `rest` times as long as the last answer took, if that is longer.
    """
    began = time.monotonic()
    deadline = began + seconds
    while not condition():
        now = time.monotonic()
        if now > deadline:
            raise RoomError(f"waited {seconds:.0f} s for {what}, which did not happen")
        time.sleep(max(interval, rest * (now - began)))
        began = time.monotonic()


class Process:
    """One running program of the room; its output goes to `log`."""

    def __init__(self, name: str, command: Sequence[str], log: Path, room: str, cwd: Path | None = None) -> None:
        self.name = name
        self.log = log
        self._killed = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {MARK: room},
                start_new_session=True,
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def require(self) -> None:
        """Raise RoomError with the tail of its log if it has ended."""
        if (code := self._popen.poll()) is not None:
            raise RoomError(f"{self.name} ended with exit code {code}; its log {self.log} ends:\n{tail(self.log)}")

    def wait_for_log(self, text: str, seconds: float, start: int = 0) -> None:
        """Return as soon as the log has `text` after byte `start`; RoomError when the process ends, or on timeout."""

        def found() -> bool:
            if text.encode() in self.log.read_bytes()[start:]:
                return True
            self.require()
            return False

        wait_until(found, seconds, f"{text!r} from {self.name} in {self.log}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        self._popen.send_signal(number)

    def stop(self, seconds: float = 30) -> None:
        """Ask it to end (SIGTERM), wait, then kill whatever is left of its group."""
        if self.running:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End the whole group at once: what a power cut does."""
        if self._killed:  # its number may belong to another process by now
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self._killed = True


def marked(room: str) -> Iterator[int]:
    """The ids of all live processes whose mark begins with `room` (the whole name, or the prefix of all rooms)."""
    for pid, name in _marks().items():
        if name == room or name.startswith(room + "-"):
            yield pid


def kill_marked(room: str) -> None:
    """Kill the processes of one room and wait until the last is gone."""

    def gone() -> bool:
        left = list(marked(room))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(gone, 60, f"the processes of room {room} to end")


def rooms_of_processes() -> set[str]:
    """The names of all rooms that have live processes."""
    return set(_marks().values())


def _marks() -> Mapping[int, str]:
    wanted = f"{MARK}=".encode()
    marks = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        for variable in variables:
            if variable.startswith(wanted):
                marks[int(folder.name)] = variable[len(wanted) :].decode("ascii", "replace")
    return marks
