"""`python -m bench.figures`: what a TFTP session takes, how soon the box serves, what a stranger costs.

Sessions, strangers and heap are measured in this process with the server's own classes; descriptors, start and memory
on the real box.
"""

import argparse
import asyncio
import compileall
import os
import socket
import statistics
import sys
import time
import timeit
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.allowlist import Allowlist, Entry
from bench.box import MB, BenchBox, box_and_crowd
from bench.crowd import BOX, Crowd, Place
from bench.flatness import Vitals
from bench.measure import machine
from bench.report import Findings, Table, number, text
from bench.site import ROOT
from services.decision import Ignore, Reason
from services.dhcp import packet
from services.dhcp.server import DhcpServer
from services.dhcp.udp_port import BatchedUdpPort
from services.ethernet import MacAddress, MacRange
from services.tftp.files import Files
from services.tftp.server import TftpServer
from tests.fakes.dhcp_client import DISCOVER, message
from tests.fakes.tftp_peer import rrq

_SESSIONS = 1000
_FIRST_SESSIONS = 50  # made once, not per session
_STARTS = 5
_TIMEOUT = 30.0
_RANGES = 10_000
_STRANGERS = 128  # what fits into a socket's default buffer
_NAME = "loader.efi"


async def heap_of_a_session() -> float:
    """Bytes of Python's heap (tracemalloc) that each of a thousand open transfers of one file takes."""

    def nobody(*_: object) -> Ignore:
        return Ignore(Reason.NO_FILE)

    def admit(claimed: MacAddress | None, _: IPv4Address) -> MacAddress | Ignore:
        return claimed or Ignore(Reason.NO_CLAIM)

    with TemporaryDirectory() as directory, ExitStack() as stack:
        root = Path(directory)
        (root / _NAME).write_bytes(os.urandom(200_000))
        server = TftpServer(
            IPv4Address("127.0.0.1"), Files(root, root, nobody, nobody), admit=admit, emit=lambda _: None, port=0
        )
        server.open()
        stack.callback(server.close)
        clients = [stack.enter_context(closing(_client(i))) for i in range(_FIRST_SESSIONS + _SESSIONS)]
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        await _open_sessions(clients[:_FIRST_SESSIONS], server.port)
        before = tracemalloc.get_traced_memory()[0]
        await _open_sessions(clients[_FIRST_SESSIONS:], server.port)
        return (tracemalloc.get_traced_memory()[0] - before) / _SESSIONS


def _client(i: int) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    udp.bind((f"127.1.{i >> 8}.{i & 255}", 0))
    return udp


async def _open_sessions(clients: list[socket.socket], port: int) -> None:
    """Request the file on each socket, and wait for the first packet of each answer; send nothing more."""
    for i, udp in enumerate(clients):
        udp.sendto(rrq(f"{0x525400000000 + i:012x}/{_NAME}", blksize=1468, windowsize=4), ("127.0.0.1", port))
        if i % 50 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(_TIMEOUT):
        for udp in clients:
            answer = await asyncio.get_running_loop().sock_recv(udp, 2048)
            if answer[:2] != b"\0\6":
                raise AssertionError(f"no transfer was opened: {answer!r}")


def foreign_mac() -> float:
    """Seconds of Python per DHCP message of a PC that may not boot, with 10,000 allowed ranges, from the buffers that
    the kernel filled to the end; the best of several runs, as timeit's documentation advises. Without the system call,
    which is one per batch."""
    spans = [MacRange(MacAddress(i << 24), MacAddress((i << 24) + 99)) for i in range(_RANGES)]
    allowlist = Allowlist.of(Entry(span, "") for span in spans)
    address = IPv4Address("127.0.0.1")
    server = DhcpServer(
        "lo",
        address,
        allowed=lambda value: allowlist.allows_number(value),  # noqa: PLW0108 - as the box does: its list may be replaced
        plan=lambda _: Ignore(Reason.NOT_ALLOWED),
        emit=lambda _: None,
    )
    # Ordinary DHCP of office PCs that boot from their disks.
    macs = [((i * 97 % _RANGES) << 24 | 0xFF0000 | i).to_bytes(6, "big") for i in range(_STRANGERS)]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    udp.bind((str(address), 0))
    with closing(BatchedUdpPort(udp, address, packet.MAX_DATAGRAM + 1)) as wire, closing(_client(0)) as office:
        for i, mac in enumerate(macs):
            office.sendto(message(DISCOVER, mac, [(55, b"\1\3\6")], xid=i), udp.getsockname())
        count = len(wire.receive())
        runs = timeit.repeat(lambda: server.handle(wire, 67, wire.taken(count)), number=20, repeat=50)
    return min(runs) / (20 * count)


def descriptors_of_a_session(box: BenchBox, crowd: Crowd) -> float:
    """Open files of the box per transfer, with one transfer per PC; the first half of the PCs opens what all share."""

    async def ask(places: Sequence[Place]) -> int:
        with ExitStack() as stack:
            opened = []
            for place in places:
                crowd.ask_for_box(place)
                opened.append(stack.enter_context(closing(crowd.udp(place))))
                opened[-1].sendto(rrq(f"{place.mac.bare}/snponly.efi", blksize=1468, windowsize=4), (str(BOX), 69))
                await asyncio.sleep(0.002)
            async with asyncio.timeout(_TIMEOUT):
                for udp in opened:
                    await asyncio.get_running_loop().sock_recv(udp, 2048)
            return Vitals.of(box.pid, (), 0.0).descriptors

    half = len(crowd.places) // 2
    before = asyncio.run(ask(crowd.places[:half]))
    after = asyncio.run(ask(crowd.places[half:]))
    return (after - before) / (len(crowd.places) - half)


def starts(box: BenchBox) -> tuple[list[float], list[int]]:
    """Start the box several times: seconds until it tells systemd that all its sockets are bound, and its resident
    memory in bytes then. The program is byte-compiled, like an installed one (packaging/build-venv)."""
    for package in ("appliance", "services", "image"):
        compileall.compile_dir(ROOT / package, quiet=1)
    seconds, memory = [], []
    for _ in range(_STARTS):
        assert box.process is not None
        box.process.stop()
        with _notified(box.configuration.parent / "notify") as unix:
            begun = time.perf_counter()
            box.launch()
            while b"READY=1" not in unix.recv(4096):
                pass
            seconds.append(time.perf_counter() - begun)
        memory.append(Vitals.of(box.pid, (), 0.0).rss)
    return seconds, memory


@contextmanager
def _notified(path: Path) -> Iterator[socket.socket]:
    """A socket for a program's notifications to systemd (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        unix.settimeout(_TIMEOUT)
        unix.bind(str(path))
        os.environ["NOTIFY_SOCKET"] = str(path)
        try:
            yield unix
        finally:
            del os.environ["NOTIFY_SOCKET"]
            path.unlink()


def measure() -> Findings:
    """All of them."""
    figures = {
        "heap_kb": asyncio.run(heap_of_a_session()) / 1000,
        "foreign_us": foreign_mac() * 1e6,
    }
    with (
        TemporaryDirectory() as directory,
        box_and_crowd(Path(directory), 200, kernel=MB, initrd=MB) as (box, crowd, _),
    ):
        figures["descriptors"] = descriptors_of_a_session(box, crowd)
        seconds, memory = starts(box)
    figures["start_s"] = statistics.median(seconds)
    rows = [
        ["heap of a TFTP session, kB", number(figures["heap_kb"])],
        ["file descriptors of a TFTP session", number(figures["descriptors"])],
        ["a foreign MAC rejected, us of Python", number(figures["foreign_us"])],
        [f"start to all sockets bound, s (median of {_STARTS})", number(figures["start_s"])],
        ["resident memory after the start, MB", number(statistics.median(memory) / 1e6)],
    ]
    return Findings(tables=[Table("Small figures", ["figure", "value"], rows)], figures=figures)


def main() -> int:
    """Measure and show."""
    argparse.ArgumentParser(prog="python -m bench.figures", description=__doc__).parse_args()
    for table in measure().tables:
        print(text(table))
    print(machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
