"""Faults that a service logged: it goes on after them, and a fuzzer must not."""

import logging


class Faults(logging.Handler):
    """Keeps what one logger says at level ERROR, from now until `close`."""

    def __init__(self, logger: str) -> None:
        super().__init__(logging.ERROR)
        self._logger = logging.getLogger(logger)
        self._logger.addHandler(self)
        self._seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record down."""
        self._seen.append(logging.Formatter().format(record))

    def check(self) -> None:
        """Raise AssertionError with what was logged since."""
        seen, self._seen = self._seen, []
        assert not seen, "\n".join(seen)

    def close(self) -> None:
        """Listen no more."""
        self._logger.removeHandler(self)
        super().close()
