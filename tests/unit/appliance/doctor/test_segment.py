"""How the doctor judges the answers on the segment."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.doctor.finding import Finding, Severity
from appliance.doctor.segment import boot_server_of, judge, judge_alone
from services.ethernet import MacAddress
from services.probe.firmware import Agent
from services.probe.message import NOWHERE, DhcpPacket
from services.probe.port_4011 import Port4011
from services.probe.server_questions import HeardServer

OWN, SITE, OTHER = (IPv4Address(f"10.77.0.{number}") for number in (1, 2, 5))
MAC = MacAddress.parse("02:00:00:00:00:01")
LEASE = DhcpPacket(True, 2, 1, 0, NOWHERE, IPv4Address("10.77.0.100"), NOWHERE, MAC, "", "", {54: SITE.packed})
PROXY = replace(LEASE, yiaddr=NOWHERE, siaddr=OTHER, file="pxelinux.0", options={54: OTHER.packed, 60: b"PXEClient"})


def heard(offer: DhcpPacket, source: IPv4Address = SITE, agent: Agent = Agent.UEFI) -> HeardServer:
    return HeardServer(source, agent, offer)


def faults(*answers: HeardServer, servers: dict[IPv4Address, Port4011] | None = None) -> list[Finding]:
    return [f for f in judge("lan0", [OWN], answers, servers or {}) if f.severity is not Severity.OK]


def with_options(options: dict[int, bytes]) -> DhcpPacket:
    return replace(LEASE, options={**LEASE.options, **options})


def test_one_dhcp_server_that_leases_and_nothing_else_is_healthy() -> None:
    assert faults(heard(LEASE), heard(LEASE, agent=Agent.SYSTEM), heard(LEASE, agent=Agent.IPXE)) == []


def test_what_we_say_ourselves_does_not_count() -> None:
    assert faults(heard(LEASE), heard(PROXY, OWN)) == []


def test_no_dhcp_server_is_a_warning() -> None:
    (fault,) = faults()
    assert (fault.check, fault.severity, fault.what) == ("dhcp", Severity.WARNING, "no DHCP server answers on lan0")


def test_two_dhcp_servers_are_noted() -> None:
    (fault,) = faults(heard(LEASE), heard(LEASE, OTHER))
    assert (fault.severity, fault.what) == (Severity.NOTE, "2 DHCP servers answer on lan0: 10.77.0.2 and 10.77.0.5")


def test_another_proxy_is_named_once_with_its_boot_file() -> None:
    (fault,) = faults(heard(LEASE), heard(PROXY, OTHER), heard(PROXY, OTHER, Agent.IPXE))
    assert (fault.check, fault.severity) == ("dhcp-proxy", Severity.WARNING)
    assert "10.77.0.5" in fault.what
    assert "pxelinux.0" in fault.why


@pytest.mark.parametrize(
    ("listens", "severity", "said"),
    [
        (Port4011.NOBODY, Severity.ERROR, "nobody listens on port 4011 of 10.77.0.2"),
        (Port4011.ANSWERS, Severity.WARNING, "10.77.0.2 answers on port 4011"),
        (Port4011.SILENT, Severity.WARNING, "sends option 60 PXEClient with its leases"),
    ],
)
def test_a_lease_with_option_60(listens: Port4011, severity: Severity, said: str) -> None:
    (fault,) = faults(heard(with_options({60: b"PXEClient"})), servers={SITE: listens})
    assert (fault.check, fault.severity) == ("dhcp-option-60", severity)
    assert said in fault.what
    assert "take option 60 out" in fault.what_to_do


def test_firmware_asks_siaddr_then_the_server_then_the_sender() -> None:
    assert boot_server_of(heard(replace(LEASE, siaddr=OTHER))) == OTHER
    assert boot_server_of(heard(LEASE)) == SITE
    assert boot_server_of(heard(replace(LEASE, options={}), OTHER)) == OTHER


def test_ipxe_told_to_ignore_proxies() -> None:
    (fault,) = faults(heard(with_options({175: b"\xb0\x01\x01"}), agent=Agent.IPXE))
    assert (fault.check, fault.severity) == ("dhcp-ipxe", Severity.ERROR)
    assert "175.176" in fault.what
    assert faults(heard(with_options({175: b"\x13\x01\xb0"}))) == []


def test_a_boot_file_in_the_lease() -> None:
    (fault,) = faults(heard(replace(LEASE, file="bootx64.efi")), heard(LEASE))
    assert (fault.check, fault.severity) == ("dhcp-boot-file", Severity.WARNING)
    assert "bootx64.efi" in fault.what


def test_where_the_box_is_the_dhcp_server_there_is_no_other() -> None:
    (fine,) = judge_alone("lan0", [OWN], [heard(LEASE, OWN)], forced=False)
    assert (fine.severity, fine.what) == (Severity.OK, "no other DHCP server answers on lan0")
    other, proxy = judge_alone("lan0", [OWN], [heard(LEASE), heard(LEASE), heard(PROXY, OTHER)], forced=False)
    assert (other.severity, other.what) == (Severity.ERROR, "another DHCP server answers on lan0: 10.77.0.2")
    assert "force = true" in other.what_to_do
    assert (proxy.check, proxy.severity) == ("dhcp-proxy", Severity.WARNING)


def test_another_dhcp_server_that_is_expected_is_noted() -> None:
    (known,) = judge_alone("lan0", [OWN], [heard(LEASE)], forced=True)
    assert known.severity is Severity.NOTE
