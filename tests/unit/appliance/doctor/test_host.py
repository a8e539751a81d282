"""How the doctor judges the host: privileges, interface, ports, disk, registry, clock."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from appliance.doctor import clock, interface, ports, privileges, storage
from appliance.doctor.finding import Finding, Severity
from appliance.network.ports import Listener, way_out
from appliance.registry.disk import Disk
from services.ethernet import MacAddress
from services.linux.interfaces import Address, Link, links

FIXED = Address(IPv4Interface("10.77.0.1/24"), None)
LEASED = Address(IPv4Interface("10.77.0.9/24"), 600)
BOX = IPv4Address("10.77.0.1")
PORTS = ports.needed([BOX], 80)
SERVER = 4242
MAC = MacAddress.parse("02:77:00:00:00:01")


def said(findings: list[Finding]) -> list[tuple[str, Severity]]:
    return [(finding.check, finding.severity) for finding in findings]


def link(**changes: Any) -> Link:
    values: dict[str, Any] = {"name": "lan0", "index": 2, "mac": MAC, "up": True, "carrier": True, "mtu": 1500}
    return Link(**{**values, "addresses": (FIXED,), **changes})


def test_a_sound_interface() -> None:
    assert said(interface.judge("lan0", [link()])) == [
        ("interface", Severity.OK),
        ("address", Severity.OK),
        ("mtu", Severity.OK),
    ]


@pytest.mark.parametrize(
    ("found", "check", "severity", "what", "do"),
    [
        (link(name="eth7"), "interface", Severity.ERROR, "there is no interface lan0; there are: eth7", "interfaces"),
        (link(mac=None), "interface", Severity.ERROR, "lan0 is not an Ethernet interface", "interfaces"),
        (link(up=False, carrier=False), "interface", Severity.ERROR, "lan0 is down", "ip link set lan0 up"),
        (link(carrier=False), "interface", Severity.ERROR, "lan0 has no link", "cable"),
        (link(addresses=()), "address", Severity.ERROR, "lan0 has no IPv4 address", "fixed address"),
        (link(addresses=(LEASED, FIXED)), "address", Severity.WARNING, "10.77.0.9/24 on lan0 is leased", "reserve"),
        (link(mtu=1400), "mtu", Severity.WARNING, "the MTU of lan0 is 1400", "mtu 1500"),
    ],
)
def test_a_fault_of_the_interface(found: Link, check: str, severity: Severity, what: str, do: str) -> None:
    (fault,) = [finding for finding in interface.judge("lan0", [found]) if finding.severity is not Severity.OK]
    assert (fault.check, fault.severity) == (check, severity)
    assert what in fault.what
    assert do in fault.what_to_do


def test_a_second_address_is_noted_and_may_be_leased() -> None:
    (found,) = [f for f in interface.judge("lan0", [link(addresses=(FIXED, LEASED))]) if f.severity is not Severity.OK]
    assert (found.check, found.severity) == ("address", Severity.NOTE)
    assert "10.77.0.9/24" in found.what


def test_the_loopback_interface_is_seen_as_it_is() -> None:
    loopback = next(each for each in links() if each.name == "lo")
    assert (loopback.ethernet, loopback.index) == (False, 1)
    assert all(each.seconds is None for each in loopback.addresses)


def listener(protocol: str, number: int, address: str, name: str = "serve", pid: int | None = SERVER) -> Listener:
    known = IPv4Address(address)
    return Listener(protocol, number, known, known.is_unspecified, name, pid)


OURS = [
    listener("udp", 67, "0.0.0.0"),
    listener("udp", 4011, "10.77.0.1"),
    listener("udp", 69, "10.77.0.1"),
    listener("tcp", 80, "10.77.0.1"),
]


def test_ports_that_the_server_holds_are_fine() -> None:
    findings = ports.judge(PORTS, [*OURS, listener("tcp", 22, "0.0.0.0", "sshd", 1)], SERVER)
    assert {finding.severity for finding in findings} == {Severity.OK}
    assert [finding.check for finding in findings] == ["server"] + ["ports"] * 4


def test_a_server_that_is_not_running_is_a_warning_and_its_ports_are_free() -> None:
    findings = ports.judge(PORTS, [], None)
    assert said(findings) == [("server", Severity.WARNING)] + [("ports", Severity.OK)] * 4
    assert findings[1].what == "UDP port 67 (DHCP) is free"


@pytest.mark.parametrize(
    ("other", "what", "do"),
    [
        (
            listener("udp", 67, "0.0.0.0", "dnsmasq", 7),
            "UDP port 67 (DHCP) is used by dnsmasq (process 7)",
            "netboot-appliance config dhcp dnsmasq",
        ),
        (listener("udp", 67, "192.0.2.1", "dhcpd", 7), "UDP port 67 (DHCP) is used by dhcpd", "config dhcp isc"),
        (listener("udp", 67, "10.77.0.1", "kea-dhcp4", 7), "is used by kea-dhcp4", "config dhcp kea"),
        (listener("udp", 69, "0.0.0.0", "in.tftpd", 7), "UDP port 69 at 10.77.0.1 (TFTP)", "disable --now tftpd-hpa"),
        (listener("udp", 4011, "10.77.0.1", "strange", 7), "is used by strange", "another host"),
        (listener("tcp", 80, "0.0.0.0", "nginx", 7), "TCP port 80 at 10.77.0.1 (HTTP)", "server.http_port"),
    ],
)
def test_a_port_that_another_program_holds(other: Listener, what: str, do: str) -> None:
    (fault,) = [finding for finding in ports.judge(PORTS, [other], None) if finding.severity is Severity.ERROR]
    assert fault.check == "ports"
    assert what in fault.what
    assert do in fault.what_to_do


@pytest.mark.parametrize(
    "other",
    [
        listener("udp", 69, "10.77.0.2", "in.tftpd", 7),
        listener("tcp", 69, "10.77.0.1", "other", 7),
        listener("udp", 68, "0.0.0.0", "dhclient", 7),
    ],
)
def test_a_listener_on_another_address_protocol_or_port_is_no_problem(other: Listener) -> None:
    assert not [
        finding for finding in ports.judge(PORTS, [other, *OURS], SERVER) if finding.severity is not Severity.OK
    ]


def test_a_server_that_lost_a_port_is_found() -> None:
    findings = ports.judge(PORTS, OURS[1:], SERVER)
    (fault,) = [finding for finding in findings if finding.severity is not Severity.OK]
    assert fault.what == "the server is running, but does not listen on UDP port 67 (DHCP)"
    assert fault.severity is Severity.ERROR


def test_a_holder_that_cannot_be_seen_is_not_accused() -> None:
    findings = ports.judge(PORTS, [listener("udp", 67, "0.0.0.0", "?", None), *OURS[1:]], SERVER)
    (fault,) = [finding for finding in findings if finding.severity is not Severity.OK]
    assert (fault.severity, fault.what) == (
        Severity.WARNING,
        "UDP port 67 (DHCP) is used by a process that cannot be seen",
    )


def test_privileges_of_the_doctor() -> None:
    assert privileges.judge_doctor(0x1FFFFFFFFFF).severity is Severity.OK
    found = privileges.judge_doctor(0x1FFFFFFFFFF & ~(1 << 13))
    assert (found.severity, found.what) == (Severity.WARNING, "the doctor runs without CAP_NET_RAW")


@pytest.mark.parametrize(
    ("effective", "first_free", "severity"),
    [(1 << 10, 1024, Severity.OK), (0, 67, Severity.OK), (0, 68, Severity.ERROR), (~(1 << 10), 1024, Severity.ERROR)],
)
def test_privileges_of_the_server(effective: int, first_free: int, severity: Severity) -> None:
    assert privileges.judge_server(effective, first_free).severity is severity


@pytest.mark.parametrize(
    ("disk", "severity", "what"),
    [
        (Disk(Path("/d"), 80 << 30, 10**6, False), Severity.OK, "85.9 GB are free for /d"),
        (Disk(Path("/d"), 80 << 30, None, False), Severity.OK, "85.9 GB"),
        (Disk(Path("/d"), 2 << 30, None, False), Severity.WARNING, "only 2.1 GB are free for /d"),
        (Disk(Path("/d"), 1 << 20, None, False), Severity.ERROR, "the disk is full: 0.0 GB are free for /d"),
        (Disk(Path("/d"), 80 << 30, 3, False), Severity.ERROR, "only 3 more files fit into /d"),
        (Disk(Path("/d"), 80 << 30, None, True), Severity.ERROR, "the file system of /d is read-only"),
    ],
)
def test_the_disk(disk: Disk, severity: Severity, what: str) -> None:
    found = storage.judge_disk(disk)
    assert (found.check, found.severity) == ("disk", severity)
    assert what in found.what


def test_the_registry() -> None:
    assert storage.judge_registry(Path("/r"), "").severity is Severity.OK
    found = storage.judge_registry(Path("/r"), "it is read-only")
    assert (found.severity, found.what) == (Severity.ERROR, "the registry cannot be written: it is read-only")


@pytest.mark.parametrize(
    ("now", "synchronised", "built", "severity"),
    [
        ("2027-05-01", True, None, Severity.OK),
        ("2027-05-01", True, "2027-04-30", Severity.OK),
        ("2027-05-01", False, None, Severity.NOTE),
        ("2027-05-01", None, None, Severity.NOTE),
        ("1970-01-01", True, None, Severity.ERROR),
        ("2027-05-01", True, "2027-05-02", Severity.ERROR),
    ],
)
def test_the_clock(now: str, synchronised: bool | None, built: str | None, severity: Severity) -> None:
    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    found = clock.judge(moment(now), synchronised, moment(built) if built else None)
    assert (found.check, found.severity) == ("clock", severity)


def test_without_broadcasts_port_67_may_belong_to_another_server() -> None:
    others = Listener("udp", 67, None, True, "dnsmasq", 17)
    ours = [Listener(p.protocol, p.number, p.address, False, "netboot-appliance", SERVER) for p in PORTS[1:]]
    needed = ports.needed([BOX], 80, broadcasts=False)
    assert {f.severity for f in ports.judge(needed, [others, *ours], SERVER)} == {Severity.OK}
    assert Severity.ERROR in {f.severity for f in ports.judge(PORTS, [others, *ours], SERVER)}


@pytest.mark.parametrize(
    ("name", "port", "said"),
    [
        ("dnsmasq", 67, "netboot-appliance config dhcp dnsmasq --way options"),
        ("dhcpd", 67, "netboot-appliance config dhcp isc;"),
        ("kea-dhcp4", 67, "netboot-appliance config dhcp kea;"),
        ("udhcpd", 67, "let udhcpd name the boot files (options 66 and 67)"),
        ("dnsmasq", 69, "enable-tftp"),
        ("nginx", 80, "server.http_port"),
        ("netboot-appliance", 67, "already running"),
    ],
)
def test_the_way_out_is_that_of_the_port(name: str, port: int, said: str) -> None:
    assert said in way_out(name, 17, port)
