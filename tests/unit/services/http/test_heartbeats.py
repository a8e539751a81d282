"""The heartbeat of a live system: what is read of it, what is refused, and what the reply says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.http.heartbeats import (
    LONGEST_FACT,
    LONGEST_FACTS,
    LONGEST_HEARTBEAT,
    MOST_ENDED,
    MOST_FACTS,
    MOST_ORDERS,
    Heartbeat,
    HeartbeatReply,
    OrderEnd,
    OrderVerb,
    ToldWindow,
    WindowEnd,
    decode,
    encode,
)

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
MALFORMED = Ignore(Reason.MALFORMED)


def read(body: bytes) -> Heartbeat:
    found = decode(MAC, body)
    assert isinstance(found, Heartbeat)
    return found


def test_a_heartbeat() -> None:
    body = b"uptime=61\nload=3.9\nboinc=running\nmodel=OptiPlex 7010\n\n<boinc_gui_rpc_reply>\n\n</boinc_gui_rpc_reply>"
    assert decode(MAC, body) == Heartbeat(
        MAC,
        {"uptime": "61", "load": "3.9", "boinc": "running", "model": "OptiPlex 7010"},
        boinc=b"<boinc_gui_rpc_reply>\n\n</boinc_gui_rpc_reply>",
    )


def test_boinc_does_not_answer() -> None:
    assert decode(MAC, b"boinc=no answer\n\n") == Heartbeat(MAC, {"boinc": "no answer"})


def test_orders_that_ended() -> None:
    body = b"order=7 done\nuptime=1\norder=8 failed: no project, a=b\norder=9 failed: \norder=x done\norder=5\n\n"
    assert decode(MAC, body) == Heartbeat(
        MAC, {"uptime": "1"}, (OrderEnd(7), OrderEnd(8, "no project, a=b"), OrderEnd(9, "no reason given"))
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"uptime=1\n",
        b"uptime=1\r\n\r\n",
        b"<" * LONGEST_HEARTBEAT,
        b"\0" * LONGEST_HEARTBEAT,
        b"a=1\n\n" + b"x" * LONGEST_HEARTBEAT,
        b"a=" + b"x" * LONGEST_FACTS + b"\n\n",
    ],
    ids=["empty", "no empty line", "lines of Windows", "no head", "zeros", "too long", "a long head"],
)
def test_what_has_another_form_is_refused(body: bytes) -> None:
    assert decode(MAC, body) == MALFORMED


def test_as_long_as_it_may_be() -> None:
    body = b"a=1\n\n"
    assert read(body + bytes(LONGEST_HEARTBEAT - len(body))).boinc == bytes(LONGEST_HEARTBEAT - len(body))


def test_what_a_program_of_the_pc_writes_is_bounded_and_harmless() -> None:
    long, many = b"x" * (LONGEST_FACT + 9), b"".join(b"k%d=v\n" % number for number in range(MOST_FACTS + 9))
    assert len(read(b"a=" + long + b"\n\n").facts["a"]) == LONGEST_FACT
    assert len(read(many + b"\n").facts) == MOST_FACTS
    assert len(read(b"order=1 done\n" * (MOST_ENDED + 9) + b"\n").ended) == MOST_ENDED
    steering = b"model=\x1b[2J\xff\x00\xe2\x80\xae\nA=1\n=2\nno equals sign\n1a=3\n" + b"k" * 33 + b"=4\n\n"
    assert read(steering).facts == {"model": "\\x1b[2J\ufffd\\x00\\u202e"}
    assert read(b"order=3 failed: \x1b[2J\n\n").ended == (OrderEnd(3, "\\x1b[2J"),)


@given(st.binary(max_size=300) | st.text(alphabet="ao=\n <7d", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    found = decode(MAC, body)
    if isinstance(found, Heartbeat):
        assert all("\n" not in f"{key}{value}" for key, value in found.facts.items())
        assert body.endswith(found.boinc)
    else:
        assert found == MALFORMED


def test_a_reply() -> None:
    orders = ((7, OrderVerb.SUSPEND), (8, OrderVerb.FINISH_DISK))
    assert encode(HeartbeatReply(1790000000.6, 61, "0123456789abcdef", orders)) == (
        b"time=1790000001\nnext=61\nfiles=0123456789abcdef\norder=7 suspend\norder=8 finish-disk\n"
    )
    assert encode(HeartbeatReply(1790000000.0, 60, "")) == b"time=1790000000\nnext=60\n"
    window = ToldWindow(1790000000.0, 1790041400.0, 600, WindowEnd.DISK)
    assert encode(HeartbeatReply(1790000001.0, 60, "", orders[:1], window=window)) == (
        b"time=1790000001\nnext=60\nwindow=1790000000 1790041400 600 disk\norder=7 suspend\n"
    )
    assert encode(HeartbeatReply(1.0, 60, "", window=window, owned=True)) == (
        b"time=1\nnext=60\nwindow=1790000000 1790041400 600 disk\nowner=yes\n"
    )
    assert encode(HeartbeatReply(1.0, 60, "", label="Büro\norder=1 off")).decode() == (
        "time=1\nnext=60\nlabel=Büro\\norder=1 off\n"
    )


def test_a_reply_has_few_orders() -> None:
    orders = tuple((number, OrderVerb.UPDATE) for number in range(100))
    assert encode(HeartbeatReply(1.0, 60, "", orders)).count(b"order=") == MOST_ORDERS
