"""Who else answers the PCs on their segment: DHCP servers, other proxyDHCP servers, and what they say about booting.

Where the box does not answer on port 67 itself, pointers.py judges whether they send the PCs to it. Where it is the
DHCP server, there should be nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address

from appliance.config.file import Config
from appliance.dhcp.other_servers import REMEDIES
from appliance.dhcp.subnets import gives_addresses
from appliance.doctor import pointers
from appliance.doctor.finding import Finding, error, note, ok, warning
from services.dhcp.message import Option
from services.dhcp.options import read_options
from services.linux.interfaces import Link, links
from services.probe.find_servers_raw import find_servers
from services.probe.message import NOWHERE
from services.probe.port_4011 import Port4011, ask_boot_server
from services.probe.server_questions import HeardServer

SECONDS = 4.0
"""How long to wait for answers: dnsmasq pings an address for 3 s before it offers it."""

_BOOT_SERVER_SECONDS = 1.0
_NO_PXEDHCP = 176


def judge(
    interface: str,
    own: Sequence[IPv4Address],
    heard: Sequence[HeardServer],
    boot_servers: Mapping[IPv4Address, Port4011],
) -> list[Finding]:
    """Judge what was heard on `interface`; `boot_servers`: what is on port 4011 of the servers that PCs will ask."""
    heard = [each for each in heard if each.source not in own]
    leases = [each for each in heard if each.offer.yiaddr != NOWHERE]
    proxies = [each for each in heard if each.offer.yiaddr == NOWHERE and each.offer.vendor_class == "PXEClient"]
    findings = [_judge_leases(interface, {each.source for each in leases}), *_judge_proxies(interface, proxies)]
    findings += _judge_option_60(leases, boot_servers)
    findings += [
        warning(
            "dhcp-boot-file",
            f"the DHCP server {source} itself names a boot file: {boot}",
            "some firmware takes that file and does not look for ours",
            f"take the boot file (options 66 and 67, next-server) out of the configuration of {source}",
        )
        for source, boot in _first(each for each in leases if not each.offer.vendor_class).items()
        if boot
    ]
    without_proxy = {
        each.source for each in leases if _NO_PXEDHCP in read_options(each.offer.options.get(Option.IPXE, b""))
    }
    findings += [
        error(
            "dhcp-ipxe",
            f"the DHCP server {source} sends iPXE the option 175.176 (no-pxedhcp)",
            "iPXE then ignores every proxyDHCP server, and never learns about the boot script",
            f"take option 176 out of the encapsulated options 175 on {source}",
        )
        for source in sorted(without_proxy)
    ]
    return findings


def judge_alone(
    interface: str, own: Sequence[IPv4Address], heard: Sequence[HeardServer], *, forced: bool
) -> list[Finding]:
    """Judge what was heard where the box is the DHCP server itself; `forced`: the administrator wants that."""
    heard = [each for each in heard if each.source not in own]
    leases = sorted({each.source for each in heard if each.offer.yiaddr != NOWHERE})
    proxies = [each for each in heard if each.offer.yiaddr == NOWHERE]
    findings = _judge_proxies(interface, proxies)
    if not leases:
        return [ok("dhcp", f"no other DHCP server answers on {interface}"), *findings]
    what = f"another DHCP server answers on {interface}: {' and '.join(map(str, leases))}"
    if forced:
        return [note("dhcp", what, "fine if the two share out the addresses ([dhcp] force = true)"), *findings]
    why = "the two may give one address to two machines, and PCs that choose the other server boot without the box"
    return [error("dhcp", what, why, REMEDIES), *findings]


def _judge_proxies(interface: str, proxies: Sequence[HeardServer]) -> list[Finding]:
    return [
        warning(
            "dhcp-proxy",
            f"another proxyDHCP server answers on {interface}: {source}",
            f"a PC takes whichever offer it likes best; this one names {boot or 'no boot file'}",
            f"switch network boot off on {source}, or limit it to other PCs",
        )
        for source, boot in _first(proxies).items()
    ]


def _judge_leases(interface: str, servers: set[IPv4Address]) -> Finding:
    if not servers:
        return warning(
            "dhcp",
            f"no DHCP server answers on {interface}",
            "netboot-appliance gives out no addresses: PCs need a DHCP server (one on this host is not heard here)",
            "check that the DHCP server runs, has free addresses, and is on the same segment",
        )
    names = " and ".join(map(str, sorted(servers)))
    if len(servers) > 1:
        return note(
            "dhcp", f"{len(servers)} DHCP servers answer on {interface}: {names}", "fine if they know about each other"
        )
    return ok("dhcp", f"the DHCP server on {interface} is {names}")


def _judge_option_60(leases: Iterable[HeardServer], boot_servers: Mapping[IPv4Address, Port4011]) -> list[Finding]:
    """Leases with option 60 `PXEClient`: they promise a boot server at port 4011."""
    findings = []
    for source, server in sorted({(each.source, boot_server_of(each)) for each in leases if has_option_60(each)}):
        what = f"the DHCP server {source} sends option 60 PXEClient with its leases"
        do = f"take option 60 out of the configuration of {source}: the offer of netboot-appliance carries it"
        match boot_servers.get(server):
            case Port4011.NOBODY:
                why = f"firmware then asks {server} on port 4011, where nobody listens (PXE-E55)"
                findings.append(
                    error("dhcp-option-60", f"{what}, but nobody listens on port 4011 of {server}", why, do)
                )
            case Port4011.ANSWERS:
                why = f"firmware then asks {server} on port 4011 and ignores our offer"
                findings.append(warning("dhcp-option-60", f"{what}, and {server} answers on port 4011", why, do))
            case _:
                why = f"firmware then asks {server} on port 4011 and ignores our offer; it did not answer us"
                findings.append(warning("dhcp-option-60", what, why, do))
    return findings


def has_option_60(heard: HeardServer) -> bool:
    """Whether it is a lease that says option 60 `PXEClient`."""
    return heard.offer.yiaddr != NOWHERE and heard.offer.vendor_class == "PXEClient"


def boot_server_of(heard: HeardServer) -> IPv4Address:
    """The server that firmware with this offer asks on port 4011: siaddr, else option 54."""
    offer = heard.offer
    return next((each for each in (offer.siaddr, offer.server) if each != NOWHERE), heard.source)


def _first(heard: Iterable[HeardServer]) -> dict[IPv4Address, str]:
    """The boot file of each source, by its first offer that has one."""
    files: dict[IPv4Address, str] = {}
    for each in heard:
        files[each.source] = files.get(each.source) or each.offer.boot_file
    return files


def check(config: Config) -> list[Finding]:
    """Ask on every interface, one after the other; other checks report those that cannot be used."""
    found = {link.name: link for link in links()}
    findings = []
    for name in config.server.interfaces:
        link = found.get(name)
        if link is None or not link.up or not link.carrier or not link.ethernet:
            findings.append(note("dhcp", f"nobody was asked on {name}, which is not up"))
        else:
            own = [each.address.ip for each in link.addresses]
            if config.dhcp.mode == "off":
                findings += _ask_for_pointers(link, config.boot.names)
            elif link.addresses and gives_addresses(config, link.addresses[0].address.network):
                findings += judge_alone(link.name, own, find_servers(link.name, SECONDS), forced=config.dhcp.force)
            else:
                findings += _ask(link)
    return findings


def _ask_for_pointers(link: Link, loaders: Sequence[str]) -> list[Finding]:
    """Ask the servers on this host as well: one of them may be why port 67 is not ours."""
    own = [each.address.ip for each in link.addresses]
    heard = find_servers(link.name, SECONDS, own[0] if own else None)
    return pointers.judge(link.name, own, heard, loaders)


def _ask(link: Link) -> list[Finding]:
    own = [each.address.ip for each in link.addresses]
    heard = find_servers(link.name, SECONDS)
    servers = {boot_server_of(each) for each in heard if has_option_60(each)} if own else set()
    boot_servers = {server: ask_boot_server(server, own[0], _BOOT_SERVER_SECONDS) for server in servers}
    return judge(link.name, own, heard, boot_servers)
