"""The bytes of both sides of a boot; hostile bytes never raise."""

import random
from ipaddress import IPv4Address

import pytest

from services.decision import Ignore
from services.probe import codec
from services.probe.message import HttpRequest, HttpResponse, TftpAck, TftpBlock, TftpError, TftpOptions, TftpRequest
from tests.captures import all_captures, datagrams
from tests.fakes.dhcp_client import OFFER, message
from tests.unit.services.probe.wire import BOX, MAC, boot, decoded


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\1a/b\0octet\0tsize\0000\0BLKSIZE\x001468\0", TftpRequest("a/b", {"tsize": "0", "blksize": "1468"})),
        (b"\0\3\0\7" + b"x" * 12, TftpBlock(7, 12)),
        (b"\0\4\xff\xff", TftpAck(65535)),
        (b"\0\5\0\1no\0", TftpError(1, "no")),
        (b"\0\6tsize\0009\0blksize\0001468\0", TftpOptions({"tsize": "9", "blksize": "1468"})),
    ],
)
def test_tftp(data: bytes, expected: object) -> None:
    assert codec.decode_tftp(data) == expected


def test_http() -> None:
    assert codec.decode_http(b"HEAD /a?b HTTP/1.1\r\nHost: x\r\n") == HttpRequest("HEAD", "/a?b")
    assert codec.decode_http(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nx") == HttpResponse(200, 12)
    assert codec.decode_http(b"HTTP/1.0 404 Not Found\r\n\r\nContent-Length: 5\r\n") == HttpResponse(404, None)
    assert isinstance(codec.decode_http(b"GET"), Ignore)


def test_the_boot_file_is_found_in_option_67_and_in_an_overloaded_file_field() -> None:
    offer = boot(BOX, (67, b"x.efi\0"))
    assert (offer.boot_file, offer.boot_server) == ("x.efi", IPv4Address(BOX))
    data = bytearray(message(OFFER, bytes(MAC), [(52, b"\1")]))
    data[0] = 2
    data[108:114] = b"\x43\x03abc\xff"
    overloaded = decoded(bytes(data))
    assert (overloaded.file, overloaded.boot_file) == ("", "abc")


@pytest.mark.parametrize("name", all_captures())
def test_broken_datagrams_do_not_raise(name: str) -> None:
    chance = random.Random(name)
    for datagram in datagrams(name):
        for _ in range(20):
            data = bytearray(datagram.payload[: chance.randrange(len(datagram.payload) + 1)])
            for _ in range(3):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            for decode in (codec.decode_dhcp, codec.decode_tftp, codec.decode_http):
                decode(bytes(data))
