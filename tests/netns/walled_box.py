"""NFS-Ganesha behind root's helper, without a server: a test writes the requests, and plays PCs and attackers.

Shares no code with the wall: packets are counted where they arrive, on the wire of the one who provoked them.
"""

import contextlib
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

from appliance.exports.grants import ExportGrant
from appliance.exports.mailbox import read_answer
from appliance.exports.request import ExportAnswer, digest, encode
from services.ethernet import MacAddress
from tests.netns.inside import inside
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Namespace, Network
from tests.room.room import BOX, appliance_command, host_mac, write_configuration

NFS, MOUNTD, PORTMAPPER = 2049, 20048, 111
PORTS = (NFS, MOUNTD, PORTMAPPER)
NULL_CALL = struct.pack("!IIIIIIIIIII", 1 << 31 | 40, 7, 0, 2, 100003, 3, 0, 0, 0, 0, 0)

_BROADCAST = b"\xff" * 6
_OUTGOING = 4  # PACKET_OUTGOING
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_numbers = count(600)


class WalledBox:
    """The box: NFS-Ganesha, and root's helper for each request."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.host = network.host("box", f"{BOX}/24", host_mac(BOX))
        self.directory = directory
        self.configuration = write_configuration(directory)
        self.requests, self.answers, self.kept = (directory / name for name in ("box", "box-exports", "kept"))
        for own in (self.requests, self.answers, self.kept):
            own.mkdir()
        self.exports = directory / "ganesha" / "netboot-appliance.conf"
        self.ganesha = Ganesha(self.host.name, directory / "ganesha", self.exports)
        self.ganesha.start()

    def configure(self, nfs: str) -> None:
        """Add a line to the section [nfs]."""
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("[nfs]\n", f"[nfs]\n{nfs}\n"))

    def allow_network(self, network: str) -> None:
        """Let PCs be in this network, too."""
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("networks = [", f'networks = ["{network}", '))

    def ask(self, *grants: ExportGrant, before: str = "") -> ExportAnswer:
        """One run of root's helper, after the shell command `before`; its answer."""
        content = encode(grants, str(next(_numbers)))
        (self.requests / "exports.json").write_bytes(content)
        variables = [
            f"RUNTIME_DIRECTORY={self.answers}",
            f"STATE_DIRECTORY={self.kept}",
            f"NETBOOT_APPLIANCE_CONFIG={self.configuration}",
        ]
        script = f'{before}\nexec "$@"'
        helper = [sys.executable, "-I", "-m", "appliance.exports.root_helper"]
        self.host.run(["env", *variables, "sh", "-ec", script, "sh", *helper], check=False)
        answer = read_answer(self.answers / "result.json")
        assert answer
        assert answer.request == digest(content)
        return answer

    def grant(self, *grants: ExportGrant) -> ExportAnswer:
        """Grant exactly these, which must succeed."""
        answer = self.ask(*grants)
        assert answer.error == ""
        return answer

    def verb(self, *arguments: str) -> str:
        """Run a verb of the administrator's; what it printed."""
        return self.host.run([appliance_command(), "--config", str(self.configuration), *arguments]).stdout

    def neighbour(self, address: object) -> str:
        """What `ip neighbour` shows of an address."""
        return self.host.ip("-details", "neighbour", "show", str(address), "nud", "all").strip()

    def ruleset(self) -> str:
        """All of nftables."""
        return self.host.run(["nft", "--stateless", "list", "ruleset"]).stdout


def grant(mac: MacAddress, number: int, *addresses: str, pinned: bool = True) -> ExportGrant:
    """A grant for these addresses."""
    return ExportGrant(mac, number, tuple(map(IPv4Address, addresses)), pinned=pinned)


class Wire:
    """The frames that arrive at a host, as it sees them. Use as a context manager."""

    def __init__(self, host: Namespace, interface: str = "lan0") -> None:
        with inside(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(3))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self._socket.bind((interface, 0))
        self.mac = self._socket.getsockname()[4]

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Send a frame as it is."""
        self._socket.send(frame)

    def nfs(self) -> list[int]:
        """The source ports of all packets from the NFS ports since the last call: also the empty ones, and resets."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data, (_, _, kind, *_) = self._socket.recvfrom(65536)
                if kind == _OUTGOING or data[12:14] != b"\x08\x00" or data[23] not in (6, 17):
                    continue
                (port,) = struct.unpack_from("!H", data, 14 + (data[14] & 15) * 4)
                if port in PORTS:
                    found.append(port)
        return found

    def say_arp(self, address: str, *, asked: str = "", answer: bool = False) -> None:
        """Claim an address by ARP, for our own MAC address: by a question for `asked` (by default the address itself:
        gratuitous ARP), or as an answer that nobody asked for."""
        packed, target = IPv4Address(address).packed, IPv4Address(asked or address).packed
        arp = _ARP.pack(1, 0x0800, 6, 4, 2 if answer else 1, self.mac, packed, bytes(6), target)
        self.send(_BROADCAST + self.mac + b"\x08\x06" + arp)


@contextlib.contextmanager
def connection(host: Namespace, address: str = "") -> Iterator[socket.socket]:
    """A TCP connection to NFS that answered, from a port below 1024 of this address."""
    with inside(host):
        tcp = socket.socket()
    with tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((address, next(_numbers)))
        tcp.settimeout(10)
        tcp.connect((str(BOX), NFS))
        yield tcp


def call(tcp: socket.socket) -> bool:
    """Whether NFS answers the procedure that does nothing."""
    tcp.sendall(NULL_CALL)
    return tcp.recv(1024)[4:8] == NULL_CALL[4:8]


def knock(host: Namespace, *, address: str = "", source: int | None = None) -> None:
    """Ask all NFS ports, over TCP and UDP, from this address, and give them a moment to answer."""
    with contextlib.ExitStack() as opened:
        for port in PORTS:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with inside(host):
                    ours = opened.enter_context(socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK))
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                ours.bind((address, next(_numbers) if source is None else source))
                with contextlib.suppress(BlockingIOError):
                    ours.connect((str(BOX), port))
                with contextlib.suppress(OSError):
                    ours.send(NULL_CALL[4:])
        time.sleep(0.3)


def list_exports(host: Namespace, path: Path, seconds: int = 30) -> subprocess.CompletedProcess[str]:
    """Mount over NFSv3 and list, with a program that knows nothing of us; it gives up after so many seconds."""
    command = ["timeout", str(seconds), "nfs-ls", f"nfs://{BOX}{path}?version=3"]
    return host.run(command, timeout=seconds + 30, check=False)
