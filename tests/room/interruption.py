"""Ctrl-C at any time: the first signal ends the work, and later ones do not disturb the clean-up."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

UNIGNORED = ("env", "--default-signal=INT,HUP")
"""Goes before a command that will be interrupted: a shell's background jobs ignore SIGINT, nohup ignores SIGHUP, and
children inherit that."""


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by the first of SIGNALS; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def interrupt_once() -> None:
    """From now on the first of SIGNALS raises Interrupted; later ones are ignored, by new children as well."""
    for number in SIGNALS:
        # A signal that the caller ignores stays ignored: a shell's background jobs ignore SIGINT.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def _raise(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
