"""One attempt to boot by one agent (firmware, iPXE, an operating system): what it saw and did. PURE."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from services.dhcp.message import BOOT_SERVER_PORT, MessageType
from services.probe.firmware import NOT_IPXE, Agent, Choice, choose
from services.probe.message import NOWHERE, Checked, DhcpPacket, Refused
from services.probe.transfers import Download

NAK = 6


@dataclass
class BootAttempt:
    """The messages of one DHCP transaction and the downloads after it.

    `asked` are the servers whose port 4011 it asked, `answer` what one said, `nobody_at` one without that port.
    `boot_server_unasked`: a probe could not ask port 4011. `judged_offers` and `remarked`: how many of the offers the
    timeline has explained, and what it has remarked on them.
    """

    agent: Agent
    xid: int
    discovers: list[DhcpPacket] = field(default_factory=list)
    offers: list[DhcpPacket] = field(default_factory=list)
    requests: list[DhcpPacket] = field(default_factory=list)
    leased: DhcpPacket | None = None
    refused_lease: DhcpPacket | None = None
    asked: list[IPv4Address] = field(default_factory=list)
    answer: DhcpPacket | None = None
    nobody_at: IPv4Address | None = None
    downloads: list[Download] = field(default_factory=list)
    checks: list[Checked | Refused] = field(default_factory=list)
    boot_server_unasked: bool = False
    judged_offers: int = 0
    remarked: list[str] = field(default_factory=list)

    @property
    def choice(self) -> Choice:
        """What this agent does with its offers."""
        return choose(self.agent, self.offers)

    @property
    def boot_server(self) -> IPv4Address:
        """Where it should load its file from; 0.0.0.0 when nobody said."""
        return self.answer.boot_server if self.answer else self.choice.server

    @property
    def boot_file(self) -> str:
        """What it should load; empty when nobody said."""
        return self.answer.boot_file if self.answer else self.choice.file

    def take_dhcp(self, message: DhcpPacket, port: int, server: IPv4Address) -> None:
        """Take a DHCP message from either side; `port` is the server's."""
        if port == BOOT_SERVER_PORT:
            if message.reply:
                self.answer = message
            else:
                self.asked.append(server)
        elif not message.reply:
            (self.discovers if message.kind == MessageType.DISCOVER else self.requests).append(message)
        elif message.kind == MessageType.OFFER:
            self.offers.append(message)
        elif message.kind == MessageType.ACK:
            # A proxy that acknowledges a broadcast REQUEST names a boot file, but gives no lease.
            if message.yiaddr == NOWHERE and message.boot_file:
                self.answer = message
            else:
                self.leased = message
        elif message.kind == NAK:
            self.refused_lease = message

    def loaded(self, *words: str) -> Download | None:
        """The first complete download that is not a boot loader and has one of these words in its name."""
        whole = (d for d in self.downloads if d.whole and not d.base.endswith(NOT_IPXE))
        found = (d for d in whole if any(word in d.base.lower() for word in words))
        return next(found, None)
