"""One room for all tests of the real `serve`: the site's dnsmasq, NFS-Ganesha, the box. Each test adds its PCs."""

import os
from collections.abc import Callable, Generator, Iterator
from itertools import count

import pytest

from image.release import Release
from services.ethernet import MacAddress
from tests.netns.attacked_box import AttackedBox
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import Box, install_release
from tests.room.namespaces import Network, assert_nothing_left
from tests.room.processes import tail
from tests.room.room import Room

CAPTURED = MacAddress.parse("52:54:00:aa:bb:01")
RASPBERRY_PI = MacAddress.parse("dc:a6:32:00:bb:01")
ALLOWED = ("52:54:00:77:00:*", str(CAPTURED), str(RASPBERRY_PI))
"""The PCs that may boot: each test's own, and those of the captures. All others are strangers."""

Plug = Callable[..., ScriptedPc]

_numbers = count(1)


def pytest_configure() -> None:
    # In Debian 13 /tmp is in memory, and NFS-Ganesha exports nothing from there.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/var/tmp")


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """The room, with the box running in it."""
    own = tmp_path_factory.mktemp("loaders")
    (own / "raspberry-pi").mkdir()
    settings = f'[boot]\ndirectory = "{own}"\n[boot.loaders]\nraspberry_pi = "raspberry-pi"\n'
    with Room(tmp_path_factory.mktemp("room"), settings=settings) as room:
        install_release(room.data / "images")
        for entry in ALLOWED:
            room.appliance("allow", "add", entry)
        room.start_box()
        yield room
    assert_nothing_left(room.network.room)


@pytest.fixture(scope="session")
def session_box(room: Room) -> Box:
    """The box of the room."""
    box = Box(room.box, room.configuration, room.data, room.logs / "serve.log")
    box.process = room.serve
    return box


@pytest.fixture
def box(session_box: Box) -> Iterator[Box]:
    """The running box. A test may stop it; it must not log an unexpected error, whatever the test does."""
    if not session_box.running:
        session_box.start()
    since = session_box.mark()
    session_box.forgiven = []
    yield session_box
    assert session_box.complaints(since) == []


@pytest.fixture
def release(room: Room) -> Release:
    """The image that is active."""
    from image.release import current

    active = current(room.data / "images")
    assert active
    return active


@pytest.fixture
def plug(room: Room) -> Iterator[Plug]:
    """Plug in a PC: `plug()` one that may boot, `plug(stranger=True)` one that may not, `plug(mac=…)` this one."""
    plugged: list[ScriptedPc] = []

    def plug(*, stranger: bool = False, mac: MacAddress | None = None) -> ScriptedPc:
        number = next(_numbers)
        own = MacAddress.parse(f"52:54:00:{99 if stranger else 77}:00:{number:02x}")
        plugged.append(ScriptedPc(room.network, mac or own, f"pc{number}"))
        return plugged[-1]

    yield plug
    for pc in plugged:
        pc.switch_off()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedBox]:
    """A running box for this module alone, to be attacked."""
    with Network() as network:
        yield AttackedBox(network, tmp_path_factory.mktemp("attacked"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the end of the box's log."""
    report = yield
    box = item.funcargs.get("box", item.funcargs.get("attacked"))
    if report.failed and isinstance(box, Box):
        report.sections.append((f"The box ({box.log})", tail(box.log)))
    return report
