"""Whether the DHCP servers of a segment send PCs to the box, where it does not answer on port 67 itself.

PURE. They do so by option 60 (firmware then asks port 4011 of the box) or by naming the box's own boot files.
"""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address

from appliance.doctor.finding import Finding, error, ok, warning
from services.dhcp.message import Option
from services.dhcp.options import read_options
from services.probe.firmware import Agent
from services.probe.message import NOWHERE, url_parts
from services.probe.server_questions import HeardServer

_NO_PXEDHCP = 176
_SNIPPET = "tell that server about the box; to get the text to paste into it: netboot-appliance config dhcp"


def judge(
    interface: str, own: Sequence[IPv4Address], heard: Sequence[HeardServer], loaders: Collection[str]
) -> list[Finding]:
    """Judge the offers that were heard on `interface`; `own` are the box's addresses there, `loaders` its files."""
    leases = [each for each in heard if each.offer.yiaddr != NOWHERE]
    asked = [each for each in leases if each.asked_as is not Agent.SYSTEM]
    findings = [
        _judge(source, own, [each for each in asked if each.source == source], loaders)
        for source in sorted({each.source for each in asked})
    ]
    if not leases:
        findings.append(
            warning(
                "dhcp",
                f"no DHCP server answers on {interface}",
                'netboot-appliance gives out no addresses, and with [dhcp] mode = "off" it makes no boot offers',
                "check that the DHCP server runs, has free addresses, and is on the same segment",
            )
        )
    findings += [
        warning(
            "dhcp-proxy",
            f"another proxyDHCP server answers on {interface}: {source}",
            "a PC takes whichever offer it likes best",
            f"switch network boot off on {source}, or limit it to other PCs",
        )
        for source in sorted({each.source for each in heard if each.offer.yiaddr == NOWHERE})
    ]
    return findings


def _judge(
    source: IPv4Address, own: Sequence[IPv4Address], offers: Sequence[HeardServer], loaders: Collection[str]
) -> Finding:
    """One server, by its offers to UEFI firmware and to iPXE."""
    wrong = next((found for each in offers if (found := _wrong(source, own, each, loaders))), None)
    if wrong is not None:
        return wrong
    asks = any(_has_option_60(each) for each in offers)
    how = "by option 60 to port 4011" if asks else "by naming its boot files (options 66 and 67)"
    return ok("dhcp-pointer", f"the DHCP server {source} sends PCs to netboot-appliance, {how}")


def _wrong(
    source: IPv4Address, own: Sequence[IPv4Address], heard: HeardServer, loaders: Collection[str]
) -> Finding | None:
    offer, who = heard.offer, heard.asked_as.words
    boot_file = offer.boot_file
    if _has_option_60(heard) and not boot_file:
        server = next((each for each in (offer.siaddr, offer.server) if each != NOWHERE), source)
        if server not in own:
            return _fault(
                f"the DHCP server {source} sends {who} to port 4011 of {server}, which is not this box",
                "option 60 leads firmware to the DHCP server's own host, or to its next-server",
                "name the boot files in that server instead: netboot-appliance config dhcp (--way options)",
            )
        if heard.asked_as is Agent.IPXE and _NO_PXEDHCP in read_options(offer.options.get(Option.IPXE, b"")):
            return _fault(
                f"the DHCP server {source} sends iPXE the option 175.176 (no-pxedhcp)",
                "iPXE then does not ask port 4011, and never learns about the boot script",
                f"take option 176 out of the encapsulated options 175 on {source}",
            )
        return None
    if not boot_file:
        return _fault(
            f"the DHCP server {source} does not send PCs to netboot-appliance: neither option 60 nor a boot file",
            'with [dhcp] mode = "off" nobody else tells them',
            _SNIPPET,
        )
    if offer.boot_server not in own:
        return _fault(
            f"the DHCP server {source} sends {who} to {offer.boot_server} for {boot_file}",
            "that is not this box",
            _SNIPPET,
        )
    if heard.asked_as is Agent.IPXE and not url_parts(boot_file).path.endswith("/boot.ipxe"):
        return _fault(
            f"the DHCP server {source} offers iPXE {boot_file} and not the boot script",
            "it does not recognise iPXE by its user class (option 77), so iPXE would load itself for ever",
            _SNIPPET,
        )
    if heard.asked_as is Agent.UEFI and boot_file.rpartition("/")[2] not in loaders:
        return _fault(
            f"the DHCP server {source} offers {who} the boot file {boot_file}",
            f"this box has {' and '.join(sorted(loaders))}",
            _SNIPPET,
        )
    return None


def _has_option_60(heard: HeardServer) -> bool:
    return heard.offer.vendor_class == "PXEClient"


def _fault(what: str, why: str, what_to_do: str) -> Finding:
    return error("dhcp-pointer", what, why, what_to_do)
