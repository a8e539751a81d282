"""Servers with real systemd: containers, which start in a second, and a QEMU guest for the story. Needs root.

Logs stay in .room/logs/server. What takes long to make (root directory, package) is kept for the next run.
"""

import fcntl
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.room.interruption import interrupt_once
from tests.room.namespaces import assert_nothing_left
from tests.room.processes import RoomError, tail
from tests.room.room import CHECKOUT
from tests.server.container import Container
from tests.server.rootfs import make_root
from tests.server.server_room import PACKAGE

DIRECTORY = CHECKOUT / ".room" / "server"
LOGS = CHECKOUT / ".room" / "logs" / "server"
_SOURCES = ("appliance", "services", "image", "systemd", "packaging", "debian", "docs", "Makefile", "pyproject.toml")


def pytest_configure() -> None:
    interrupt_once()


@pytest.fixture(scope="session")
def root() -> Path:
    """The root directory of a Debian 12 server, without the product. Read-only by convention."""
    LOGS.mkdir(parents=True, exist_ok=True)
    return make_root(DIRECTORY)


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package, built by `make deb` from the current sources."""
    for directory in (LOGS, DIRECTORY):
        directory.mkdir(parents=True, exist_ok=True)
    with (DIRECTORY / "deb-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (package := _package()) and _time(package) > _newest_source():
            return package
        log = LOGS / "deb.log"
        with log.open("wb") as output:
            made = subprocess.run(["make", "deb"], cwd=CHECKOUT, stdout=output, stderr=subprocess.STDOUT, check=False)
        package = _package()
        if made.returncode or not package:
            raise RoomError(f"`make deb` made no package; its log {log} ends:\n{tail(log)}")
    return package


@pytest.fixture
def container(root: Path, deb: Path, request: pytest.FixtureRequest) -> Iterator[Container]:
    """A new server for this test alone, with the package at PACKAGE, not installed."""
    with Container(root, DIRECTORY / "copies", LOGS, f"container-{request.node.name}") as container:
        container.put(deb, PACKAGE)
        yield container
    assert_nothing_left(container.network.room)


@pytest.fixture(scope="module")
def installed(root: Path, deb: Path, request: pytest.FixtureRequest) -> Iterator[Container]:
    """A server shared by all tests of a file, with the package installed by apt."""
    name = request.node.path.stem
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


def _package() -> Path | None:
    return max((CHECKOUT / "build" / "deb").glob("netboot-appliance_*.deb"), key=_time, default=None)


def _newest_source() -> float:
    files = (file for name in _SOURCES for file in ((CHECKOUT / name), *(CHECKOUT / name).rglob("*")))
    return max(_time(file) for file in files if file.is_file() and "__pycache__" not in file.parts)


def _time(file: Path) -> float:
    return file.stat().st_mtime
