"""How the doctor judges the DHCP servers where the box leaves port 67 to them."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.doctor.finding import Finding, Severity
from appliance.doctor.pointers import judge
from services.ethernet import MacAddress
from services.probe.firmware import Agent
from services.probe.message import NOWHERE, DhcpPacket
from services.probe.server_questions import HeardServer

OWN, SITE = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2")
MAC = MacAddress.parse("02:00:00:00:00:01")
LEASE = DhcpPacket(True, 2, 1, 0, NOWHERE, IPv4Address("10.77.0.100"), NOWHERE, MAC, "", "", {54: SITE.packed})
HERE = replace(LEASE, options={54: OWN.packed, 60: b"PXEClient"})
SCRIPT = "http://10.77.0.1/boot/${netX/mac:hexraw}/boot.ipxe"


def answers(source: IPv4Address, plain: DhcpPacket, uefi: DhcpPacket, ipxe: DhcpPacket) -> list[HeardServer]:
    return [
        HeardServer(source, Agent.SYSTEM, plain),
        HeardServer(source, Agent.UEFI, uefi),
        HeardServer(source, Agent.IPXE, ipxe),
    ]


def named(file: str, server: IPv4Address = OWN) -> DhcpPacket:
    return replace(LEASE, siaddr=server, file=file)


def only(heard: list[HeardServer]) -> Finding:
    (finding,) = judge("lan0", [OWN], heard, ["snponly.efi", "undionly.kpxe"])
    return finding


def test_option_60_of_this_host() -> None:
    found = only(answers(OWN, LEASE, HERE, HERE))
    assert (found.check, found.severity) == ("dhcp-pointer", Severity.OK)
    assert "option 60" in found.what


@pytest.mark.parametrize("file", ["snponly.efi", "525400aabb01/snponly.efi"])
def test_a_server_anywhere_that_names_our_files(file: str) -> None:
    found = only(answers(SITE, LEASE, named(file), named(SCRIPT)))
    assert found.severity is Severity.OK
    assert "options 66 and 67" in found.what


@pytest.mark.parametrize(
    ("source", "uefi", "ipxe", "what"),
    [
        (SITE, LEASE, LEASE, "neither option 60 nor a boot file"),
        (SITE, replace(HERE, options={54: SITE.packed, 60: b"PXEClient"}), HERE, "port 4011 of 10.77.0.2"),
        (OWN, replace(HERE, siaddr=SITE), HERE, "port 4011 of 10.77.0.2, which is not this box"),
        (OWN, HERE, replace(HERE, options={**HERE.options, 175: b"\xb0\x01\x01"}), "175.176"),
        (SITE, named("snponly.efi", SITE), named(SCRIPT), "UEFI x64 to 10.77.0.2 for snponly.efi"),
        (SITE, named("bootx64.efi"), named(SCRIPT), "the boot file bootx64.efi"),
        (SITE, named("snponly.efi"), named("snponly.efi"), "offers iPXE snponly.efi and not the boot script"),
        (SITE, named("snponly.efi"), LEASE, "neither option 60 nor a boot file"),
    ],
)
def test_a_server_that_does_not_lead_here(source: IPv4Address, uefi: DhcpPacket, ipxe: DhcpPacket, what: str) -> None:
    found = only(answers(source, LEASE, uefi, ipxe))
    assert (found.check, found.severity) == ("dhcp-pointer", Severity.ERROR)
    assert what in found.what
    assert found.why
    assert found.what_to_do


def test_no_server_and_another_proxy() -> None:
    assert only([]).what == "no DHCP server answers on lan0"
    proxy = HeardServer(SITE, Agent.UEFI, replace(HERE, yiaddr=NOWHERE))
    assert [f.check for f in judge("lan0", [OWN], [*answers(OWN, LEASE, HERE, HERE), proxy], ["snponly.efi"])] == [
        "dhcp-pointer",
        "dhcp-proxy",
    ]
