"""A client that sends bytes over HTTP as fast as it can, or reports: it costs the others nothing."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest

from services.decision import Reason
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.netns.attacked_box import ATTACKER, LOADER, TIMEOUT, AttackedBox, FarPc
from tests.netns.inside import counters
from tests.netns.scripted_pc import BROADCAST, IPXE, BootScript
from tests.room.namespaces import Namespace
from tests.room.processes import wait_until
from tests.room.room import BOX, CHECKOUT

MEMORY = 32 << 20
CONNECTIONS = 8
ROUNDS = 40
REPORTS = 3000
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


def test_a_flood_of_reports(attacked: AttackedBox) -> None:
    """Of a program on a PC that knows the token. Neither the registry nor the log grows, and what the PC itself reports
    afterwards is not lost."""
    pc = attacked.pc(302)
    url = pc.discover(firmware(7, *IPXE)).file
    report = f"/boot/{pc.mac.bare}/{BootScript.parse(pc.get(url).decode(), url).token}/report"
    registry = attacked.data / "registry"

    def size() -> int:
        return sum(file.stat().st_size for file in registry.iterdir()) + attacked.log.stat().st_size

    before = size()
    statuses: Counter[int] = Counter()
    with attacked.unharmed(MEMORY), ExitStack() as stack:

        def connect() -> Callable[..., int]:
            connection = stack.enter_context(contextlib.closing(HTTPConnection(pc.box)))
            connection.sock = pc.connect()

            def say(stage: str, **details: str) -> int:
                connection.request("POST", report, urlencode({"stage": stage, **details}))
                response = connection.getresponse()
                response.read()
                return response.status

            return say

        # Taken by earlier versions: 60 kB in one report, and any names in it.
        assert connect()("failed", **{f"field{number}": "x" * 3000 for number in range(20)}) == 400
        say = connect()
        for number in range(REPORTS):
            names = dict.fromkeys(("event", "mac", "self", "level", "timestamp", "logger"), "x" * 500)
            statuses[say("reported", number=str(number), **names)] += 1
            statuses[say("failed", reason=f"{number} " + "y" * 900, **names)] += 1
        assert set(statuses) == {204, 429}
        assert statuses[204] < 60
        assert [say(stage) for stage in ("attached", "computing")] == [204, 204]
    wait_until(lambda: attacked.boot(pc.mac)["stage"] == "computing", TIMEOUT, "the stage", 0.1)
    assert size() - before < 1 << 20
    excess, malformed = Reason.TOO_MANY_REPORTS.value, Reason.MALFORMED.value
    attacked.await_ignored({(str(pc.mac), "http", excess): statuses[429], (str(pc.mac), "http", malformed): 1})
