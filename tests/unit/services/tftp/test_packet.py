"""The codec: equal to tftpy's, but it ignores what crashes tftpy's server."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketACK, TftpPacketDAT

from services.decision import Ignore, Reason
from services.tftp.packet import (
    LONGEST_REQUEST,
    Ack,
    Error,
    ErrorCode,
    ReadRequest,
    WriteRequest,
    decode,
    encode_ack,
    encode_error,
    encode_options,
    lay_out_headers,
)
from tests.fakes.tftp_peer import rrq

MALFORMED = Ignore(Reason.MALFORMED)


@pytest.mark.parametrize(
    ("datagram", "value"),
    [
        (rrq("a/b.efi"), ReadRequest("a/b.efi", "octet")),
        (rrq("x", "OcTeT"), ReadRequest("x", "octet")),
        (
            rrq("x", TSIZE=0, BlkSize=1468, multicast="1"),
            ReadRequest("x", "octet", {"tsize": "0", "blksize": "1468", "multicast": "1"}),
        ),
        (b"\0\2evil\0octet\0", WriteRequest("evil")),
        (b"\0\4\xff\xfe", Ack(65534)),
        (b"\0\4\0\7padding", Ack(7)),
        (b"\0\5\0\x08User aborted the transfer\0", Error(8, "User aborted the transfer")),
        (b"\0\5\0\0", Error(0, "")),
        (b"\0\5\0\0\x1b[31m\xff\0", Error(0, "?[31m?")),
    ],
)
def test_decodes(datagram: bytes, value: object) -> None:
    assert decode(datagram) == value


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0",
        b"\0\1",
        b"\0\4\0",
        b"\0\1name without end",
        b"\0\1name\0mode without end",
        b"\0\3\0\1data",
        b"\0\6blksize\x001468\0",
        b"\0\7\0\0",
        b"\1\0\0\1",
        rrq("a" * LONGEST_REQUEST),
    ],
)
def test_ignores_what_is_not_a_request(datagram: bytes) -> None:
    assert decode(datagram) == MALFORMED


def test_a_non_ascii_name_is_decoded() -> None:
    """In tftpy it raises UnicodeDecodeError, which ends its server; shim sends such names (shim#696)."""
    with pytest.raises(UnicodeDecodeError):
        TftpPacketFactory().parse(rrq(b"caf\xc3\xa9"))
    assert decode(rrq(b"caf\xc3\xa9")) == ReadRequest("caf??", "octet")


@pytest.mark.parametrize("tail", [b"\0", b"blksize\0", b"blksize", b"\0\0\0", b"blksize\0\0", b"\xff\xff"])
def test_garbled_options_are_dropped_from_the_request(tail: bytes) -> None:
    assert decode(rrq("x") + tail) == ReadRequest("x", "octet")


@given(st.binary(max_size=600))
@example(b"\0\1" + b"\0" * 510)
@example(b"\0\5" + b"\0" * 3)
def test_decode_takes_anything(datagram: bytes) -> None:
    assert isinstance(decode(datagram), ReadRequest | WriteRequest | Ack | Error | Ignore)


@given(st.sampled_from([1, 2, 3, 4, 5, 6]), st.binary(max_size=200))
def test_decode_takes_anything_after_an_opcode(opcode: int, rest: bytes) -> None:
    assert isinstance(decode(opcode.to_bytes(2, "big") + rest), ReadRequest | WriteRequest | Ack | Error | Ignore)


@given(first=st.integers(0, 200_000), payload=st.integers(0, 40), count=st.integers(1, 20), short=st.integers(0, 40))
def test_laid_out_packets_equal_tftpys(first: int, payload: int, count: int, short: int) -> None:
    content = bytes(range(1, 41))
    last = min(short, payload)
    buffer = bytearray((count - 1) * (payload + 4) + 4 + last)
    lay_out_headers(buffer, payload, first, count)
    packet = TftpPacketDAT()
    expected = bytearray()
    for number in range(count):
        size = last if number == count - 1 else payload
        start = number * (payload + 4) + 4
        buffer[start : start + size] = content[:size]
        packet.blocknumber, packet.data = (first + number) % 65536, content[:size]
        expected += packet.encode().buffer
    assert buffer == expected


@given(st.integers(0, 200_000))
def test_an_encoded_ack_is_decoded(block: int) -> None:
    assert decode(encode_ack(block)) == Ack(block % 65536)


@given(st.integers(0, 65535), st.binary(max_size=8))
def test_acks_equal_tftpys(block: int, padding: bytes) -> None:
    packet = TftpPacketACK()
    packet.blocknumber = block
    datagram = packet.encode().buffer + padding
    assert decode(datagram) == Ack(block) == Ack(TftpPacketFactory().parse(datagram).blocknumber)


def test_encodes_options_in_order() -> None:
    assert encode_options({"blksize": "1468", "tsize": "9"}) == b"\0\6blksize\x001468\0tsize\x009\0"


def test_encodes_errors() -> None:
    assert encode_error(ErrorCode.NOT_FOUND, "file not found") == b"\0\5\0\1file not found\0"
    assert encode_error(ErrorCode.UNDEFINED, "caf\u00e9") == b"\0\5\0\0caf?\0"


def test_an_error_packet_prints_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    decode(b"\0\5\0\x08aborted\0")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
