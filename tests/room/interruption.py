"""Ctrl-C at any time: the first signal ends the work, and no later one disturbs the cleaning up."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

UNIGNORED = ("env", "--default-signal=INT,HUP")
"""Before a command that is to be interrupted: a shell starts background jobs with SIGINT ignored, nohup ignores SIGHUP,
and both are inherited."""


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by the first of SIGNALS; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def interrupt_once() -> None:
    """From now on the first of SIGNALS raises Interrupted, and the ones after it are ignored, by children as well."""
    for number in SIGNALS:
        # A shell starts background jobs with SIGINT ignored; a caller who wants that is not overruled.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def _raise(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
