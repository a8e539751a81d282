"""A scripted diskless PC: its firmware, iPXE and live system, on sockets in a namespace of its own.

Takes its lease from the site's DHCP server as any PC does. Shares no code with the services it talks to.
"""

import re
import socket
import struct
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.fakes.tftp_peer import Reader, UdpPeer, rrq
from tests.netns.inside import TIMEOUT, Client, inside
from tests.room.namespaces import Namespace, Network
from tests.room.room import BOX, SITE

LOADERS = Path("/usr/lib/ipxe")
BROADCAST = 0x8000
IPXE = [(77, b"iPXE"), (175, bytes.fromhex("b1050110ec8139 1301010101 2201010101".replace(" ", "")))]

_EVERY_PROTOCOL = 3  # ETH_P_ALL, linux/if_ether.h
_OUTGOING = 4  # PACKET_OUTGOING, linux/if_packet.h
_FROM_END_TO_END = 1 << 22


@dataclass(frozen=True)
class Frame:
    """A UDP datagram or TCP segment with content that arrived."""

    source: str
    source_port: int
    port: int
    payload: bytes


class FrameListener:
    """Captures every datagram and segment with content that reaches a PC, whether or not a program listens."""

    def __init__(self, host: Namespace, interface: str = "lan0") -> None:
        with inside(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _FROM_END_TO_END)
            self._socket.bind((interface, 0))
        self._socket.settimeout(TIMEOUT)

    def close(self) -> None:
        self._socket.close()

    def next(self) -> Frame:
        """The next one that arrives; TimeoutError when none does."""
        while True:
            data, (_, _, kind, *_) = self._socket.recvfrom(65536)
            if kind != _OUTGOING and (frame := _read(data)):
                return frame

    def heard(self) -> list[Frame]:
        """All that have arrived since the last call."""
        frames = []
        self._socket.setblocking(False)
        try:
            while True:
                frames.append(self.next())
        except BlockingIOError:
            return frames
        finally:
            self._socket.settimeout(TIMEOUT)


def _read(data: bytes) -> Frame | None:
    packet = data[14:]
    if data[12:14] != b"\x08\x00" or packet[9] not in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
        return None
    length, source = struct.unpack_from("!H", packet, 2)[0], str(IPv4Address(packet[12:16]))
    inner = packet[(packet[0] & 15) * 4 : length]
    source_port, port = struct.unpack_from("!HH", inner)
    header = 8 if packet[9] == socket.IPPROTO_UDP else (inner[12] >> 4) * 4
    # Handshakes, and the empty datagrams by which the box makes its kernel ask for a MAC address, have no content.
    return Frame(source, source_port, port, inner[header:]) if inner[header:] else None


@dataclass(frozen=True)
class BootScript:
    """A boot script as iPXE reads it: absolute URLs, and the words of the kernel's command line."""

    text: str
    kernel: str
    initrds: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, url: str) -> "BootScript":
        """Read a script that came from `url`."""
        assert text.startswith("#!ipxe\n")
        kernel = re.search(r"^kernel (\S+) (.*) \|\| goto retry$", text, re.MULTILINE)
        initrds = re.findall(r"^initrd --name (\S+) (\S+/\1) \|\| goto retry$", text, re.MULTILINE)
        assert kernel
        assert initrds
        assert kernel[2].startswith("".join(f"initrd={name} " for name, _ in initrds))
        found = tuple(urljoin(url, initrd) for _, initrd in initrds)
        return cls(text, urljoin(url, kernel[1]), found, tuple(kernel[2].split()))

    @property
    def initrd(self) -> str:
        """The ramdisk with the live system's first programs, behind microcode if there is some."""
        return self.initrds[-1]

    def argument(self, name: str) -> str:
        """The value of `name=VALUE`, which must occur once."""
        (value,) = (word.partition("=")[2] for word in self.words if word.partition("=")[0] == name)
        return value

    @property
    def token(self) -> str:
        """What opens the secrets of this boot."""
        return self.argument("netboot_appliance.token")


class ScriptedPc:
    """One PC on a network, switched on until the context ends. `address` is its lease."""

    def __init__(
        self, network: Network, mac: MacAddress, name: str, box: IPv4Address = BOX, site: IPv4Address = SITE
    ) -> None:
        self.mac = mac
        self.host = network.host(name, "", mac)
        self.box, self.site = str(box), str(site)
        self.address = ""
        self.frames = FrameListener(self.host)
        self._xid = mac.value & 0xFFFFFF

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.switch_off()

    def switch_off(self) -> None:
        """Disappear from the wire."""
        self.host.ip("link", "set", "lan0", "down")
        self.frames.close()

    def nic(self, port: int = 68) -> Client:
        """A socket like firmware's, usable before there is an address."""
        return Client(self.host, bytes(self.mac), port)

    def heard_from_box(self) -> list[Frame]:
        """All content that the box sent to this PC, and its DHCP answers for it, since last asked."""
        return [
            frame
            for frame in self.frames.heard()
            if frame.source == self.box and (frame.port != 68 or frame.payload[28:34] == bytes(self.mac))
        ]

    def use(self, address: str) -> None:
        """Use this address, and no other."""
        self.host.ip("-4", "address", "flush", "dev", "lan0")
        self.address = address
        if address:
            self.host.ip("address", "add", f"{address}/24", "dev", "lan0")

    def author(self, answer: Answer, sender: str) -> str:
        """Who made an answer that came from `sender`; they differ behind a relay."""
        return sender

    async def discover(
        self, nic: Client, options: Sequence[tuple[int, bytes]], *, secs: int = 0, alone: bool = False
    ) -> dict[str, Answer]:
        """Broadcast a DISCOVER; returns the offers by author: the site's and the box's, or with `alone` the site's."""
        nic.say(message(DISCOVER, nic.mac, options, xid=self._xid, secs=secs, flags=BROADCAST))
        offers: dict[str, Answer] = {}
        while {self.site, *([] if alone else [self.box])} - offers.keys():
            answer, sender, port = await nic.hear()
            assert (answer.kind, port, answer.xid) == ("OFFER", 67, self._xid)
            offers[self.author(answer, sender)] = answer
        return offers

    async def power_on(
        self, options: Sequence[tuple[int, bytes]], *, alone: bool = False, tries: Sequence[int] = (0,)
    ) -> dict[str, Answer]:
        """DHCP of firmware or iPXE: DISCOVER (at each of the seconds `tries`), then the site's lease."""
        self._xid += 1
        self.use("")
        with self.nic() as nic:
            for secs in tries:
                offers = await self.discover(nic, options, secs=secs, alone=alone)
            theirs = offers[self.site]
            assert theirs.yiaddr != "0.0.0.0"
            assert theirs.file == ""
            wanted = [(54, theirs.options[54]), (50, IPv4Address(theirs.yiaddr).packed)]
            nic.say(message(REQUEST, nic.mac, [*options, *wanted], xid=self._xid, flags=BROADCAST))
            leased, sender, _ = await nic.hear()
            while leased.kind == "OFFER":  # of a repeated DISCOVER
                leased, sender, _ = await nic.hear()
        assert (leased.kind, leased.yiaddr) == ("ACK", theirs.yiaddr)
        assert self.author(leased, sender) == self.site
        self.use(leased.yiaddr)
        return offers

    async def ask_boot_server(self, options: Sequence[tuple[int, bytes]], port: int) -> Answer:
        """Ask UDP 4011 of the box from `port`; its answer, which comes from 4011."""
        with self.nic(port) as nic:
            nic.say(message(REQUEST, nic.mac, options, xid=self._xid, ciaddr=self.address), self.box, 4011)
            answer, sender, sender_port = await nic.hear()
        assert (answer.kind, sender, sender_port) == ("ACK", self.box, 4011)
        return answer

    def tftp(self) -> UdpPeer:
        """A TFTP client on a port of its own."""
        with inside(self.host):
            peer = UdpPeer(69, source="0.0.0.0")
        peer.server = (self.box, 69)
        return peer

    async def load(self, name: str, blksize: int = 512, windowsize: int = 1, **options: int) -> bytes:
        """Read a whole file by TFTP."""
        options |= {"blksize": blksize} | ({"windowsize": windowsize} if windowsize > 1 else {})
        with self.tftp() as peer:
            return await peer.fetch(rrq(name, "octet", **options), Reader(blksize, windowsize))

    def connect(self) -> socket.socket:
        """A connection to the box's HTTP port."""
        with inside(self.host):
            return socket.create_connection((self.box, 80), timeout=TIMEOUT)

    def http(self, target: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
        """GET a path or URL, or POST a form to it; ConnectionError when the box resets the connection."""
        with closing(self._http()) as connection:
            if form is None:
                connection.request("GET", urlsplit(target).path)
            else:
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                connection.request("POST", urlsplit(target).path, urlencode(form), kind)
            response = connection.getresponse()
            return response.status, response.read()

    def get(self, target: str) -> bytes:
        """GET a file that must exist."""
        status, content = self.http(target)
        assert status == 200, content
        return content

    def load_image(self, script: BootScript) -> tuple[bytes, ...]:
        """Kernel and ramdisks, one after the other over one connection, as iPXE loads them."""
        contents = []
        with closing(self._http()) as connection:
            for url in (script.kernel, *script.initrds):
                connection.request("GET", urlsplit(url).path, headers={"User-Agent": "iPXE/1.0.0"})
                response = connection.getresponse()
                assert response.status == 200
                contents.append(response.read())
        return tuple(contents)

    def _http(self) -> HTTPConnection:
        connection = HTTPConnection(self.box)
        connection.sock = self.connect()
        return connection

    def say_http(self, request: bytes) -> tuple[bytes, str]:
        """Send bytes to the HTTP port: all that came back, and how it ended, `reset` or `closed`."""
        received = b""
        with self.connect() as connection:
            try:
                connection.sendall(request)
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionError:
                return received, "reset"
        return received, "closed"

    def path(self, rest: str) -> str:
        """A path below this PC's own."""
        return f"/boot/{self.mac.bare}/{rest}"

    def secrets(self, token: str) -> tuple[int, bytes]:
        """Ask for the BOINC files with `token`."""
        return self.http(self.path(f"{token}/boinc.tar"))

    def report(self, token: str, stage: str, **details: str) -> int:
        """Report a stage as the live system does; the status of the answer."""
        return self.http(self.path(f"{token}/report"), {"stage": stage, **details})[0]

    def heartbeat(self, token: str, body: bytes) -> int:
        """Send a heartbeat; the status of the reply."""
        with closing(self._http()) as connection:
            connection.request("POST", self.path(f"{token}/heartbeat"), body)
            return connection.getresponse().status

    async def run_ipxe(self, architecture: int = 0) -> BootScript:
        """iPXE: its own DHCP, then the script it was offered."""
        offers = await self.power_on(firmware(architecture, *IPXE))
        url = offers[self.box].file
        assert url == f"http://{self.box}{self.path('boot.ipxe')}"
        return BootScript.parse(self.get(url).decode(), url)
