"""What one PC and its servers say to each other: DHCP as real bytes through the codec, transfers as values."""

from ipaddress import IPv4Address
from struct import Struct

from services.ethernet import MacAddress
from services.probe import codec
from services.probe.explanation import Explanation, explain
from services.probe.firmware import Agent, requests
from services.probe.message import Content, DhcpPacket, Packet
from services.probe.verdict import BoxFacts
from tests.fakes.dhcp_client import DISCOVER, OFFER, REQUEST, firmware, message

MAC = MacAddress.parse("52:54:00:aa:bb:01")
BOX, SITE, OTHER = "10.77.0.1", "10.77.0.2", "10.77.0.5"
LEASE = "10.77.0.134"
IPXE = [(77, b"iPXE")]
JUST_BOOT = bytes.fromhex("060108ff")

_AT = Struct("!4s4s")


def answer(kind: int, server: str, *options: tuple[int, bytes], lease: str = "0.0.0.0", file: str = "") -> DhcpPacket:
    """A server's message, encoded and decoded."""
    data = bytearray(message(kind, bytes(MAC), [(54, IPv4Address(server).packed), *options], xid=0x1234))
    data[0] = 2
    data[16:24] = _AT.pack(IPv4Address(lease).packed, IPv4Address(server).packed)
    data[108 : 108 + len(file)] = file.encode()
    return decoded(bytes(data))


def decoded(data: bytes) -> DhcpPacket:
    """A DHCP message of these bytes."""
    found = codec.decode_dhcp(data)
    assert isinstance(found, DhcpPacket)
    return found


def lease(server: str = SITE, *options: tuple[int, bytes], kind: int = OFFER, file: str = "") -> DhcpPacket:
    """An offer (or ACK) of an address."""
    return answer(kind, server, *options, lease=LEASE, file=file)


def boot(
    server: str = BOX, *options: tuple[int, bytes], file: str = "", kind: int = OFFER, name: str = "PXE"
) -> DhcpPacket:
    """An offer (or ACK) of a boot file, without an address."""
    return answer(kind, server, (60, f"{name}Client".encode()), *options, file=file)


class Talk:
    """Packets one after the other, 0.1 s apart; each method adds some and returns the talk."""

    def __init__(self, architecture: int = 0, *more: tuple[int, bytes]) -> None:
        self.packets: list[Packet] = []
        self.at = 100.0
        self._options = firmware(architecture, *more)

    def agent(self, architecture: int, *more: tuple[int, bytes]) -> "Talk":
        """Let another agent speak from now on."""
        self._options = firmware(architecture, *more)
        return self

    def over_http(self) -> "Talk":
        """Let UEFI HTTP boot speak from now on, as EDK2 does it."""
        self._options = list(requests(Agent.UEFI_HTTP, MAC, uefi=True))
        return self

    def discover(self, secs: int = 0, xid: int = 0x1234) -> "Talk":
        """The agent sends a DISCOVER."""
        return self.client(decoded(message(DISCOVER, bytes(MAC), self._options, secs=secs, xid=xid)))

    def request(self) -> "Talk":
        """The agent requests a lease, and gets its ACK."""
        wanted = [(54, IPv4Address(SITE).packed), (50, IPv4Address(LEASE).packed)]
        self.client(decoded(message(REQUEST, bytes(MAC), [*self._options, *wanted])))
        return self.server(lease(kind=5))

    def ask(self, server: str = BOX) -> "Talk":
        """The agent asks port 4011."""
        return self.client(decoded(message(REQUEST, bytes(MAC), self._options, ciaddr=LEASE)), server, 4011)

    def client(self, content: Content, server: str = "255.255.255.255", port: int = 67, own: int = 68) -> "Talk":
        """The client says something."""
        return self._add(True, content, server, port, own)

    def server(self, *contents: Content, server: str = "", port: int = 67, own: int = 68) -> "Talk":
        """Servers say something."""
        for content in contents:
            name = server or (str(content.server) if isinstance(content, DhcpPacket) else BOX)
            self._add(False, content, name, port, own)
        return self

    def _add(self, outgoing: bool, content: Content, server: str, port: int, own: int) -> "Talk":
        self.at += 0.1
        self.packets.append(Packet(self.at, outgoing, IPv4Address(server), port, own, content))
        return self

    def explained(self, box: BoxFacts | None = None) -> Explanation:
        """The explanation of it all."""
        return explain(MAC, self.packets, box)
