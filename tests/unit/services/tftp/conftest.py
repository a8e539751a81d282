"""A real TFTP server on loopback, and a scripted peer."""

import random
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.menus.menu import Dialect
from services.tftp.files import Files
from services.tftp.server import TftpServer
from tests.fakes.event_log import EventLog
from tests.fakes.tftp_peer import Reader, UdpPeer, rrq

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
LOOPBACK = IPv4Address("127.0.0.1")
CONTENT = random.Random(1).randbytes(300_007)
EDK2_ABORT = b"\0\5\0\x08User aborted the transfer\0"


class Admission:
    """Admits everybody as MAC until `decision` is changed."""

    def __init__(self) -> None:
        self.decision: MacAddress | Ignore | Exception = MAC
        self.asked: list[tuple[MacAddress | None, IPv4Address]] = []

    def __call__(self, claimed: MacAddress | None, peer: IPv4Address) -> MacAddress | Ignore:
        self.asked.append((claimed, peer))
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


def script(dialect: Dialect, mac: MacAddress, peer: IPv4Address) -> str | Ignore:
    """A boot script that names its client; for PXELINUX there is no image."""
    return Ignore(Reason.NO_IMAGE) if dialect is Dialect.PXELINUX else f"{dialect} for {mac} at {peer}\n"


def autoexec(mac: MacAddress) -> str | Ignore:
    """The script with which iPXE begins."""
    return f"begin of {mac}\n"


def files(root: Path) -> Files:
    """The files in `root`, and the releases in `images` beside it."""
    return Files(root, root.parent / "images", script, autoexec)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(CONTENT)
    (root / "small").write_bytes(b"small")
    (tmp_path / "secret").write_bytes(b"secret")
    for release in ("20260301-120000", ".unfinished"):
        (tmp_path / "images" / release).mkdir(parents=True)
        (tmp_path / "images" / release / "vmlinuz").write_bytes(b"kernel")
    (tmp_path / "images" / "20260301-120000" / "manifest").write_bytes(b"not for firmware")
    return root


@pytest.fixture
def events() -> EventLog:
    return EventLog()


@pytest.fixture
def admission() -> Admission:
    return Admission()


@pytest.fixture
async def server(root: Path, events: EventLog, admission: Admission) -> AsyncIterator[TftpServer]:
    server = TftpServer(LOOPBACK, files(root), admit=admission, emit=events, port=0)
    server.open()
    yield server
    server.close()


@pytest.fixture
def peer(server: TftpServer) -> Iterator[UdpPeer]:
    with UdpPeer(server.port) as peer:
        yield peer


@pytest.fixture
def no_retransmission(monkeypatch: pytest.MonkeyPatch) -> None:
    """No retransmission during the test, however busy the machine is."""
    for name in ("FIRST_WAIT", "SHORTEST_WAIT"):
        monkeypatch.setattr(f"services.tftp.transfer.{name}", 5.0)


async def serves(server: TftpServer) -> bool:
    """Whether the server still serves a new client."""
    with UdpPeer(server.port) as peer:
        return await peer.fetch(rrq("small"), Reader()) == b"small"
