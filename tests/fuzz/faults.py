"""Faults that a service logged: it goes on after them, and a fuzzer must not."""

import logging


class Faults(logging.Handler):
    """Keeps what one logger and those below it say at `level` or above, until `close`."""

    def __init__(self, logger: str, level: int = logging.ERROR) -> None:
        super().__init__(level)
        self._logger = logging.getLogger(logger)
        self._logger.addHandler(self)
        self._seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._seen.append(logging.Formatter().format(record))

    def check(self) -> None:
        """Raise AssertionError with what was logged since the last check."""
        seen, self._seen = self._seen, []
        assert not seen, "\n".join(seen)

    def close(self) -> None:
        """Stop listening."""
        self._logger.removeHandler(self)
        super().close()
