"""Datagrams and requests that crash other servers: no packet at all, almost a packet, or far too much of one.

A single name that is not ASCII ends tftpy's server, and a write request overwrites its files; odd options make scapy
raise. The rest are variations.
"""

from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import ack, rrq
from tests.netns.attacked_box import LOADER
from tests.room.room import BOX

MINE = "525400790001"
"""The MAC address that they claim; it may boot."""

VALUES = ("0", "-1", "7", "65536", "9" * 300, "0x10", "1e3", "\xb2", "\u0665", "", " 512", "512\n", "%n")
LEAVE = b"\0\5\0\0that is all\0"
FILE = f"{MINE}/{LOADER.name}"
TFTP = [
    *(
        rrq(f"{MINE}/".encode() + name)
        for name in (b"caf\xc3\xa9", b"\x80" * 300, b"", b".", b"a\x01b", b"%s%n", b"x" * 460)
    ),
    *(rrq(name) for name in ("", "/", "..", "../" * 100 + "etc/shadow", "\\" * 200, MINE, f"{MINE}/" * 30)),
    *(rrq(FILE, mode) for mode in ("", "mail", "octet" * 60, "\xff")),
    *(rrq(FILE, **{option: value}) for option in ("blksize", "windowsize", "timeout", "tsize") for value in VALUES),
    rrq(FILE, **{f"option{number}": "" for number in range(30)}),
    rrq(FILE) + b"blksize\0",
    rrq(FILE) + b"blksize\0512\0blksize\01468\0" * 9,
    rrq(FILE) + b"\0" * 400,
    rrq(FILE)[:-1],
    rrq(FILE) + b"\xff" * 8000,
    *(b"\0\2" + rrq(name)[2:] + b"tsize\x000\0" for name in (FILE, f"{MINE}/new", "/etc/passwd", "\xe9")),
    *(bytes([0, opcode]) for opcode in range(8)),
    *(bytes([high, opcode]) + bytes(4) for high in (0, 1, 255) for opcode in range(9)),
    b"",
    b"\0",
    b"\0\1\0\0",
    b"\0\1" + bytes(500),
    b"\0\5\0\0\xff\xfe without an end",
    b"\0\5\xff\xff" + b"x" * 2000,
    b"\0\3\0\1" + bytes(512),
    b"\0\6blksize\0512\0",
    ack(65535),
]

PXE = message(DISCOVER, bytes.fromhex(MINE), firmware(0))


def dhcp_options(*options: tuple[int, bytes]) -> bytes:
    """A request with these options in place of those with the same codes."""
    codes = [code for code, _ in options]
    kept = [each for each in firmware(0) if each[0] not in codes]
    return message(DISCOVER, bytes.fromhex(MINE), [*kept, *options])


def header(offset: int, data: bytes) -> bytes:
    """A request with these bytes in its header."""
    return PXE[:offset] + data + PXE[offset + len(data) :]


ODD_ADDRESSES = [bytes(data) for data in ((255,) * 4, (127, 0, 0, 1), (224, 0, 0, 1), (0, 0, 0, 1), (10, 77, 0, 255))]
DHCP = [
    *(PXE[:length] for length in (0, 1, 3, 28, 34, 235, 236, 239, 240, 241, 242, 243, 250, len(PXE) - 1)),
    *(header(0, bytes([op])) for op in (0, 2, 255)),
    *(header(1, bytes([htype])) for htype in (0, 6, 255)),
    *(header(2, bytes([hlen])) for hlen in (0, 5, 16, 17, 255)),
    header(3, b"\xff"),
    *(header(12, address) for address in ODD_ADDRESSES),
    *(header(24, address) for address in (*ODD_ADDRESSES, BOX.packed)),
    header(44, b"\xff" * 192),
    *(PXE[:240] + bytes([53, length]) for length in (0, 1, 255)),
    PXE[:240] + b"\x35\x00" + PXE[243:],
    *(header(242, bytes([kind])) for kind in (0, 2, 4, 5, 6, 7, 8, 9, 255)),
    *(PXE[:-1] + bytes([code, 250]) + b"short" for code in (43, 53, 60, 77, 82, 93, 97, 175)),
    *(
        dhcp_options((code, value))
        for code in (43, 50, 54, 57, 60, 61, 77, 82, 93, 94, 97, 175)
        for value in (b"", b"\0", b"\xff" * 255)
    ),
    *(dhcp_options((52, bytes([overload]))) for overload in (1, 2, 3, 255)),
    dhcp_options((60, b"PXEClient:Arch:\xff\xfe:UNDI"), (93, b"\xff\xff")),
    dhcp_options((60, b"PXEClient"), *[(93, b"\0\7" * 100)] * 5),
    dhcp_options((60, b"HTTPClient:Arch:99999"), (93, b"\0\x10")),
    dhcp_options((43, b"\x47\xff\x80\0\0")),
    PXE[:240] + bytes(1200) + PXE[240:],
    PXE[:240] + b"\xff" * 1800,
    PXE + b"\xff" * 8000,
    header(236, b"\0\0\0\0"),
]


def asked(path: str, *fields: str, verb: str = "GET", body: bytes = b"") -> bytes:
    """A request for something below the PC's own path."""
    lines = [f"{verb} /boot/{MINE}/{path} HTTP/1.1", "Host: box", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def reported(*fields: str, body: bytes) -> bytes:
    """A report of that PC's live system."""
    return asked("x/report", *fields, verb="POST", body=body)


RANGES = ("0-0," * 1000, "-0", "-" + "9" * 30, "9" * 30 + "-", "5-1", "a-b", "0-", "-", "", "0-0\xff")
HTTP = [
    *(asked(f"loader/{LOADER.name}", f"Range: bytes={each}") for each in RANGES),
    *(asked(path) for path in ("%", "%00", "%ff", "%2e%2e/%2e%2e/etc/shadow", "../" * 50, "//")),
    *(asked("a" * length) for length in (4000, 9000)),
    *(asked(f"image/{name}/vmlinuz") for name in ("..", "%2e%2e", ".", "", "x" * 300, "current")),
    *(reported(f"Content-Length: {length}", body=b"stage=%zz&%") for length in ("11", "9" * 30, "1e3", "")),
    reported("Transfer-Encoding: chunked", body=b"FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n"),
    reported("Transfer-Encoding: chunked", "Content-Encoding: gzip", body=b"4\r\n\x1f\x8b\x08\x00\r\n0\r\n\r\n"),
    asked("menu/boinc.ipxe", "Authorization: Basic \xff\xff=="),
    asked("menu/boinc.ipxe", "Authorization: Basic " + "QQ==" * 1000),
    asked("boot.ipxe", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA"),
    asked("boot.ipxe", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: \xff"),
    asked("boot.ipxe", "X: a\0b"),
    asked("boot.ipxe", "X: a", "\t folded", " again"),
    asked("boot.ipxe", *[f"X{number}: y" for number in range(300)]),
    asked("boot.ipxe", verb="\xe9"),
    asked("boot.ipxe").replace(b"\r\n", b"\n"),
    asked("boot.ipxe").replace(b"HTTP/1.1", b"HTTP/1." + b"1" * 100),
    asked("boot.ipxe") * 500,
    b"CONNECT 10.77.0.2:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://[::1]]:99999/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n" * 5000,
    b"\0" * 5000,
]
