"""End-to-end tests. Each file has rooms of its own (tests/e2e/rooms.py), so that two files can run at once. Needs root
and takes minutes."""

from collections.abc import Generator

import pytest

from tests.room.interruption import interrupt_once
from tests.room.room import Room


def pytest_configure() -> None:
    interrupt_once()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On failure, show the ends of all logs of the room."""
    report = yield
    for room in item.funcargs.values():
        if report.failed and isinstance(room, Room):
            report.sections.append((f"The room (all logs: {room.logs})", room.tails()))
    return report
