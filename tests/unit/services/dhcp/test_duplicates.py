"""Which datagram is a copy of a recent one, and how much is remembered."""

import pytest

from services.dhcp.duplicates import MOST, MOST_STRANGERS, WITHIN, Duplicates
from tests.fakes.dhcp_client import DISCOVER, firmware, message

MAC = bytes.fromhex("525400aabb01")
PEER = ("0.0.0.0", 68)


def discover(mac: bytes = MAC, architecture: int = 0, *, xid: int = 1, secs: int = 0, flags: int = 0) -> bytes:
    return message(DISCOVER, mac, firmware(architecture), xid=xid, secs=secs, flags=flags)


@pytest.mark.parametrize(
    ("datagram", "peer", "at", "copies"),
    [
        (discover(), PEER, 0.0, True),
        (discover(xid=2), PEER, WITHIN * 0.9, True),
        (discover(secs=4), PEER, 0.0, False),
        (discover(), PEER, WITHIN, False),
        (discover(flags=0x8000), PEER, 0.0, False),
        (discover(architecture=7), PEER, 0.0, False),
        (discover(), ("10.0.0.1", 67), 0.0, False),
        (discover()[:3] + b"\x01" + discover()[4:], PEER, 0.0, False),
        (discover()[:-1], PEER, 0.0, False),
    ],
    ids=["same", "xid", "secs", "late", "flags", "architecture", "another relay", "hops", "cut"],
)
def test_only_the_xid_of_a_copy_may_differ(datagram: bytes, peer: tuple[str, int], at: float, copies: bool) -> None:
    duplicates = Duplicates()
    duplicates.remember_silence(discover(), PEER, 100.0)
    assert duplicates.requests[MAC].is_copied_by(datagram, peer, 100.0 + at) is copies


def test_the_answer_is_kept_without_its_xid() -> None:
    duplicates = Duplicates()
    duplicates.remember_answer(discover(), PEER, 100.0, b"\2\1\6\0XIDXrest", ("255.255.255.255", 68))
    assert duplicates.requests[MAC].answer == (b"\2\1\6\0", b"rest", ("255.255.255.255", 68))


def test_memory_is_bounded() -> None:
    duplicates = Duplicates()
    for number in range(3 * MOST):
        duplicates.remember_silence(discover(number.to_bytes(6, "big")), PEER, 100.0)
        assert len(duplicates.requests) <= MOST


def test_reports_of_strangers_are_limited() -> None:
    duplicates = Duplicates()
    reported = [duplicates.may_report_stranger(100.0) for _ in range(MOST_STRANGERS + 2)]
    assert reported == [True] * MOST_STRANGERS + [False] * 2
    assert duplicates.may_report_stranger(100.0 + WITHIN)
