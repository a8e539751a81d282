"""A box that is attacked, and dozens of honest PCs behind a router: one host has all their addresses.

No other test uses this box. Its PCs retry as firmware does.
"""

import contextlib
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from image.release import INITRD, KERNEL, Release
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.fakes.tftp_peer import Reader, rrq
from tests.netns.inside import inside
from tests.netns.scripted_pc import BROADCAST, IPXE, LOADERS, BootScript
from tests.netns.served import Box, install_release
from tests.room.namespaces import Namespace, Network
from tests.room.processes import Process, wait_until
from tests.room.room import BOX, appliance_command, host_mac, write_configuration

GATEWAY = IPv4Address("10.77.0.50")
ATTACKER = IPv4Address("10.77.0.66")
HONEST = "10.79.0.0/16"
FORGED = "10.80.0.0/16"
"""Addresses that no machine has: packets to them are lost behind the gateway, and nothing comes back."""

TIMEOUT = 60.0
LOADER = LOADERS / "snponly.efi"

_TRIES = (1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0)  # seconds a PC waits for an answer before it asks again
PXE_ROM = (4.0, 8.0, 16.0, 32.0)
"""The same of the firmware of a network card (PXE 2.1, section 2.2.3)."""

_REPEAT_SECONDS = 0.5  # seconds after which a loader repeats its ACK
_Found = TypeVar("_Found")


class AttackedBox(Box):
    """The box, with a gateway to two networks of PCs, and an attacker on the box's own network."""

    def __init__(self, network: Network, directory: Path, environment: Sequence[str] = ()) -> None:
        """`environment`: more variables for the server, as NAME=VALUE."""
        host = network.host("box", f"{BOX}/24", host_mac(BOX))
        super().__init__(host, write_configuration(directory), directory / "data", directory / "serve.log")
        self.network = network
        self.environment = environment
        self.gateway = network.host("gateway", f"{GATEWAY}/24", host_mac(GATEWAY))
        self.attacker = network.host("attacker", f"{ATTACKER}/24", host_mac(ATTACKER))
        self.gateway.ip("route", "add", "local", HONEST, "dev", "lo")
        self.route()
        text = self.configuration.read_text().replace('["10.77.0.0/24"]', f'["10.77.0.0/24", "{HONEST}", "{FORGED}"]')
        self.configuration.write_text(text)
        # No NFS server runs here: these tests are not about exports.
        self.forgiven = ["the exports are not in force; trying again"]
        self.release = install_release(self.data / "images")
        self.verb("allow", "add", "52:54:00:79:00:00/32")
        self.start()

    def launch(self) -> Process:
        """Start `serve` and return at once."""
        command = ["env", *self.environment, appliance_command(), "--config", str(self.configuration), "serve"]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process

    def start(self) -> None:
        """Start `serve` and return when it serves and has finished its deferred imports: their memory is not the
        attacker's doing."""
        super().start()
        sizes = [0]

        def settled() -> bool:
            sizes.append(self._memory("VmRSS"))
            return sizes[-1] == sizes[-2]

        wait_until(settled, TIMEOUT, "the server to have loaded all", 0.3)

    def route(self) -> None:
        """Add the routes to the networks behind the gateway, which the box loses with its interface."""
        for far in (HONEST, FORGED):
            self.host.ip("route", "add", far, "via", str(GATEWAY))

    def pc(self, number: int) -> "FarPc":
        """Honest PC number 1 to 65534."""
        mac = MacAddress(0x525400790000 + number)
        return FarPc(self.gateway, mac, str(IPv4Address("10.79.0.0") + number), str(BOX))

    @contextlib.contextmanager
    def unharmed(self, memory: int) -> Iterator[None]:
        """Assert that the block does not end the process, raise its peak memory by more than `memory` bytes, leave a
        descriptor open, or cause an unexpected log line."""
        since, pid, open_before = self.mark(), self.pid, self.descriptors()
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the peak: proc(5)
        before = self._memory("VmRSS")
        yield
        assert (self.running, self.pid) == (True, pid)
        grown = self._memory("VmHWM") - before
        assert grown <= memory, f"its memory grew by {grown >> 10} kB"
        wait_until(lambda: self.descriptors() <= open_before, TIMEOUT, f"{open_before} descriptors", 0.002)
        assert self.complaints(since) == []
        assert b"Traceback" not in self.log.read_bytes()[since:]

    def descriptors(self) -> int:
        """How many files and sockets the server has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _memory(self, kind: str) -> int:
        found = re.search(rf"^{kind}:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) << 10


class FarPc:
    """A PC behind the gateway. Its methods block; many of them can run in threads. TimeoutError when it gives up."""

    def __init__(self, host: Namespace, mac: MacAddress, address: str, box: str) -> None:
        self.host = host
        self.mac = mac
        self.address = address
        self.box = box

    def boot(self, release: Release) -> None:
        """Boot from the firmware's DISCOVER to the last byte of the initrd; compares every file."""
        offer = self.discover(firmware(7))
        answer = self.ask_boot_server(firmware(7))
        assert offer.file == answer.file == f"{self.mac.bare}/{LOADER.name}"
        assert self.load(answer.file) == LOADER.read_bytes()
        url = self.discover(firmware(7, *IPXE)).file
        script = BootScript.parse(self.get(url).decode(), url)
        assert self.get(script.kernel) == (release.path / KERNEL).read_bytes()
        assert self.get(script.initrd) == (release.path / INITRD).read_bytes()

    def udp(self, port: int = 0, address: str | None = None) -> socket.socket:
        """A socket on its address."""
        with inside(self.host):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        udp.bind((self.address if address is None else address, port))
        return udp

    def discover(self, options: Sequence[tuple[int, bytes]], tries: Sequence[float] = _TRIES) -> Answer:
        """Broadcast a DISCOVER; the box's OFFER. `tries`: how long to wait for it after each request, in seconds."""
        with self.udp(68, "") as udp:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
            question = message(DISCOVER, bytes(self.mac), options, xid=self.mac.value & 0xFFFFFF, flags=BROADCAST)
            return _ask(udp, question, ("255.255.255.255", 67), self._offer, tries)

    def ask_boot_server(self, options: Sequence[tuple[int, bytes]]) -> Answer:
        """Ask UDP 4011 of the box; its answer."""
        with self.udp(4011) as udp:
            question = message(REQUEST, bytes(self.mac), options, xid=1, ciaddr=self.address)
            return _ask(udp, question, (self.box, 4011), self._offer)

    def _offer(self, datagram: bytes) -> Answer | None:
        return Answer.parse(datagram) if datagram[28:34] == bytes(self.mac) else None

    def load(self, name: str, blksize: int = 1468, windowsize: int = 4) -> bytes:
        """Read a file by TFTP as a loader that repeats its last ACK when nothing arrives."""
        reader = Reader(blksize, windowsize)
        with self.udp() as udp:
            udp.settimeout(_REPEAT_SECONDS)
            said = rrq(name, blksize=blksize, windowsize=windowsize)
            udp.sendto(said, (self.box, 69))
            heard = time.monotonic()
            while not reader.done:
                try:
                    datagram = udp.recv(65536)
                except TimeoutError:
                    if time.monotonic() - heard > TIMEOUT:
                        raise
                    udp.sendto(said, (self.box, 69))
                    continue
                heard = time.monotonic()
                assert datagram[:2] != b"\0\5", datagram
                if answer := reader.answer(datagram):
                    said = answer
                    udp.sendto(said, (self.box, 69))
        return bytes(reader.content)

    def connect(self) -> socket.socket:
        """A connection to the box's HTTP port."""
        with inside(self.host):
            return socket.create_connection((self.box, 80), timeout=TIMEOUT, source_address=(self.address, 0))

    def heartbeat(self, token: str, body: bytes) -> tuple[int, dict[str, str], list[str]]:
        """Send a heartbeat over a connection of its own, as the live system does: the status of the reply, its lines by
        their keys, and its orders."""
        with contextlib.closing(HTTPConnection(self.box)) as connection:
            connection.sock = self.connect()
            connection.request("POST", f"/boot/{self.mac.bare}/{token}/heartbeat", body)
            response = connection.getresponse()
            lines = [line.split("=", 1) for line in response.read().decode().splitlines() if "=" in line]
        return response.status, dict(lines), [value for key, value in lines if key == "order"]

    def script(self) -> BootScript:
        """The script that iPXE is offered."""
        url = self.discover(firmware(7, *IPXE)).file
        return BootScript.parse(self.get(url).decode(), url)

    def get(self, target: str) -> bytes:
        """GET a file that must exist; retries when the connection breaks, as boot scripts do."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                with contextlib.closing(HTTPConnection(self.box)) as connection:
                    connection.sock = self.connect()
                    connection.request("GET", urlsplit(target).path)
                    response = connection.getresponse()
                    content = response.read()
                    assert response.status == 200, content
                    return content
            except (ConnectionError, HTTPException):
                if time.monotonic() > deadline:
                    raise


def _ask(
    udp: socket.socket,
    question: bytes,
    server: tuple[str, int],
    accepted: Callable[[bytes], _Found | None],
    tries: Sequence[float] = _TRIES,
) -> _Found:
    for seconds in tries:
        udp.sendto(question, server)
        deadline = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while (left := deadline - time.monotonic()) > 0:
                udp.settimeout(left)
                if (found := accepted(udp.recv(65536))) is not None:
                    return found
    raise TimeoutError(f"{server} does not answer")


class Forger:
    """Sends UDP datagrams to the box with forged source addresses, from the gateway. Use as a context manager."""

    def __init__(self, host: Namespace) -> None:
        with inside(host):
            self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)

    def __enter__(self) -> "Forger":
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def say(self, payload: bytes, source: str, source_port: int, port: int = 69) -> None:
        """Send one datagram."""
        # The kernel fills in the length, the identification and the checksum of the IP header: raw(7).
        addresses = IPv4Address(source).packed + BOX.packed
        header = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
        udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0)  # 0: no checksum
        self._raw.sendto(header + udp + payload, (str(BOX), 0))
