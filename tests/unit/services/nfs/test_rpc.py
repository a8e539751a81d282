"""ONC RPC answers as bytes, including hostile ones. Calls to real servers: tests/netns/test_doctor.py."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from services.nfs.rpc import MOUNT, NFS, RpcError, null, read_dump, read_reply

LOCALHOST = IPv4Address("127.0.0.1")
XID = 7


def words(*numbers: int) -> bytes:
    return struct.pack(f"!{len(numbers)}I", *numbers)


def text(value: bytes) -> bytes:
    return words(len(value)) + value + bytes(-len(value) % 4)


def test_reads_the_results_of_a_reply() -> None:
    assert read_reply(words(XID, 1, 0, 0, 0, 0) + b"results", XID) == b"results"
    assert read_reply(words(XID, 1, 0, 6) + text(b"abc") + words(0) + b"results", XID) == b"results"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"", "cut short"),
        (words(XID, 1, 0, 0), "cut short"),
        (words(XID, 1, 0, 0, 400, 0), "cut short"),
        (words(8, 1, 0, 0, 0, 0), "does not belong to our call"),
        (words(XID, 0, 0, 0, 0, 0), "does not belong to our call"),
        (words(XID, 1, 1, 0, 2, 2), "refuses the call"),
        (words(XID, 1, 0, 0, 0, 1), "does not serve this program"),
        (words(XID, 1, 0, 0, 0, 2, 2, 3), "does not speak this version"),
        (words(XID, 1, 0, 0, 0, 99), "status 99"),
    ],
)
def test_a_bad_reply_is_an_error(reply: bytes, problem: str) -> None:
    with pytest.raises(RpcError, match=problem):
        read_reply(reply, XID)


def registration(program: int, transport: bytes, address: bytes) -> bytes:
    return words(1, program, 3) + text(transport) + text(address) + text(b"superuser")


DUMP = (
    registration(MOUNT, b"tcp", b"0.0.0.0.78.80")
    + registration(MOUNT, b"udp6", b"::.0.7")
    + registration(100000, b"local", b"/run/rpcbind.sock")
    + registration(NFS, b"tcp6", b"::.8.1")
    + words(0)
)


def test_the_portmappers_list_is_read() -> None:
    assert list(read_dump(DUMP)) == [(MOUNT, "tcp", 20048), (MOUNT, "udp", 7), (NFS, "tcp", 2049)]


def test_a_list_that_is_cut_short_is_an_error_and_never_read_beyond_its_end() -> None:
    for length in range(len(DUMP)):
        with pytest.raises(RpcError, match="cut short"):
            list(read_dump(DUMP[:length]))
    with pytest.raises(RpcError, match="cut short"):
        list(read_dump(words(1, MOUNT, 3, 0xFFFFFFFF)))


@contextmanager
def server(answer: bytes, pause: float) -> Iterator[int]:
    """Sends the bytes one by one with a pause between them, over and over, until nobody listens."""

    def serve() -> None:
        peer, _ = listening.accept()
        with peer:
            try:
                while True:
                    for byte in answer:
                        peer.sendall(bytes([byte]))
                        if over.wait(pause):
                            return
            except OSError:
                return

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join()


def test_gives_up_on_a_server_that_trickles_bytes() -> None:
    begun = time.monotonic()
    with server(words(0x80000400), 0.05) as port, pytest.raises(RpcError, match="did not answer within"):
        null(LOCALHOST, port, MOUNT, 3, 0.3)
    assert time.monotonic() - begun < 30


def test_a_flood_is_refused() -> None:
    with server(words(0x7FFFFFFF), 0) as port, pytest.raises(RpcError, match="too long"):
        null(LOCALHOST, port, MOUNT, 3, 2)


def test_a_closed_port_is_named() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(RpcError, match=f"port {port} of 127.0.0.1: Connection refused"):
            null(LOCALHOST, port, MOUNT, 3, 1)
