"""One room for all end-to-end tests: the real image, the real box, real firmware. Needs root and takes minutes."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.room.demo import build_image, check_prerequisites, only_one
from tests.room.interruption import interrupt_once
from tests.room.namespaces import assert_nothing_left
from tests.room.room import CHECKOUT, Room

JOB_SECONDS = 25


def pytest_configure() -> None:
    interrupt_once()


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """The demo's own directory, locked, with the image in it: demo and tests build it once."""
    path = CHECKOUT / ".room"
    check_prerequisites()
    with only_one(path):
        build_image(path, Console())
        yield path


@pytest.fixture(scope="session")
def room(directory: Path) -> Iterator[Room]:
    """A room in which the project and the box run. Its logs stay in .room/logs/e2e."""
    with Room(directory, directory / "logs" / "e2e", job_seconds=JOB_SECONDS) as room:
        room.start_project(attacks=True)
        room.start_box()
        yield room
    assert_nothing_left(room.network.room)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On failure, show the ends of all logs of the room."""
    report = yield
    room = item.funcargs.get("room")
    if report.failed and isinstance(room, Room):
        report.sections.append((f"The room (all logs: {room.logs})", room.tails()))
    return report
