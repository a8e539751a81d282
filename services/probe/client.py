"""A PXE client on one interface of this host: plays firmware and the iPXE after it, and records what it hears.

It takes no lease, so everything after DHCP comes from this host's own address and MAC address. The DHCP messages are in
dhcp_exchange.py, the files in file_fetch.py. Blocks; meant for a command line. Needs CAP_NET_RAW. The box treats a
probe as a power-on of that PC.
"""

from ipaddress import IPv4Address

from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from services.probe import ipxe_script
from services.probe.dhcp_exchange import DhcpExchange, OwnAnswer
from services.probe.file_fetch import Expected, FileFetch
from services.probe.firmware import NOT_IPXE, Agent
from services.probe.message import Note, Packet, Refused
from services.probe.record import ProbeRecord


class Probe:
    """One run for the PC `mac`. Without `own_answer`, port 4011 of this host is assumed to answer nothing."""

    def __init__(
        self,
        interface: Interface,
        mac: MacAddress,
        agent: Agent,
        expected: Expected,
        own_answer: OwnAnswer | None = None,
    ) -> None:
        self._interface = interface
        self._mac = mac
        self._agent = agent
        self._record = ProbeRecord()
        uefi = agent in (Agent.UEFI, Agent.UEFI_HTTP)
        self._dhcp = DhcpExchange(interface, mac, self._record, own_answer or (lambda *_: ""), uefi=uefi)
        self._files = FileFetch(interface, mac, self._record, expected)

    def run(self) -> list[Packet]:
        """Play the firmware, and when it got its loader (or may not have it) iPXE after it; return all packets.

        Raises PermissionError without CAP_NET_RAW, and OSError when the interface does not send.
        """
        if self._interface.mac != self._mac:
            self._note(
                f"this host's MAC address is {self._interface.mac}: the DISCOVER names {self._mac} in its body only, "
                "which a switch with DHCP snooping may drop"
            )
        if self._agent is Agent.IPXE or self._play_firmware():
            self._play_ipxe()
        return self._record.packets

    def _play_firmware(self) -> bool:
        """Whether the firmware comes to an end that iPXE can follow."""
        server, file = self._dhcp.run(self._agent)
        if not file:
            return False
        if file.endswith(NOT_IPXE):
            self._note(f"this probe does not play what {file.rpartition('/')[2]} would ask for next")
            self._fetch_loader(server, file)
            return False
        return self._fetch_loader(server, file)

    def _fetch_loader(self, server: IPv4Address, file: str) -> bool:
        """Load the boot loader as firmware does, by HTTP or TFTP; whether to go on."""
        if file.startswith("http://"):
            fetched = self._files.by_http(file, "HEAD") is not None and self._files.by_http(file) is not None
            return fetched or isinstance(self._record.packets[-1].content, Refused)
        return self._files.by_tftp(server, file)

    def _play_ipxe(self) -> None:
        server, file = self._dhcp.run(Agent.IPXE)
        file = ipxe_script.expand(file, self._mac)
        if not file.startswith("http://"):
            if file:
                self._files.by_tftp(server, file)
            return
        text = self._fetch_script(file)
        if default := ipxe_script.default(text, file):
            self._note("it shows a menu; its default entry follows:")
            file, text = default, self._fetch_script(default)
        for url in ipxe_script.files(text, file):
            if self._files.by_http(url) is None:
                return

    def _fetch_script(self, url: str) -> str:
        return (self._files.by_http(url) or b"").decode("utf-8", "replace")

    def _note(self, words: str) -> None:
        self._record.said(Note(words), self._interface.address.ip, 0)
