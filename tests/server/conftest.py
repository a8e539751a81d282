"""Servers with real systemd: containers, which start in a second, and a QEMU guest for the story. Needs root.

Logs stay in .room/logs/server. What takes long to make (root directory, package) is kept for the next run.

A server is Debian 12, unless `tests.server.suites` says otherwise for a test or a file.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.room.interruption import interrupt_once
from tests.room.namespaces import assert_nothing_left
from tests.room.room import CHECKOUT
from tests.server.container import Container
from tests.server.package import download_wheels, make_package
from tests.server.rootfs import make_root
from tests.server.server_room import PACKAGE

DIRECTORY = CHECKOUT / ".room" / "server"
LOGS = CHECKOUT / ".room" / "logs" / "server"


def pytest_configure() -> None:
    interrupt_once()


@pytest.fixture(scope="session")
def distribution(request: pytest.FixtureRequest) -> str:
    """The Debian of the server: one of tests.server.rootfs.DISTRIBUTIONS."""
    for directory in (LOGS, DIRECTORY):
        directory.mkdir(parents=True, exist_ok=True)
    return getattr(request, "param", "bookworm")


@pytest.fixture(scope="session")
def root(distribution: str) -> Path:
    """The root directory of a server, without the product. Read-only by convention."""
    return make_root(DIRECTORY, distribution)


@pytest.fixture(scope="session")
def wheels(distribution: str) -> Path:
    """The Python packages that the locks name, for the server's interpreter."""
    return download_wheels(DIRECTORY, distribution)


@pytest.fixture(scope="session")
def deb(distribution: str, root: Path, wheels: Path) -> Path:
    """The package for the server, built by `make deb` from the current sources."""
    return make_package(DIRECTORY, LOGS, distribution=distribution, root=root, wheels=wheels)


@pytest.fixture
def container(root: Path, deb: Path, request: pytest.FixtureRequest) -> Iterator[Container]:
    """A new server for this test alone, with the package at PACKAGE, not installed."""
    with Container(root, DIRECTORY / "copies", LOGS, f"container-{request.node.name}") as container:
        container.put(deb, PACKAGE)
        yield container
    assert_nothing_left(container.network.room)


@pytest.fixture(scope="module")
def installed(distribution: str, root: Path, deb: Path, request: pytest.FixtureRequest) -> Iterator[Container]:
    """A server shared by all tests of a file, with the package installed by apt."""
    name = f"{request.node.path.stem}-{distribution}"
    with Container(root, DIRECTORY / "copies", LOGS, f"container-{name}") as container:
        container.put(deb, PACKAGE)
        container.run(f"apt-get install -y {PACKAGE}", timeout=600)
        yield container
    assert_nothing_left(container.network.room)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On failure, show the ends of the logs of the machines that the test used."""
    report = yield
    if report.failed:
        for name, machine in item.funcargs.items():
            if hasattr(machine, "tails"):
                report.sections.append((f"{name} (all logs: {LOGS})", machine.tails()))
    return report
