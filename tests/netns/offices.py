"""Network segments, each with a bridge, PCs and, if wanted, a DHCP server; and hosts with interfaces in several.

In each segment `<prefix>.1` is the box or the router to it, `<prefix>.2` the site's DHCP server; it leases 100 to 150.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

from services.ethernet import MacAddress
from tests.netns.scripted_pc import ScriptedPc
from tests.room.namespaces import Namespace, Network
from tests.room.processes import Process
from tests.room.room import host_mac

DNSMASQ = """\
interface=lan0
bind-interfaces
user=root
port=0
no-ping
dhcp-authoritative
dhcp-range={prefix}.100,{prefix}.150,1h
dhcp-leasefile={leases}
log-dhcp
{more}
"""

_numbers = count(1)


@dataclass
class Office:
    """One segment."""

    network: Network
    prefix: str
    site_host: Namespace | None = None

    @property
    def box(self) -> str:
        """The address of the box in it, or of the router."""
        return f"{self.prefix}.1"

    @property
    def site(self) -> str:
        """The address of its DHCP server."""
        return f"{self.prefix}.2"

    def start_site(self, directory: Path, more: str = "") -> Process:
        """Start its DHCP server, with `more` lines of configuration, on a host that stays."""
        if self.site_host is None:
            self.site_host = self.network.host("site", f"{self.site}/24", host_mac(IPv4Address(self.site)))
        configuration = directory / f"dnsmasq-{self.prefix}.conf"
        leases = configuration.with_suffix(".leases")
        configuration.write_text(DNSMASQ.format(prefix=self.prefix, leases=leases, more=more))
        command = ["dnsmasq", "--no-daemon", f"--conf-file={configuration}", "--pid-file="]
        process = self.site_host.start("dnsmasq", command, configuration.with_suffix(".log"))
        process.wait_for_log("sockets bound exclusively", 30)
        return process

    def connect(self, host: Namespace, interface: str, address: str = "") -> None:
        """Give a host an interface in this segment, with this address or `<prefix>.1`."""
        address = address or self.box
        port = f"port{next(_numbers)}"
        self.network.wire.ip("link", "add", port, "type", "veth", "peer", "name", interface, "netns", host.name)
        self.network.wire.ip("link", "set", port, "master", "br0", "up")
        host.ip("link", "set", interface, "address", str(host_mac(IPv4Address(address))), "up")
        host.ip("address", "add", f"{address}/24", "dev", interface)
        self.network.await_link(port, host, interface)

    def plug(
        self,
        mac: MacAddress | None = None,
        *,
        kind: type[ScriptedPc] = ScriptedPc,
        box: str = "",
        site: str = "",
    ) -> ScriptedPc:
        """Plug in a PC that may boot; `box` and `site` replace those of the segment."""
        number = next(_numbers)
        mac = mac or MacAddress.parse(f"52:54:00:78:00:{number:02x}")
        servers = IPv4Address(box or self.box), IPv4Address(site or self.site)
        return kind(self.network, mac, f"pc{number}", *servers)
