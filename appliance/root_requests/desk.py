"""Where the page asks one of root's helpers for something: both sides of it.

The page writes the request into its own directory below /run, and root's helper the answer into its own. systemd's path
unit starts the helper: docs/adr/0028-images-by-the-page.md. Every function blocks.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from appliance.config.file import locate
from appliance.errors import UserError
from appliance.root_requests.answer import (
    LARGEST,
    LONGEST_WORDS,
    RootAnswer,
    decode_answer,
    digest,
    encode_answer,
)
from services.linux import atomic_file, foreign_file
from services.linux.foreign_file import ForeignFileError

ENVIRONMENT = "RUNTIME_DIRECTORY"
"""systemd names a unit's directory below /run in this variable: systemd.exec(5), RuntimeDirectory=."""

_CONTROL = Path("/run/netboot-appliance-control")
_OF_CONTROL = "-control"

_AGAIN_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_TURN_SECONDS = 2.0


def can_ask(configuration: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process can ask root's helpers: it is the unit of systemd, and reads the configuration that they
    read."""
    return environment.get(ENVIRONMENT, "").endswith(_OF_CONTROL) and configuration == locate(None)


@dataclass(frozen=True, slots=True)
class Desk:
    """`request` is the page's file, `answer` root's; `unit` is the name of the helper's units."""

    request: Path
    answer: Path
    unit: str
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def server(self) -> Path:
        """The directory of the server, beside these."""
        return self.request.parent.with_name(self.request.parent.name.removesuffix(_OF_CONTROL))

    def ask(self, content: bytes, seconds: float = 15.0, accepted: Callable[[], None] = lambda: None) -> RootAnswer:
        """Ask root's helper, and return its last answer; `accepted` is called when it has accepted the request, before
        it is done. Blocks for up to `seconds`; raises UserError if there is no answer, and what `accepted` raises.

        One thread asks at a time: there is one file for requests. Others do not wait long, or they would hold up all
        pages."""
        if not self._turn.acquire(timeout=_TURN_SECONDS):
            raise UserError("root's helper is being asked for something else", "try again in a moment", code=1)
        try:
            return self._ask(content, seconds, accepted)
        finally:
            self._turn.release()

    def _ask(self, content: bytes, seconds: float, accepted: Callable[[], None]) -> RootAnswer:
        told = False
        begun = written = time.monotonic()
        self._write(content)
        while (now := time.monotonic()) < begun + seconds:
            if now >= written + _AGAIN_SECONDS:
                # systemd does not look while root's helper runs. A request is carried out once, however often it comes.
                self._write(content)
                written = now
            answer = self.read_answer()
            if answer is not None and answer.request == digest(content):
                if not (told or answer.error):
                    accepted()
                    told = True
                if answer.final:
                    return answer
            time.sleep(_LOOK_SECONDS)
        raise UserError("root's helper does not answer", f"see: systemctl status {self.unit}.path", code=1)

    def _write(self, content: bytes) -> None:
        try:
            atomic_file.write(self.request, content, durable=False)
        except OSError as error:
            raise UserError(f"cannot write to {self.request.parent}: {error.strerror}", "check /run", code=1) from error

    def read_answer(self) -> RootAnswer | None:
        """The latest answer, None before the first."""
        with contextlib.suppress(OSError, ValueError):
            return decode_answer(self.answer.read_bytes())
        return None

    def serve(self, carry_out: Callable[[bytes, Callable[[], None]], str]) -> None:
        """As root: answer the request, and again if it has changed meanwhile; raises UserError if the last one failed.

        `carry_out` gets the request and what to call once it is accepted, if the page is to know that early; it returns
        what was done, in words, or raises UserError. A request that was answered is done: systemd may start a helper
        twice for one change of the file.
        """
        before = self.read_answer()
        answered = before.request if before and before.final else ""
        failure: UserError | None = None
        while (content := self._read()) is not None and digest(content) != answered:
            answered, failure = digest(content), None
            try:
                answer = RootAnswer(answered, done=carry_out(content, partial(self._answer, RootAnswer(answered))))
            except UserError as error:
                failure = error
                answer = RootAnswer(answered, error=error.message[:LONGEST_WORDS], hint=error.hint[:LONGEST_WORDS])
            self._answer(answer)
        if failure:
            raise failure

    def _answer(self, answer: RootAnswer) -> None:
        atomic_file.write(self.answer, encode_answer(answer), durable=False)

    def _read(self) -> bytes | None:
        try:
            return foreign_file.read(self.request, LARGEST)
        except ForeignFileError as error:
            raise refused(str(error)) from error


def desk(file: str, helper: str, environment: Mapping[str, str] = os.environ) -> Desk:
    """The desk of a helper: the name of the page's file, and what its units are called after the program's name."""
    control = _control_directory(environment)
    own = control.with_name(f"{control.name.removesuffix(_OF_CONTROL)}-{helper}")
    return Desk(control / f"{file}.json", own / "result.json", f"netboot-appliance-{helper}")


def refused(reason: str) -> UserError:
    """The error for a request that an honest page does not write."""
    return UserError(
        f"the page's request is refused: {reason}",
        "nothing was changed; find out who wrote it: journalctl -u netboot-appliance-control",
        code=1,
    )


def _control_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """The directory of the control process; those of root's helpers are beside it. Its name is the sign: other programs
    have other directories in that variable."""
    found = environment.get(ENVIRONMENT, "")
    return Path(found) if found.endswith(_OF_CONTROL) else _CONTROL
