"""Reports of the live system."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported
from services.http.reports import LONGEST_DETAIL, LONGEST_REPORT, MOST_DETAILS, STAGES, decode

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
MALFORMED = Ignore(Reason.MALFORMED)


@pytest.mark.parametrize("stage", STAGES)
def test_stages(stage: str) -> None:
    assert decode(MAC, f"stage={stage}".encode()) == Reported(MAC, stage)


def test_details() -> None:
    body = b"stage=failed&uptime=12.5&reason=no+route%0Ato+host&empty="
    assert decode(MAC, body) == Reported(MAC, "failed", {"uptime": "12.5", "reason": "no route\\nto host", "empty": ""})


def test_details_are_made_printable_and_cut() -> None:
    report = decode(MAC, urlencode({"stage": "failed", "reason": "\x1b[2J\0", "log": "x" * 2000}).encode())
    assert isinstance(report, Reported)
    assert report.details["reason"] == "\\x1b[2J\\x00"
    assert len(report.details["log"]) == LONGEST_DETAIL


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"uptime=3",
        b"stage=",
        b"stage=booted",
        b"stage=Reported",
        b"stage",
        b"stage=reported&%",
        b"stage=reported&=x",
        b"stage=reported&a+b=x",
        b"stage=reported&" + b"n" * 99 + b"=x",
        b"\xff\xfe",
        b"stage=reported&" + b"&".join(b"n%d=x" % i for i in range(MOST_DETAILS + 1)),
        b"stage=reported&log=" + b"x" * LONGEST_REPORT,
    ],
)
def test_malformed(body: bytes) -> None:
    assert decode(MAC, body) == MALFORMED


@given(st.binary(max_size=300))
def test_takes_anything(body: bytes) -> None:
    assert isinstance(decode(MAC, body), Reported | Ignore)
    assert isinstance(decode(MAC, b"stage=reported&" + body), Reported | Ignore)
