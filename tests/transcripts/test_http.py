"""HTTP, as a PC that boots uses it, and as everybody else does.

How long a client may take for a file is tested in tests/unit/services/http/test_slow_client.py, what happens on real
connections in test_connections.py and test_transfers.py beside it.
"""

from base64 import b64encode
from http import HTTPStatus

import pytest

from appliance.boot.policy import reporting_token
from services.ethernet import MacAddress
from services.http.conversation import MOST_THROWN_AWAY
from services.http.heartbeats import LONGEST_HEARTBEAT, Heartbeat, OrderEnd, OrderVerb
from services.http.messages import LONGEST_BODY, LONGEST_HEAD, MOST_FIELDS
from services.http.reports import LONGEST_REPORT
from tests.transcripts.http_wire import (
    ARCHIVE_DIGEST,
    BOOT,
    MAC,
    NEW_TOKEN,
    PASSWORD,
    TOKEN,
    TimeIsUp,
    Wire,
    get,
    post,
    request,
)

KERNEL = f"{BOOT}/image/r1/vmlinuz"
SCRIPT = f"{BOOT}/boot.ipxe"
ARCHIVE = f"{BOOT}/{TOKEN}/boinc.tar"
REPORT = f"{BOOT}/{TOKEN}/report"
HEARTBEAT = f"{BOOT}/{TOKEN}/heartbeat"
EXCHANGE = f"{BOOT}/{TOKEN}/exchange"
RESCUE = f"{BOOT}/menu/rescue.ipxe"

THE_SCRIPT = """\
HTTP/1.1 200 OK
Connection: keep-alive
Content-Type: text/plain; charset=utf-8
Cache-Control: no-store
Content-Length: 23

#!ipxe
boot with T0ken
"""
THE_LAST_SCRIPT = THE_SCRIPT.replace("keep-alive", "close") + "[closed]"
THE_SECRETS = """
    HTTP/1.1 200 OK
    Connection: keep-alive
    Content-Type: application/x-tar
    Cache-Control: no-store
    Content-Length: 27

    the secrets of 525400aabb01
"""
TAKEN = """
    HTTP/1.1 204 No Content
    Connection: keep-alive
"""


def refused(status: str, reason: str, *fields: str, connection: str = "keep-alive") -> str:
    """What is answered to a request that is refused for this reason."""
    more = "".join(f"{field}\n" for field in fields)
    return (
        f"HTTP/1.1 {status}\nConnection: {connection}\nContent-Type: text/plain; charset=utf-8\n"
        f"{more}Content-Length: {len(reason) + 1}\n\n{reason}\n"
    )


def exchanged(token: str) -> str:
    """The answer that holds the new token."""
    return (
        "HTTP/1.1 200 OK\nConnection: keep-alive\nContent-Type: text/plain; charset=utf-8\n"
        f"Cache-Control: no-store\nContent-Length: {len(token)}\n\n{token}"
    )


def told(orders: str) -> str:
    """The reply to a heartbeat with these lines of orders."""
    body = f"time=1790000000\nnext=61\nfiles=0123456789abcdef\n{orders}"
    return (
        "HTTP/1.1 200 OK\nConnection: keep-alive\nContent-Type: text/plain; charset=utf-8\n"
        f"Cache-Control: no-store\nContent-Length: {len(body)}\n\n{body}"
    )


def without_end(wire: Wire, more: bytes) -> Wire:
    """Send this again and again, until something happens."""
    for _ in range(LONGEST_HEAD + 1):
        if (wire >> more).received:
            return wire
        wire << ""
    pytest.fail("this could go on for ever")


NO_FILE = refused("404 Not Found", "there is no such file")
WRONG_TOKEN = refused("403 Forbidden", "its token does not belong to the current boot of this MAC address")


class TestFile:
    def test_kernel(self) -> None:
        assert (
            Wire()
            >> get(KERNEL)
            << """
                HTTP/1.1 200 OK
                Connection: keep-alive
                Accept-Ranges: bytes
                Content-Type: application/octet-stream
                Content-Length: 10

                the kernel
            """
        )

    def test_range(self) -> None:
        assert (
            Wire()
            >> get(KERNEL, "Range: bytes=4-6")
            << """
                HTTP/1.1 206 Partial Content
                Connection: keep-alive
                Accept-Ranges: bytes
                Content-Type: application/octet-stream
                Content-Range: bytes 4-6/10
                Content-Length: 3

                ker
            """
            >> get(KERNEL, "Range: bytes=-3")
            << """
                HTTP/1.1 206 Partial Content
                Connection: keep-alive
                Accept-Ranges: bytes
                Content-Type: application/octet-stream
                Content-Range: bytes 7-9/10
                Content-Length: 3

                nel
            """
            >> get(KERNEL, "Range: bytes=10-")
            << f"""
                HTTP/1.1 416 {HTTPStatus(416).phrase}
                Connection: keep-alive
                Accept-Ranges: bytes
                Content-Type: application/octet-stream
                Content-Range: bytes */10
                Content-Length: 0
            """
        )

    def test_uefi_asks_for_the_size_before_it_loads(self) -> None:
        """EDK2's HTTP boot: HEAD, then GET."""
        assert (
            Wire()
            >> request("HEAD", f"{BOOT}/loader/snponly.efi")
            << """
                HTTP/1.1 200 OK
                Connection: keep-alive
                Accept-Ranges: bytes
                Content-Type: application/octet-stream
                Content-Length: 15
            """
            >> get(f"{BOOT}/loader/snponly.efi")
            << """
                HTTP/1.1 200 OK
                Connection: keep-alive
                Accept-Ranges: bytes
                Content-Type: application/octet-stream
                Content-Length: 15

                the boot loader
            """
        )

    @pytest.mark.parametrize("path", [f"{BOOT}/image/r2/vmlinuz", f"{BOOT}/image/../r1/vmlinuz", BOOT, "/"])
    def test_missing(self, path: str) -> None:
        assert Wire() >> get(path) << NO_FILE >> get(path) << NO_FILE

    def test_is_only_read(self) -> None:
        refusal = refused("405 Method Not Allowed", "only GET and HEAD", "Allow: GET, HEAD")
        assert Wire() >> request("DELETE", KERNEL) << refusal


class TestScript:
    def test_for_an_allowed_mac_address(self) -> None:
        assert Wire() >> get(SCRIPT) << THE_SCRIPT

    def test_requests_in_small_pieces(self) -> None:
        asked = get(SCRIPT)
        assert Wire() >> asked[:7] << "" >> asked[7:-1] << "" >> asked[-1:] << THE_SCRIPT

    def test_two_requests_at_once_are_answered_in_turn(self) -> None:
        assert Wire() >> get(f"{BOOT}/nothing") + get(SCRIPT) << NO_FILE + THE_SCRIPT

    def test_the_client_wants_the_connection_closed(self) -> None:
        assert Wire() >> get(SCRIPT, "Connection: close") + get(SCRIPT) << THE_LAST_SCRIPT

    def test_http_1_0(self) -> None:
        asked = get(SCRIPT).replace(b"HTTP/1.1", b"HTTP/1.0")
        keeping = get(SCRIPT, "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
        assert Wire() >> keeping << THE_SCRIPT >> asked << THE_LAST_SCRIPT


class TestStranger:
    """Gets not a single byte: the connection is reset."""

    def test_its_mac_address_is_not_allowed(self) -> None:
        assert Wire(neighbour=MacAddress.parse("52:54:00:aa:bb:02")) >> get("/boot/525400aabb02/boot.ipxe") << "[reset]"

    def test_it_claims_the_mac_address_of_another(self) -> None:
        assert Wire(neighbour=MacAddress.parse("52:54:00:aa:bb:02")) >> get(SCRIPT) << "[reset]"

    def test_its_mac_address_is_not_known(self) -> None:
        assert Wire(neighbour=None) >> get(SCRIPT) << "[reset]"

    def test_it_is_not_asked_for_its_body(self) -> None:
        assert Wire(neighbour=None) >> request("POST", REPORT, "Content-Length: 9", "Expect: 100-continue") << "[reset]"


class TestExchange:
    """The command line's token can be read by every program of the PC: the live system exchanges it at once."""

    def test_the_old_token_opens_nothing_afterwards(self) -> None:
        new = f"{BOOT}/{NEW_TOKEN}"
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> post(EXCHANGE, "")
            << exchanged(NEW_TOKEN)
            >> get(ARCHIVE)
            << WRONG_TOKEN
            >> post(REPORT, "stage=root-mounted")
            << WRONG_TOKEN
            >> get(f"{new}/boinc.tar")
            << THE_SECRETS
            >> post(EXCHANGE, "")
            << WRONG_TOKEN
            >> post(f"{new}/report", "stage=reported")
            << TAKEN
        )

    def test_an_answer_that_got_lost_comes_again_until_the_new_token_is_used(self) -> None:
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> post(EXCHANGE, "")
            << exchanged(NEW_TOKEN)
            >> post(EXCHANGE, "")
            << exchanged(NEW_TOKEN)
            >> post(f"{BOOT}/{NEW_TOKEN}/report", "stage=root-mounted")
            << TAKEN
            >> post(EXCHANGE, "")
            << WRONG_TOKEN
        )

    def test_only_once(self) -> None:
        spent = refused("403 Forbidden", "its live system is already up, and the secrets are served only before that")
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> post(EXCHANGE, "")
            << exchanged(NEW_TOKEN)
            >> post(f"{BOOT}/{NEW_TOKEN}/exchange", "")
            << spent
        )

    def test_not_once_userspace_is_up(self) -> None:
        """A work unit of an image that does not exchange its token must not take it away."""
        spent = refused("403 Forbidden", "its live system is already up, and the secrets are served only before that")
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> post(REPORT, "stage=reported")
            << TAKEN
            >> post(EXCHANGE, "")
            << spent
            >> post(REPORT, "stage=computing")
            << TAKEN
        )

    def test_a_token_for_reports_stays_one(self) -> None:
        reporting = reporting_token(NEW_TOKEN)
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> post(f"{BOOT}/{reporting_token(TOKEN)}/exchange", "")
            << exchanged(reporting)
            >> get(f"{BOOT}/{reporting}/boinc.tar")
            << WRONG_TOKEN
            >> post(f"{BOOT}/{reporting}/report", "stage=root-mounted")
            << TAKEN
        )

    def test_with_post_only(self) -> None:
        assert Wire() >> get(EXCHANGE) << refused("405 Method Not Allowed", "only POST", "Allow: POST")


class TestLive:
    def test_the_initramfs_gets_the_archives_for_the_root_and_no_program_after_it_does(self) -> None:
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> get(f"{BOOT}/{TOKEN}/live")
            << f"""
                HTTP/1.1 200 OK
                Connection: keep-alive
                Content-Type: text/plain; charset=utf-8
                Cache-Control: no-store
                Content-Length: 71

                {ARCHIVE_DIGEST} 10240
            """
            >> post(REPORT, "stage=reported")
            << TAKEN
            >> get(f"{BOOT}/{TOKEN}/live")
            << refused("403 Forbidden", "its live system is already up, and the secrets are served only before that")
        )

    def test_with_get_only(self) -> None:
        for path in ("live", f"live/{ARCHIVE_DIGEST}.tar"):
            wrong = post(f"{BOOT}/{TOKEN}/{path}", "")
            assert Wire() >> wrong << refused("405 Method Not Allowed", "only GET", "Allow: GET")


class TestReport:
    def test_a_boot_reports_and_then_its_secrets_are_spent(self) -> None:
        spent = refused("403 Forbidden", "its live system is already up, and the secrets are served only before that")
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> get(ARCHIVE)
            << THE_SECRETS
            >> post(REPORT, "stage=root-mounted&uptime=3")
            << TAKEN
            >> get(ARCHIVE)
            << THE_SECRETS
            >> post(REPORT, "stage=reported")
            << TAKEN
            >> get(ARCHIVE)
            << spent
            >> post(REPORT, "stage=computing&hostid=7")
            << TAKEN
        )

    def test_the_token_for_reports_opens_no_secrets(self) -> None:
        path = f"{BOOT}/{reporting_token(TOKEN)}"
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> post(f"{path}/report", "stage=root-mounted")
            << TAKEN
            >> get(f"{path}/boinc.tar")
            << WRONG_TOKEN
        )

    def test_wrong_token(self) -> None:
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> post(f"{BOOT}/wrong/report", "stage=attached")
            << WRONG_TOKEN
            >> get(f"{BOOT}/wrong/boinc.tar")
            << WRONG_TOKEN
        )

    def test_before_the_boot_script(self) -> None:
        no_boot = refused("403 Forbidden", "this MAC address has no boot under way")
        assert Wire() >> post(REPORT, "stage=attached") << no_boot >> get(ARCHIVE) << no_boot

    def test_unknown_stage(self) -> None:
        malformed = refused("400 Bad Request", "the packet is malformed")
        assert Wire() >> get(SCRIPT) << THE_SCRIPT >> post(REPORT, "stage=lunch") << malformed

    def test_a_client_that_asks_before_it_sends_its_body(self) -> None:
        assert (
            Wire()
            >> get(SCRIPT)
            << THE_SCRIPT
            >> request("POST", REPORT, "Content-Length: 14", "Expect: 100-continue")
            << "HTTP/1.1 100 Continue"
            >> b"stage=attached"
            << TAKEN
            >> post(REPORT, "stage=computing", "Expect: 100-continue")  # but does not wait for the answer
            << TAKEN
        )

    def test_a_body_that_is_too_large(self) -> None:
        """It is answered before it has ended; the rest is thrown away, so that the client can read the answer."""
        too_large = refused("400 Bad Request", "the packet is malformed", connection="close")
        assert (
            Wire()
            >> request("POST", REPORT, "Transfer-Encoding: chunked")
            << ""
            >> b"%x\r\n" % LONGEST_BODY + b"x" * LONGEST_BODY
            << ""
            >> b"\r\n1\r\nx"
            << too_large + "[nothing more is sent]"
            >> get(SCRIPT)
            << ""
            >> TimeIsUp()
            << "[closed]"
        )

    def test_a_client_that_never_ends_its_request_although_it_has_the_answer(self) -> None:
        too_large = refused("400 Bad Request", "the packet is malformed", connection="close")
        wire = Wire() >> request("POST", REPORT, "Content-Length: 99999999", body=bytes(LONGEST_BODY + 1))
        wire << too_large + "[nothing more is sent]"
        for _ in range(MOST_THROWN_AWAY >> 13):
            wire >> bytes(8 << 10) << ""
        assert wire >> b"x" << "[closed]"

    def test_a_report_that_is_too_large(self) -> None:
        malformed = refused("400 Bad Request", "the packet is malformed")
        body = "stage=attached&log=" + "x" * LONGEST_REPORT
        assert Wire() >> get(SCRIPT) << THE_SCRIPT >> post(REPORT, body) << malformed


class TestHeartbeat:
    """Once a minute: what the PC says, and what it is told."""

    def test_a_minute_of_a_pc(self) -> None:
        wire = Wire() >> get(SCRIPT) << THE_SCRIPT
        wire.orders = ((7, OrderVerb.SUSPEND),)
        head = "uptime=61\nload=3.98\nboinc=running\n"
        assert (
            wire
            >> post(HEARTBEAT, head + "\n<boinc_gui_rpc_reply>\n\n</boinc_gui_rpc_reply>")
            << told("order=7 suspend\n")
            >> post(HEARTBEAT, head + "order=7 done\n\n")
            << told("")
        )
        facts = {"uptime": "61", "load": "3.98", "boinc": "running"}
        assert wire.heartbeats == [
            Heartbeat(MAC, facts, boinc=b"<boinc_gui_rpc_reply>\n\n</boinc_gui_rpc_reply>"),
            Heartbeat(MAC, facts, (OrderEnd(7),)),
        ]

    def test_it_may_be_longer_than_other_requests(self) -> None:
        head = b"uptime=1\n\n"
        wire = Wire() >> get(SCRIPT) << THE_SCRIPT
        wire >> request("POST", HEARTBEAT, f"Content-Length: {LONGEST_HEARTBEAT}", body=head) << ""
        left = LONGEST_HEARTBEAT - len(head)
        while left > LONGEST_BODY:
            wire >> b"<" * LONGEST_BODY << ""
            left -= LONGEST_BODY
        assert wire >> b"<" * left << told("")
        assert wire.heartbeats[0].boinc == b"<" * (LONGEST_HEARTBEAT - len(head))

    def test_it_is_too_long(self) -> None:
        """The answer comes before its end, and nothing of it is kept."""
        too_long = refused("400 Bad Request", "the packet is malformed", connection="close")
        wire = Wire() >> get(SCRIPT) << THE_SCRIPT
        wire >> request("POST", HEARTBEAT, "Content-Length: 99999999", body=b"uptime=1\n\n") << ""
        for _ in range((LONGEST_HEARTBEAT >> 13) - 1):
            wire >> b"<" * LONGEST_BODY << ""
        assert wire >> b"<" * LONGEST_BODY << too_long + "[nothing more is sent]"
        assert wire.heartbeats == []

    @pytest.mark.parametrize("body", ["", "uptime=1", "<" * 5000, "\0" * 5000], ids=["empty", "no end", "<", "zeros"])
    def test_it_is_none(self, body: str) -> None:
        malformed = refused("400 Bad Request", "the packet is malformed")
        assert Wire() >> get(SCRIPT) << THE_SCRIPT >> post(HEARTBEAT, body) << malformed

    def test_of_another_boot(self) -> None:
        assert Wire() >> get(SCRIPT) << THE_SCRIPT >> post(f"{BOOT}/wrong/heartbeat", "a=1\n\n") << WRONG_TOKEN

    def test_before_the_boot_script(self) -> None:
        no_boot = refused("403 Forbidden", "this MAC address has no boot under way")
        assert Wire() >> post(HEARTBEAT, "a=1\n\n") << no_boot

    def test_of_a_stranger(self) -> None:
        """Not one byte of its body is read for it."""
        sent = request("POST", HEARTBEAT, f"Content-Length: {LONGEST_HEARTBEAT}", "Expect: 100-continue")
        assert Wire(neighbour=None) >> sent << "[reset]"

    def test_with_post_only(self) -> None:
        assert Wire() >> get(HEARTBEAT) << refused("405 Method Not Allowed", "only POST", "Allow: POST")


class TestMenuEntry:
    def test_not_locked(self) -> None:
        assert Wire() >> get(f"{BOOT}/menu/local.ipxe") << THE_SCRIPT.replace("with T0ken", "local").replace("23", "18")

    def test_locked(self) -> None:
        """iPXE asks without a password first, then asks the user."""
        challenge = 'WWW-Authenticate: Basic realm="netboot-appliance", charset="UTF-8"'
        asked = refused(
            "401 Unauthorized", "the menu entry is locked, and no password came with the request", challenge
        )
        wrong = refused("403 Forbidden", "the password for a locked menu entry was wrong")
        assert (
            Wire()
            >> get(RESCUE)
            << asked
            >> get(RESCUE, _basic("anybody:guessed"))
            << wrong
            >> get(RESCUE, _basic(f"anybody:{PASSWORD}"))
            << THE_SCRIPT.replace("with T0ken", "rescue").replace("23", "19")
        )

    def test_unknown(self) -> None:
        assert Wire() >> get(f"{BOOT}/menu/nothing.ipxe") << NO_FILE


class TestNonsense:
    """Nobody can tell whether its sender may have an answer."""

    @pytest.mark.parametrize(
        "nonsense",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET / HTTP/2.0\r\n\r\n",
            get(SCRIPT, "Content-Length: -1"),
            get(SCRIPT, "Bad Header: x"),
        ],
        ids=["TLS", "HTTP/2", "length", "field"],
    )
    def test_is_not_answered(self, nonsense: bytes) -> None:
        assert Wire() >> nonsense << "[reset]"

    def test_headers_that_are_too_long(self) -> None:
        begun = b"GET / HTTP/1.1\r\nX: "
        assert Wire() >> begun << "" >> b"a" * (LONGEST_HEAD - 1) << "" >> b"a" << "[reset]"

    def test_too_many_headers(self) -> None:
        assert Wire() >> get(SCRIPT, *(f"X{number}: a" for number in range(MOST_FIELDS))) << "[reset]"

    @pytest.mark.parametrize(
        "piece", [b"\r\n", b"\n", b"GET /", b"GET / HTTP/1.1\r\nA: ", b"GET / HTTP/1.1\r\n"], ids=repr
    )
    def test_without_end_before_a_request(self, piece: bytes) -> None:
        """Of empty lines, of the path, of a field, of fields."""
        more = piece if piece.isspace() else b"A:b\r\n" if piece.endswith(b"\r\n") else b"a"
        assert without_end(Wire() >> piece << "", more) << "[reset]"

    @pytest.mark.parametrize(
        ("begun", "more"),
        [
            (b"1;", b"x"),
            (b"1;x=", b"y"),
            (b"", b"0"),
            (b"", b"1\r\n\r\r\n"),
            (b"0\r\n", b"A:b\r\n"),
            (b"0\r\n", b"a"),
            (b"0\r\nA:", b" "),
            (b"0\r\nA:", b"b"),
        ],
        ids=[
            *("extension", "its value", "zeros of a size", "tiny chunks"),
            *("trailers", "name of a trailer", "spaces", "trailer"),
        ],
    )
    def test_without_end_around_a_body(self, begun: bytes, more: bytes) -> None:
        """The client is admitted, so it is told."""
        too_long = refused("431 Request Header Fields Too Large", "the request is too long", connection="close")
        wire = Wire() >> request("POST", REPORT, "Transfer-Encoding: chunked", body=begun) << ""
        assert without_end(wire, more) << too_long + "[nothing more is sent]"

    def test_behind_a_request_does_not_cost_its_answer(self) -> None:
        assert Wire() >> get(SCRIPT) + b"\0" << THE_LAST_SCRIPT

    def test_in_a_body_costs_its_answer(self) -> None:
        assert Wire() >> request("POST", REPORT, "Transfer-Encoding: chunked", body=b"stage") << "[reset]"


class TestTimeIsUp:
    @pytest.mark.parametrize("said", [b"GET ", request("POST", REPORT, "Content-Length: 9")], ids=["headers", "body"])
    def test_in_the_middle_of_a_request(self, said: bytes) -> None:
        assert Wire() >> said << "" >> TimeIsUp() << "[closed]"

    def test_between_two_requests(self) -> None:
        assert Wire() >> get(SCRIPT) << THE_SCRIPT >> TimeIsUp() << "[closed]"

    def test_for_a_client_that_does_not_take_its_answer(self) -> None:
        """What it has must not look like the whole."""
        half = "HTTP/1.1 200 OK"
        assert Wire(room=len(half)) >> get(SCRIPT) << half >> TimeIsUp() << "[reset]"


def _basic(credentials: str) -> str:
    return f"Authorization: Basic {b64encode(credentials.encode()).decode()}"
