"""Logging: structlog for people on a terminal, JSON lines elsewhere; libraries' own logging goes the same way.

Whatever comes from outside is harmless in it, and stays on its own line. Errors that nobody caught, in threads too, are
lines of it like any other. The server never waits for whoever reads its log. If the disk is full or the reader is not
reading, lines are dropped. The next line that gets through is preceded by one that says how many.
"""

import logging
import os
import select
import sys
import threading
from types import TracebackType

import structlog

from services.foreign_text import printable

_AT_ONCE = 4096
"""Bytes that a pipe or a socket takes without waiting if poll(2) calls it writable: pipe(7), PIPE_BUF."""


class LogHandler(logging.Handler):
    """Writes each record, formatted, as a line to a file descriptor, and never waits for room.

    structlog's lines are formatted already and come here directly: that takes a third of the time that `logging` does.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._lost = 0
        self._why = ""
        self._cut_off = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it as lost."""
        try:
            self._write(self.format(record))
        except Exception:
            self.handleError(record)

    def msg(self, line: str) -> None:
        """Write a line, or count it as lost."""
        self.acquire()
        try:
            self._write(line)
        finally:
            self.release()

    debug = info = warning = error = exception = critical = msg

    def _write(self, line: str) -> None:
        if self._lost and self._written(self.format(self._note())):
            self._lost = 0
        if self._lost or not self._written(line):
            self._lost += 1

    def _note(self) -> logging.LogRecord:
        words = f"lines of this log were lost: {self._lost} ({self._why})"
        return logging.LogRecord("logs", logging.WARNING, __file__, 0, words, None, None)

    def _written(self, line: str) -> bool:
        # A line that was cut off in the middle ends there.
        rest = memoryview((("\n" if self._cut_off else "") + line + "\n").encode("utf-8", "backslashreplace"))
        while rest:
            try:
                if not self._poll.poll(0):
                    raise BlockingIOError("its reader is not reading")
                written = os.write(self._descriptor, rest[:_AT_ONCE])
            except OSError as error:
                self._why = error.strerror or str(error)
                return False
            rest = rest[written:]
            self._cut_off = bool(rest)
        return True


_OF_MANY_LINES = ("exception", "stack")
"""Texts of the log itself: the Python code that failed, with the message of the error in it."""


def _harmless(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {printable(key): _words(key, value) if isinstance(value, str) else value for key, value in line.items()}


def _words(key: str, value: str) -> str:
    return "\n".join(map(printable, value.split("\n"))) if key in _OF_MANY_LINES else printable(value)


def configure(*, debug: bool) -> None:
    """Send every log line, and every error that nobody catches in a thread, to standard error, in one form."""
    terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
    ]
    render: structlog.typing.Processor = (
        # The other formatters show the values of variables, and some of them are secrets.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    end: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _harmless, render]
    handler = LogHandler(sys.stderr.fileno())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end],
        )
    )
    level = logging.DEBUG if debug else logging.INFO
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, *end],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: handler,
        cache_logger_on_first_use=True,
    )
    logging.raiseExceptions = False
    threading.excepthook = lambda args: _log_uncaught(args.exc_value, args.thread.name if args.thread else "unknown")
    sys.unraisablehook = lambda args: _log_uncaught(args.exc_value, "while Python was cleaning up")


def _log_uncaught(error: BaseException | None, where: str) -> None:
    found: tuple[type[BaseException], BaseException, TracebackType | None] | None = None
    if error is not None:
        found = (type(error), error, error.__traceback__)
    structlog.get_logger("serve").error("an error that nobody caught", where=where, exc_info=found)
