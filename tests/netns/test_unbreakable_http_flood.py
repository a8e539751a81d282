"""A client that sends bytes over HTTP as fast as it can, or reports: it costs the others nothing."""

import contextlib
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.fakes.dhcp_client import DISCOVER, Answer, firmware, message
from tests.netns.attacked_box import ATTACKER, LOADER, TIMEOUT, AttackedBox, FarPc
from tests.netns.inside import counters
from tests.netns.scripted_pc import BROADCAST, IPXE, BootScript
from tests.room.namespaces import Namespace
from tests.room.processes import wait_until
from tests.room.room import BOX, CHECKOUT

MEMORY = 32 << 20
CONNECTIONS = 8
ROUNDS = 40
BEGUN = 500  # segments that arrive before the honest PC asks

CHUNKED = "POST /boot/{mac}/boot.ipxe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "trailers": (CHUNKED + "0\r\n", "A: b\r\n"),
    "a trailer": (CHUNKED + "0\r\nA: ", "b"),
    "a chunk's extension": (CHUNKED + "1;", "x"),
    "zeros of a chunk's size": (CHUNKED, "0"),
    "tiny chunks": (CHUNKED, "1\r\nx\r\n"),
    "a body": ("POST /boot/{mac}/boot.ipxe HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n", "x"),
    "requests": ("", "GET /boot/{mac}/nothing HTTP/1.1\r\n\r\n"),
    "empty lines": ("\r\n", "\r\n"),
    "a path": ("GET /", "a"),
    "fields": ("GET / HTTP/1.1\r\n", "A: b\r\n"),
}


@contextlib.contextmanager
def flood(box: AttackedBox, host: Namespace, source: str, begun: str, more: str) -> Iterator[None]:
    """Send this over CONNECTIONS connections during the block."""
    before = counters(box.host, "Tcp")["InSegs"]
    command = [sys.executable, "-m", "tests.netns.http_flood", source, str(BOX), str(CONNECTIONS)]
    command += [begun.encode().hex(), more.encode().hex()]
    process = host.start("HTTP flood", command, box.log.with_name("http-flood.log"), CHECKOUT)
    wait_until(lambda: counters(box.host, "Tcp")["InSegs"] > before + BEGUN, TIMEOUT, "the flood", 0.01)
    yield
    process.require()
    process.stop(TIMEOUT)


def served(pc: FarPc) -> tuple[int, int, int]:
    """How many of ROUNDS questions to DHCP and requests for a script get their answer at the first try, and how many
    loaders arrive."""
    offers = scripts = loaders = 0
    for number in range(ROUNDS):
        with pc.udp(68, "") as udp, contextlib.suppress(TimeoutError):
            udp.setsockopt(1, 25, b"lan0")  # SO_BINDTODEVICE
            udp.settimeout(2.0)
            xid = pc.mac.value & 0xFFFF00 | number
            udp.sendto(message(DISCOVER, bytes(pc.mac), firmware(7), xid=xid, flags=BROADCAST), ("255.255.255.255", 67))
            while udp.recv(65536)[4:8] != xid.to_bytes(4, "big"):
                pass
            offers += 1
        with contextlib.suppress(OSError), contextlib.closing(HTTPConnection(pc.box)) as connection:
            connection.sock = pc.connect()
            connection.sock.settimeout(5.0)
            connection.request("GET", f"/boot/{pc.mac.bare}/boot.ipxe")
            scripts += connection.getresponse().read().startswith(b"#!ipxe\n")
        if number % 10 == 0:
            loaders += pc.load(f"{pc.mac.bare}/{LOADER.name}", windowsize=16) == LOADER.read_bytes()
    return offers, scripts, loaders


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("who", ["an allowed PC", "a stranger"])
def test_bytes_without_end(attacked: AttackedBox, who: str, kind: str) -> None:
    pc = attacked.pc(300)
    attacker = (attacked.gateway, pc.address) if who == "an allowed PC" else (attacked.attacker, str(ATTACKER))
    begun, more = (text.replace("{mac}", pc.mac.bare) for text in FLOODS[kind])
    honest = attacked.pc(301)
    alone = served(honest)
    assert alone == (ROUNDS, ROUNDS, ROUNDS // 10)
    with attacked.unharmed(MEMORY), flood(attacked, *attacker, begun, more):
        assert served(honest) == alone
