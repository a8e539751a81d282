"""Whether nftables lets PCs in: what its rules do to a new packet to each port. Judging is PURE.

Follows the chains as a packet would. What it cannot know (source addresses, rate limits, matches of iptables) counts as
"perhaps", and is reported so. Does not look at IPv6, legacy iptables, bridges or other machines' firewalls, nor at our
own wall before the NFS ports: appliance/doctor/wall.py does.
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
from services.nfs.wall import TABLE

_SECONDS = 8.0
_LEGACY = Path("/proc/net/ip_tables_names")
_PAGE = "page"
_PORTS = (
    ("udp", 4011, "PXE"),
    ("udp", 69, "TFTP"),
    ("tcp", 2049, "NFS"),
    ("tcp", 111, "portmapper"),
)


def judge(ruleset: Ruleset, interfaces: Sequence[str], ports: Sequence[tuple[str, int, str]]) -> list[Finding]:
    """Judge what happens to requests that arrive on these interfaces for these (protocol, port, service)."""
    findings = []
    for interface in interfaces:
        problems: list[Finding] = []
        unsure: list[str] = []
        for protocol, port, service in ports:
            fate, where = ruleset.decide(FirstPacket(interface, protocol, port))
            if fate is Fate.DROP:
                what = f"the firewall drops {protocol.upper()} port {port} ({service}) from {interface}: chain {where}"
                rule = f"nft insert rule {where} iifname {interface} {protocol} dport {port} accept"
                do = f"let it in: {rule} (and add that to /etc/nftables.conf, to keep it)"
                if service == _PAGE:
                    problems.append(note("firewall", what, "the page cannot be opened from there", do))
                else:
                    problems.append(error("firewall", what, "the PCs' requests do not reach the server", do))
            elif fate is Fate.UNSURE:
                unsure.append(f"{protocol.upper()} {port} (chain {where})")
        if unsure:
            problems.append(
                note(
                    "firewall",
                    f"cannot tell whether the firewall lets PCs in from {interface}: {', '.join(unsure)}",
                    "the rules look at more than interface, protocol and port",
                    "if PCs get stuck, look at: nft list ruleset",
                )
            )
        if all(_PAGE in each.what for each in problems):
            problems.insert(0, ok("firewall", f"nftables lets the PCs' requests in from {interface}"))
        findings += problems
    return findings


def check(config: Config) -> list[Finding]:
    """Read the rules of nftables, if it is there."""
    findings = []
    if _legacy():
        findings.append(note("firewall", "there are legacy iptables rules, which are not checked: iptables-legacy -S"))
    if programs.find("nft") is None:
        findings.append(note("firewall", "not checked: nft is not installed", "", "apt-get install nftables"))
        return findings
    dhcp = [("udp", 67, "DHCP")] if config.dhcp.hears_broadcasts else []
    ports = [*dhcp, *_PORTS, ("tcp", config.server.http_port, "HTTP"), *_mountd(config), *_page(config)]
    return findings + judge(parse(_read()).without(TABLE), config.server.interfaces, ports)


def _page(config: Config) -> list[tuple[str, int, str]]:
    """The port of the page, if it is open to others."""
    listening = config.control.listen
    return [("tcp", listening.port, _PAGE)] if config.control.enabled and not listening.address.is_loopback else []


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
    except (ValueError, RecursionError):
        raise UnobservableError("what `nft --json list ruleset` prints is not JSON") from None


def _legacy() -> bool:
    try:
        return "filter" in _LEGACY.read_text().split()
    except OSError:
        return False
