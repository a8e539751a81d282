"""Whether nftables lets PCs in: what becomes of a new packet to each port, read off the rules. Judging is PURE.

Follows the chains as a packet would. What it cannot tell (source addresses, rate limits, matches of iptables) it takes
as "perhaps", and says so. Does not look at IPv6, at legacy iptables, at bridges and at other machines' firewalls.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.config.file import Config
from appliance.doctor.finding import Finding, UnobservableError, error, note, ok
from appliance.doctor.ruleset import Fate, FirstPacket, Ruleset, parse
from services.linux import programs
from services.linux.interfaces import links
from services.linux.programs import ProgramError
from services.nfs.rpc import MOUNT, RpcError, port_of

_SECONDS = 8.0
_LEGACY = Path("/proc/net/ip_tables_names")
_PORTS = (
    ("udp", 4011, "PXE"),
    ("udp", 69, "TFTP"),
    ("tcp", 2049, "NFS"),
    ("tcp", 111, "portmapper"),
)


def judge(ruleset: Ruleset, interfaces: Sequence[str], ports: Sequence[tuple[str, int, str]]) -> list[Finding]:
    """Judge what becomes of requests that arrive by these interfaces for these (protocol, port, service)."""
    findings = []
    for interface in interfaces:
        amiss: list[Finding] = []
        unsure: list[str] = []
        for protocol, port, service in ports:
            verdict, where = ruleset.decide(FirstPacket(interface, protocol, port))
            if verdict is Fate.DROP:
                what = f"the firewall drops {protocol.upper()} port {port} ({service}) from {interface}"
                rule = f"nft insert rule {where} iifname {interface} {protocol} dport {port} accept"
                amiss.append(
                    error(
                        "firewall",
                        f"{what}: chain {where}",
                        "the PCs' requests do not reach the server",
                        f"let it in: {rule} (and the same in /etc/nftables.conf, to keep it)",
                    )
                )
            elif verdict is Fate.UNSURE:
                unsure.append(f"{protocol.upper()} {port} (chain {where})")
        if unsure:
            amiss.append(
                note(
                    "firewall",
                    f"whether the firewall lets in from {interface} cannot be judged: {', '.join(unsure)}",
                    "the rules look at more than interface, protocol and port",
                    "if PCs do not get on, look at: nft list ruleset",
                )
            )
        findings += amiss or [ok("firewall", f"nftables lets the PCs' requests in from {interface}")]
    return findings


def check(config: Config) -> list[Finding]:
    """Read the rules of nftables, if it is there."""
    findings = []
    if _legacy():
        findings.append(
            note("firewall", "there are rules of legacy iptables, which are not judged: iptables-legacy -S")
        )
    if programs.find("nft") is None:
        findings.append(note("firewall", "not judged: nft is not installed", "", "apt-get install nftables"))
        return findings
    dhcp = [("udp", 67, "DHCP")] if config.dhcp.hears_broadcasts else []
    ports = [*dhcp, *_PORTS, ("tcp", config.server.http_port, "HTTP"), *_mountd(config)]
    return findings + judge(parse(_read()), config.server.interfaces, ports)


def _mountd(config: Config) -> list[tuple[str, int, str]]:
    """The port of mountd, which only the portmapper knows."""
    for link in links():
        for each in link.addresses[:1] if link.name in config.server.interfaces else ():
            with contextlib.suppress(RpcError):
                return [("tcp", port_of(each.address.ip, MOUNT, 3), "mountd")]
    return []


def _read() -> Any:
    try:
        return json.loads(programs.output(("nft", "--json", "list", "ruleset"), seconds=_SECONDS) or "{}")
    except ProgramError as reason:
        raise UnobservableError(f"{reason} ({reason.paste})") from None


def _legacy() -> bool:
    try:
        return "filter" in _LEGACY.read_text().split()
    except OSError:
        return False
