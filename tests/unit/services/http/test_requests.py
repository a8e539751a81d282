"""What each request gets, and who gets nothing: curl and raw sockets against a real server."""

import logging
import os
from pathlib import Path

import pytest

from services.decision import Ignore, Reason
from services.events import Ignored, Reported, TransferProgressed, TransferServed
from services.http import connections
from services.http import server as http_server
from services.http.reports import LONGEST_REPORT
from services.http.server import HttpServer
from tests.fakes.event_log import EventLog
from tests.unit.services.http.conftest import (
    BOOT,
    IMAGE,
    KERNEL,
    LIVE,
    LIVE_ARCHIVE,
    LOADER,
    LOOPBACK,
    MAC,
    SCRIPT,
    SQUASHFS,
    Box,
    Connect,
    curl,
    get,
)


async def test_the_script(server: HttpServer, box: Box, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await curl(server, f"{BOOT}/boot.ipxe") == (200, SCRIPT.encode())
    assert box.admit_calls == [(MAC, LOOPBACK)]
    answer = await (await connect()).ask(get(f"{BOOT}/boot.ipxe", "Connection: close"))
    assert b"Cache-Control: no-store" in answer, "the script holds a token"
    assert b"Server: netboot-appliance\r\n" in answer
    assert not caplog.records, "there are events, and no access log besides"


async def test_a_loader_as_uefi_http_boot_asks_for_it(server: HttpServer, events: EventLog) -> None:
    """EDK2: HEAD for the size, which the answer must have, then GET; no redirect. HEAD causes no event."""
    status, head = await curl(server, f"{BOOT}/loader/snponly.efi", "--head")
    assert status == 200
    assert f"Content-Length: {len(LOADER)}\r\n".encode() in head
    assert await curl(server, f"{BOOT}/loader/snponly.efi") == (200, LOADER)
    served = await events.next(TransferServed)
    assert (served.mac, served.service, served.path, served.size) == (MAC, "http", "snponly.efi", len(LOADER))
    assert [type(event) for event in events.seen] == [TransferProgressed, TransferServed]


async def test_the_script_that_ipxe_looks_for_beside_its_own_url(server: HttpServer, events: EventLog) -> None:
    assert await curl(server, f"{BOOT}/loader/autoexec.ipxe") == (200, f"begin of {MAC}\n".encode())
    assert events.seen == []


async def test_a_kernel(server: HttpServer, events: EventLog) -> None:
    assert await curl(server, f"{IMAGE}/vmlinuz") == (200, KERNEL)
    served = await events.next(TransferServed)
    assert (served.mac, served.service, served.path, served.size) == (MAC, "http", "image/r1/vmlinuz", len(KERNEL))
    assert [type(event) for event in events.seen] == [TransferProgressed, TransferServed]


async def test_the_live_system_of_an_http_root(server: HttpServer, events: EventLog) -> None:
    assert await curl(server, f"{IMAGE}/live/filesystem.squashfs") == (200, SQUASHFS)
    served = await events.next(TransferServed)
    assert (served.path, served.size) == ("image/r1/live/filesystem.squashfs", len(SQUASHFS))


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("0-0", KERNEL[:1]),
        ("5-9", KERNEL[5:10]),
        ("2999990-", KERNEL[-10:]),
        ("-7", KERNEL[-7:]),
        ("-9999999", KERNEL),
        ("10-99999999", KERNEL[10:]),
    ],
)
async def test_ranges(server: HttpServer, events: EventLog, asked: str, got: bytes) -> None:
    assert await curl(server, f"{IMAGE}/vmlinuz", "--range", asked) == (206, got)
    assert (await events.next(TransferServed)).size == len(got)


async def test_content_range(server: HttpServer) -> None:
    _, head = await curl(server, f"{IMAGE}/vmlinuz", "--head", "--range", "5-9")
    assert b"Content-Range: bytes 5-9/3000000\r\n" in head
    assert b"Content-Length: 5\r\n" in head


async def test_bad_ranges(server: HttpServer) -> None:
    status, head = await curl(server, f"{IMAGE}/vmlinuz", "--range", "3000000-", "--include")
    assert status == 416
    assert b"Content-Range: bytes */3000000\r\n" in head
    assert await curl(server, f"{IMAGE}/vmlinuz", "--header", "Range: bytes=0-1,5-6") == (200, KERNEL)
    assert await curl(server, f"{IMAGE}/vmlinuz", "--header", "Range: lines=1") == (200, KERNEL)


async def test_head(server: HttpServer, events: EventLog) -> None:
    status, head = await curl(server, f"{IMAGE}/vmlinuz", "--head")
    assert status == 200
    assert b"Content-Length: 3000000\r\n" in head
    assert b"Accept-Ranges: bytes\r\n" in head
    assert (await curl(server, f"{BOOT}/boot.ipxe", "--head"))[0] == 200
    assert not events.seen


async def test_an_empty_file(server: HttpServer, images: Path, events: EventLog) -> None:
    (images / "r1" / "vmlinuz").write_bytes(b"")
    assert await curl(server, f"{IMAGE}/vmlinuz") == (200, b"")
    assert (await events.next(TransferServed)).size == 0


async def test_one_connection_serves_several_requests(server: HttpServer, connect: Connect) -> None:
    connection = await connect()
    await connection.send(get(f"{IMAGE}/vmlinuz"))
    answer = await connection.read(lambda received: len(received.partition(b"\r\n\r\n")[2]) >= len(KERNEL))
    assert answer.endswith(KERNEL)
    answer = await connection.ask(get(f"{BOOT}/boot.ipxe", "Connection: close"))
    assert answer.endswith(SCRIPT.encode())


async def test_the_secrets(server: HttpServer, events: EventLog) -> None:
    status, answer = await curl(server, f"{BOOT}/T0ken/boinc.tar", "--include")
    assert status == 200
    assert answer.endswith(b"\r\n\r\ntar of 525400aabbcc")
    assert b"Cache-Control: no-store" in answer
    assert (await curl(server, f"{BOOT}/other/boinc.tar"))[0] == 403
    assert events.seen == [Ignored("http", str(MAC), Reason.TOKEN_INVALID, "boinc.tar", "127.0.0.1")]


async def test_the_archives_for_the_root(server: HttpServer, events: EventLog) -> None:
    status, answer = await curl(server, f"{BOOT}/T0ken/live", "--include")
    assert status == 200
    assert answer.endswith(f"\r\n\r\n{LIVE} {len(LIVE_ARCHIVE)}\n".encode())
    assert b"Cache-Control: no-store" in answer
    assert await curl(server, f"{BOOT}/T0ken/live/{LIVE}.tar") == (200, LIVE_ARCHIVE)
    served = await events.next(TransferServed)
    assert (served.path, served.size) == (f"live/{LIVE[:16]}.tar", len(LIVE_ARCHIVE))
    assert (await curl(server, f"{BOOT}/T0ken/live/{'0' * 64}.tar"))[0] == 404
    assert (await curl(server, f"{BOOT}/other/live"))[0] == 403
    status, answer = await curl(server, f"{BOOT}/other/live/{LIVE}.tar")
    assert (status, answer) == (403, f"{Reason.TOKEN_INVALID}\n".encode())
    assert (await curl(server, f"{BOOT}/T0ken/live", "--request", "POST"))[0] == 405


async def test_reports(server: HttpServer, box: Box, events: EventLog) -> None:
    url = f"{BOOT}/T0ken/report"
    assert await curl(server, url, "--data", "stage=attached", "--data", "hostid=7") == (204, b"")
    assert box.reports == [Reported(MAC, "attached", {"hostid": "7"})]
    assert (await curl(server, url, "--data", "stage=lunch"))[0] == 400
    assert (await curl(server, f"{BOOT}/other/report", "--data", "stage=reported"))[0] == 403
    assert len(box.reports) == 1
    assert [event.reason for event in events.of(Ignored)] == [Reason.MALFORMED, Reason.TOKEN_INVALID]


async def test_a_report_is_bounded(server: HttpServer, box: Box, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"stage=reported&log=" + b"x" * LONGEST_REPORT)
    assert (await curl(server, f"{BOOT}/T0ken/report", "--data-binary", f"@{tmp_path / 'body'}"))[0] == 400
    endless = ("--header", "Transfer-Encoding: chunked", "--upload-file", "/dev/zero", "--request", "POST")
    assert (await curl(server, f"{BOOT}/T0ken/report", *endless))[0] == 400
    assert not box.reports


async def test_a_report_that_never_ends_is_cut_off(
    server: HttpServer, box: Box, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(connections, "REQUEST_WITHIN", 0.05)
    request = get(f"{BOOT}/T0ken/report", "Content-Length: 100", method="POST") + "stage=reported"
    assert await (await connect()).ask(request) == b""
    assert not box.reports


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        (f"{BOOT}/boot.ipxe", ("--request", "POST"), 405),
        (f"{IMAGE}/vmlinuz", ("--request", "DELETE"), 405),
        (f"{BOOT}/menu/local.ipxe", ("--request", "PUT"), 405),
        (f"{BOOT}/menu/nothing.ipxe", (), 404),
        (f"{BOOT}/T0ken/boinc.tar", ("--request", "PUT"), 405),
        (f"{BOOT}/T0ken/report", (), 405),
        (f"{BOOT}/nothing", (), 404),
        ("/", (), 404),
        ("/boot/525400aabbcc/image/r2/vmlinuz", (), 404),
        (f"{IMAGE}/manifest.json", (), 404),
        (f"{BOOT}/image/../r1/vmlinuz", (), 404),
        (f"{BOOT}/image/%2e%2e/vmlinuz", (), 404),
        (f"{BOOT}/image/..%2f..%2fsecret/vmlinuz", (), 404),
        (f"{BOOT}/image/current/vmlinuz", (), 404),
        (f"{BOOT}/image/linked/vmlinuz", (), 404),
        (f"{BOOT}/image/fifo/vmlinuz", (), 404),
    ],
)
async def test_what_an_admitted_client_does_not_get(
    server: HttpServer, images: Path, path: str, options: tuple[str, ...], status: int
) -> None:
    (images / "current").symlink_to("r1")
    (images / "linked").mkdir()
    (images / "linked" / "vmlinuz").symlink_to("../r1/vmlinuz")
    (images / "fifo").mkdir()
    os.mkfifo(images / "fifo" / "vmlinuz")
    got, text = await curl(server, path, *options)
    assert got == status
    assert 0 < len(text) < 100


STRANGE_REQUESTS = [
    get(f"{BOOT}/boot.ipxe"),
    get(f"{IMAGE}/vmlinuz"),
    get(f"{IMAGE}/vmlinuz", method="HEAD"),
    get(f"{BOOT}/T0ken/boinc.tar"),
    get(f"{BOOT}/T0ken/report", "Content-Length: 14", "Expect: 100-continue", method="POST"),
    get("/"),
    get("*", method="OPTIONS"),
    get("/", method="BREW"),
    get("http://elsewhere/boot/525400aabbcc/boot.ipxe"),
    get(f"{BOOT}/boot.ipxe", "Upgrade: websocket", "Connection: upgrade"),
    get(f"{BOOT}/boot.ipxe") * 5,
    f"GET {BOOT}/boot.ipxe HTTP/1.0\r\n\r\n",
]
NONSENSE = [
    "\r\n\r\nwhat\r\n\r\n",
    "GET\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    get(f"{BOOT}/boot.ipxe", "Content-Length: -1"),
    get(f"{BOOT}/boot.ipxe", "Content-Length: 1", "Content-Length: 2"),
    get(f"{BOOT}/boot.ipxe", "Bad Header: x"),
    get("/" + "a" * 20_000),
    get("/", "X: " + "a" * 20_000),
    get("/", *(f"X{i}: a" for i in range(1000))),
    "GET / HTTP/1.1\r\nHost: [\r\n\r\n",
]


@pytest.mark.parametrize("request_", STRANGE_REQUESTS + NONSENSE)
async def test_a_stranger_gets_not_one_byte(server: HttpServer, box: Box, request_: str, connect: Connect) -> None:
    box.admission = Ignore(Reason.NOT_ALLOWED)
    assert await (await connect()).ask(request_) == b""


@pytest.mark.parametrize("request_", NONSENSE)
async def test_nonsense_does_no_harm(
    server: HttpServer, request_: str, caplog: pytest.LogCaptureFixture, connect: Connect
) -> None:
    answer = await (await connect()).ask(request_.replace("\r\n", "\r\nConnection: close\r\n", 1))
    assert b" 200 " not in answer
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200
    assert not caplog.records, "it does not fill the log"


async def test_a_refusal_is_reported(server: HttpServer, box: Box, events: EventLog, connect: Connect) -> None:
    """The same for a path and for a whole URL (RFC 9112, section 3.2.2)."""
    box.admission = Ignore(Reason.MAC_MISMATCH)
    assert await curl(server, f"{BOOT}/T0ken/boinc.tar") == (0, b"")
    assert await curl(server, "/T0ken") == (0, b"")
    whole = get(f"http://127.0.0.1{BOOT}/T0ken/boinc.tar")
    assert await (await connect()).ask(whole) == b""
    assert events.seen == [
        Ignored("http", str(MAC), Reason.MAC_MISMATCH, "boinc.tar", "127.0.0.1"),
        Ignored("http", "127.0.0.1", Reason.MAC_MISMATCH, "unknown path", "127.0.0.1"),
        Ignored("http", str(MAC), Reason.MAC_MISMATCH, "boinc.tar", "127.0.0.1"),
    ]


async def test_a_fault_ends_only_its_request(server: HttpServer, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.script_ = RuntimeError("a fault")
    assert await curl(server, f"{BOOT}/boot.ipxe") == (500, b"internal error\n")
    for fault in (RuntimeError("a fault before the client is known"), OSError("the neighbour table cannot be read")):
        box.admission = fault
        assert await curl(server, f"{BOOT}/boot.ipxe") == (0, b"")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3
    box.admission, box.script_ = MAC, SCRIPT
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200


async def test_without_free_descriptors_the_client_is_told_to_come_later(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as spent:
        spent.setattr(http_server, "open_beneath", lambda *_: Ignore(Reason.TOO_MANY))
        assert await curl(server, f"{IMAGE}/vmlinuz") == (503, f"{Reason.TOO_MANY}\n".encode())
    assert await curl(server, f"{IMAGE}/vmlinuz") == (200, KERNEL)


async def test_a_missing_script_is_refused_with_its_reason(server: HttpServer, box: Box) -> None:
    box.script_ = Ignore(Reason.NO_IMAGE)
    assert await curl(server, f"{BOOT}/boot.ipxe") == (503, b"no image is active\n")
