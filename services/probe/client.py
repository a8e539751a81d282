"""A PXE client on one interface of this host: asks as firmware does, and takes down what it hears.

It takes no lease: it sends no REQUEST to a DHCP server. So everything behind DHCP goes out from this host's own address
and by its own MAC address; where that is not the PC's, a server that checks its neighbours refuses, and rightly.
The decisions are firmware.py's. Blocks; meant for a command line. Needs CAP_NET_RAW.
To the box a probe is a power-on of that PC.
"""

import hashlib
import http.client
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from services.decision import Ignore
from services.dhcp.message import BOOT_SERVER_PORT, CLIENT_PORT, SERVER_PORT, MessageType
from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from services.probe import codec, ipxe_script, packet_socket, tftp_download
from services.probe.firmware import NOT_IPXE, Agent, Choice, choose, requests
from services.probe.message import (
    NOWHERE,
    Broken,
    Content,
    DhcpPacket,
    Fetched,
    HttpRequest,
    HttpResponse,
    Note,
    Packet,
    Refused,
    Reset,
    TftpError,
    TftpOptions,
    TftpRequest,
    Unreachable,
)
from services.probe.raw_socket import open_mouth

OFFERS_SECONDS = 4.0
"""How long offers are collected, as EDK2 does; a DHCP server that pings an address first takes 3 s."""

ANSWER_SECONDS = 2.0
TRIES = 2
HTTP_SECONDS = 20.0
LARGEST_SCRIPT = 1 << 20
LARGEST_FILE = 4 << 30
BLOCK = 1468

_TFTP = 69
_IP_RECVERR = 11  # linux/in.h
_CHUNK = 1 << 16

Expected = Callable[[str], str]
"""The sha256 in hex that a boot file or URL should have, or "" when nobody knows here."""

Answer = Callable[[bool, int], str]
"""What port 4011 of this host answers: the boot file, or "", of iPXE or not, and of an architecture."""


class Probe:
    """One run for the PC `mac`; `packets` grows as it goes. Raises PermissionError without CAP_NET_RAW."""

    def __init__(
        self, interface: Interface, mac: MacAddress, agent: Agent, expected: Expected, answer: Answer | None = None
    ) -> None:
        self.packets: list[Packet] = []
        self._interface = interface
        self._address = interface.address.ip
        self._mac = mac
        self._agent = agent
        self._uefi = agent in (Agent.UEFI, Agent.UEFI_HTTP)
        self._expected = expected
        self._answer = answer or (lambda *_: "")
        self._own = interface.mac == mac
        self._began = time.monotonic()

    def run(self) -> list[Packet]:
        """Play the firmware, and when it got its loader (or may not have it) iPXE after it; return all packets."""
        if not self._own:
            self._note(
                f"this host's MAC address is {self._interface.mac}: the DISCOVER names {self._mac} in its body only, "
                "which a switch with DHCP snooping may drop"
            )
        if self._agent is Agent.IPXE or self._firmware():
            self._ipxe()
        return self.packets

    def _firmware(self) -> bool:
        """Whether the firmware comes to an end that iPXE can follow."""
        server, file = self._boot(self._agent)
        if not file:
            return False
        if file.endswith(NOT_IPXE):
            self._note(f"what {file.rpartition('/')[2]} asks for next is not played here")
            self._fetch(server, file)
            return False
        return self._fetch(server, file)

    def _fetch(self, server: IPv4Address, file: str) -> bool:
        """Load the boot loader as firmware does, by HTTP or TFTP; whether to go on."""
        if file.startswith("http://"):
            fetched = self._get(file, "HEAD") is not None and self._get(file) is not None
            return fetched or isinstance(self.packets[-1].content, Refused)
        return self._load(server, file)

    def _ipxe(self) -> None:
        server, file = self._boot(Agent.IPXE)
        file = ipxe_script.expand(file, self._mac)
        if not file.startswith("http://"):
            if file:
                self._load(server, file)
            return
        text = (self._get(file) or b"").decode("utf-8", "replace")
        if default := ipxe_script.default(text, file):
            self._note("it shows a menu; what that starts when nobody chooses:")
            file, text = default, (self._get(default) or b"").decode("utf-8", "replace")
        for url in ipxe_script.files(text, file):
            if self._get(url) is None:
                return

    def _boot(self, agent: Agent) -> tuple[IPv4Address, str]:
        """The DHCP of an agent: the boot server and the boot file, empty when there is nothing to load."""
        options = requests(agent, self._mac, uefi=self._uefi)
        choice = choose(agent, self._discover(agent, options))
        if choice.boot is None or choice.problem or choice.lease is None:
            return NOWHERE, ""
        self._note("no REQUEST to the DHCP server follows: this probe takes no lease")
        if choice.ask is None:
            return choice.server, choice.file
        return self._ask(agent, choice, options)

    def _discover(self, agent: Agent, options: tuple[tuple[int, bytes], ...]) -> list[DhcpPacket]:
        xid = int.from_bytes(os.urandom(4), "big")
        offers: list[DhcpPacket] = []
        with packet_socket.listen(self._interface.name) as heard, open_mouth(self._interface.name) as mouth:
            for attempt in range(TRIES):
                secs = round(attempt * OFFERS_SECONDS)
                payload = codec.encode_dhcp(MessageType.DISCOVER, self._mac, options, xid=xid, secs=secs)
                sent = codec.decode_dhcp(payload)
                assert isinstance(sent, DhcpPacket)
                mouth.sendto(codec.encode_broadcast(payload, self._address), ("255.255.255.255", 0))
                self._add(True, IPv4Address("255.255.255.255"), SERVER_PORT, CLIENT_PORT, sent)
                self._collect(heard, xid, offers)
                choice = choose(agent, offers)
                if choice.lease is not None and choice.boot is not None:
                    break
        return offers

    def _collect(self, heard: socket.socket, xid: int, offers: list[DhcpPacket]) -> None:
        until = time.monotonic() + OFFERS_SECONDS
        while (left := until - time.monotonic()) > 0:
            heard.settimeout(left)
            try:
                data = heard.recv(4096)
            except TimeoutError:
                return
            if len(data) < 28 or data[0] >> 4 != 4 or data[9] != socket.IPPROTO_UDP:
                continue
            udp = data[(data[0] & 15) * 4 :]
            if len(udp) < 8 or struct.unpack_from("!HH", udp) != (SERVER_PORT, CLIENT_PORT):
                continue
            message = codec.decode_dhcp(udp[8:])
            if isinstance(message, Ignore) or (message.reply, message.xid, message.mac) != (True, xid, self._mac):
                continue
            if message.kind == MessageType.OFFER:
                offers.append(message)
                self._add(False, IPv4Address(data[12:16]), SERVER_PORT, CLIENT_PORT, message)

    def _ask(self, agent: Agent, choice: Choice, options: tuple[tuple[int, bytes], ...]) -> tuple[IPv4Address, str]:
        """Ask port 4011 of the boot server for the boot file."""
        server = choice.ask or NOWHERE
        if _is_ours(server):
            # The kernel takes a packet to one of its own addresses over `lo`; the server hears its interface only.
            self._note(f"port 4011 of {server} is this host's own: what it answers can only be seen from another host")
            if choice.boot and choice.boot.boot_file:
                return choice.boot.boot_server, choice.boot.boot_file
            return server, self._answer(agent is Agent.IPXE, 7 if self._uefi else 0)
        # The address that the DHCP server offered, as firmware has it by now; it is not this host's, and so no claim.
        address = choice.lease.yiaddr if choice.lease else self._address
        xid = int.from_bytes(os.urandom(4), "big")
        payload = codec.encode_dhcp(MessageType.REQUEST, self._mac, options, xid=xid, ciaddr=address)
        sent = codec.decode_dhcp(payload)
        assert isinstance(sent, DhcpPacket)
        with closing(self._udp(CLIENT_PORT if agent is Agent.IPXE else BOOT_SERVER_PORT)) as udp:
            udp.connect((str(server), BOOT_SERVER_PORT))
            port = int(udp.getsockname()[1])
            for _ in range(TRIES):
                self._add(True, server, BOOT_SERVER_PORT, port, sent)
                try:
                    udp.send(payload)
                    answer = codec.decode_dhcp(udp.recv(4096))
                except TimeoutError:
                    continue
                except ConnectionRefusedError:
                    self._add(False, server, BOOT_SERVER_PORT, port, Unreachable())
                    break
                if isinstance(answer, DhcpPacket) and answer.reply and answer.xid == xid:
                    self._add(False, server, BOOT_SERVER_PORT, port, answer)
                    return answer.boot_server, answer.boot_file
        return NOWHERE, ""

    def _load(self, server: IPv4Address, name: str) -> bool:
        """Load a file by TFTP, after a probe of its size as most firmware does; whether to go on."""
        if not self._size(server, name):
            return self._refused(server, _TFTP, name, "no answer; a firewall that drops UDP 69 looks the same")
        self._add(True, server, _TFTP, 0, TftpRequest(name, {"blksize": str(BLOCK)}))
        digest = hashlib.sha256()
        try:
            size = tftp_download.download(server, self._address, name, BLOCK, digest.update)
        except tftp_download.LoadError as error:
            self._add(False, server, _TFTP, 0, Broken(name, str(error)))
            return False
        expected = self._expected(name)
        self._add(False, server, _TFTP, 0, Fetched(name, size, digest.hexdigest(), expected))
        return not expected or expected == digest.hexdigest()

    def _size(self, server: IPv4Address, name: str) -> bool:
        """Ask for the size of a file, and break off; whether the server answered at all."""
        with closing(self._udp(0)) as udp:
            udp.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            port = int(udp.getsockname()[1])
            options = {"tsize": 0, "blksize": BLOCK}
            for _ in range(TRIES):
                wanted = {key: str(value) for key, value in options.items()}
                self._add(True, server, _TFTP, port, TftpRequest(name, wanted))
                try:
                    udp.sendto(codec.size_request(name, options), (str(server), _TFTP))
                    data, source = udp.recvfrom(4096)
                except TimeoutError:
                    continue
                except ConnectionRefusedError:
                    self._add(False, server, _TFTP, port, Unreachable())
                    return False
                content = codec.decode_tftp(data)
                if isinstance(content, Ignore) or source[0] != str(server):
                    continue
                self._add(False, server, int(source[1]), port, content)
                if not isinstance(content, TftpError):
                    error = TftpError(8, "only the size was wanted")
                    udp.sendto(struct.pack("!HH", 5, error.code) + error.message.encode() + b"\0", source)
                    if isinstance(content, TftpOptions):
                        self._add(True, server, int(source[1]), port, error)
                return not isinstance(content, TftpError)
        return False

    def _get(self, url: str, method: str = "GET") -> bytes | None:
        """Fetch a URL: the start of its content (enough for a script), or None when that failed."""
        parts = urlsplit(url)
        try:
            server, port = IPv4Address(parts.hostname or ""), parts.port or 80
        except ValueError:
            self._note(f"{url}: a host name, or no http; firmware would need DNS for it, and this probe does not ask")
            return None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(
            str(server), port, timeout=HTTP_SECONDS, source_address=(str(self._address), 0)
        )
        with closing(connection):
            self._add(True, server, port, 0, HttpRequest(method, target))
            try:
                connection.request(
                    method, target, headers={"User-Agent": "iPXE/1.0.0 (netboot-appliance doctor probe)"}
                )
                response = connection.getresponse()
            except (ConnectionResetError, http.client.RemoteDisconnected):
                self._unfetched(server, port, target, "reset the connection without a word")
                return None
            except ConnectionRefusedError:
                self._add(False, server, port, 0, Broken(target, f"nobody listens on TCP port {port} of {server}"))
                return None
            except (OSError, http.client.HTTPException) as error:
                self._add(False, server, port, 0, Broken(target, f"{server}: {error or type(error).__name__}"))
                return None
            self._add(False, server, port, 0, HttpResponse(response.status, response.length))
            if response.status != 200:
                return None
            return b"" if method == "HEAD" else self._body(response, server, port, target)

    def _body(self, response: http.client.HTTPResponse, server: IPv4Address, port: int, target: str) -> bytes | None:
        digest, size, start = hashlib.sha256(), 0, b""
        try:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                start += chunk[: LARGEST_SCRIPT - len(start)] if len(start) < LARGEST_SCRIPT else b""
                if size > LARGEST_FILE:
                    raise OSError(f"more than {LARGEST_FILE:,} bytes")
        except (OSError, http.client.HTTPException) as error:
            self._add(False, server, port, 0, Broken(target, f"broke off after {size:,} bytes: {error!r}"))
            return None
        expected = self._expected(target)
        self._add(False, server, port, 0, Fetched(target, size, digest.hexdigest(), expected))
        return start

    def _refused(self, server: IPv4Address, port: int, name: str, how: str) -> bool:
        """No answer to a file's request: right, when this host is not the PC. Whether to go on as if it had come."""
        heard = self.packets[-1].content
        if self._own or isinstance(heard, TftpError | Unreachable):
            return False
        self._add(False, server, port, 0, Refused(name, self._refusal(how)))
        return True

    def _unfetched(self, server: IPv4Address, port: int, target: str, how: str) -> None:
        refused = Refused(target, self._refusal(f"{server} {how}"))
        self._add(False, server, port, 0, Reset() if self._own else refused)

    def _refusal(self, how: str) -> str:
        return f"refused, as it must be: this host's MAC is {self._interface.mac}, not {self._mac} ({how})"

    def _udp(self, port: int) -> socket.socket:
        """A socket on this host's address, on the port that firmware uses or, where that is taken, another one."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.settimeout(ANSWER_SECONDS)
        try:
            udp.bind((str(self._address), port))
        except OSError:
            udp.bind((str(self._address), 0))
        return udp

    def _note(self, words: str) -> None:
        self._add(True, self._address, 0, 0, Note(words))

    def _add(self, outgoing: bool, server: IPv4Address, port: int, client_port: int, content: Content) -> None:
        at = time.monotonic() - self._began
        self.packets.append(Packet(at, outgoing, server, port, client_port, content))


def _is_ours(address: IPv4Address) -> bool:
    """Whether an address is one of this host's own."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        try:
            udp.bind((str(address), 0))
        except OSError:
            return False
    return True
