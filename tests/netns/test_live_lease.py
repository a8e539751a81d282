"""The lease of a running PC: image/tree's scripts, run by busybox udhcpc, with DHCP servers that honest people have set
up, and with one that nobody wanted.

The PC is a namespace in which root runs the script `lease`. Its root hangs on the address PC, as after the initramfs.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image import build
from services.ethernet import MacAddress
from tests.room.namespaces import Namespace, Network, assert_nothing_left
from tests.room.processes import Process, wait_until
from tests.room.room import CHECKOUT

SCRIPTS = build.TREE / "includes.chroot_after_packages/usr/lib/netboot-appliance"
BOX, FIRST, SECOND, PC = "10.77.0.1", "10.77.0.2", "10.77.0.6", "10.77.0.101"
MAC = MacAddress.parse("52:54:00:0b:06:01")
COMMAND_LINE = f"nfsroot={BOX}:/images/r BOOTIF=01-{str(MAC).replace(':', '-')} netboot_appliance.network=internet\n"
DNSMASQ = """\
keep-in-foreground
log-facility=-
port=0
user=root
no-ping
interface=lan0
bind-interfaces
log-dhcp
"""


@dataclass
class Office:
    """The PC's wire, and hosts on which DHCP servers run."""

    network: Network
    pc: Namespace
    first: Namespace
    second: Namespace
    directory: Path

    def dnsmasq(self, host: Namespace, settings: str) -> Process:
        """Start a site's DHCP server; `settings` are lines of its configuration."""
        file = self.directory / f"{host.name}.conf"
        file.write_text(f"{DNSMASQ}dhcp-leasefile={self.directory}/{host.name}.leases\n{settings}")
        log = self.directory / f"{host.name}.log"
        process = host.start("dnsmasq", ["dnsmasq", f"--conf-file={file}", "--pid-file="], log)
        process.wait_for_log("IP range", 60)
        return process

    def rogue(self, host: Namespace, address: str, leases: str, options: dict[int, bytes]) -> Process:
        """Start tests/fakes/rogue_dhcp_server.py."""
        text = json.dumps({number: value.hex() for number, value in options.items()})
        command = [sys.executable, "-m", "tests.fakes.rogue_dhcp_server", address, leases, text]
        process = host.start("the rogue", command, self.directory / "rogue.log", CHECKOUT)
        process.wait_for_log("serving", 60)
        return process

    def renew(self) -> Process:
        """Run the script `lease`, as the live system does."""
        command = ["env", f"PATH={self.directory}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", f"{self.directory}/lease"]
        return self.pc.start("lease", command, self.directory / "lease.log", self.directory)

    def until(self, file: str, text: str) -> None:
        """Wait until a file holds this."""
        path = self.directory / file
        wait_until(lambda: path.exists() and text in path.read_text(errors="replace"), 60, f"{path} to hold {text}")

    def addresses(self) -> list[str]:
        """The PC's addresses."""
        return [line.split()[3] for line in self.pc.ip("-4", "-o", "address", "show", "dev", "lan0").splitlines()]

    def routes(self) -> set[str]:
        """The PC's routes, without what the kernel notes beside them."""
        lines = self.pc.ip("-4", "route").splitlines()
        return {" ".join(w for w in line.split() if w not in ("onlink",)).partition(" scope")[0] for line in lines}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    for name in ("proc", "bin", "dev"):
        (tmp_path / name).mkdir()
    (tmp_path / "proc/cmdline").write_text(COMMAND_LINE)
    (tmp_path / "consoles").write_text("screen\n")
    (tmp_path / "resolv.conf").write_text(f"nameserver {FIRST}\n")
    (tmp_path / "bin/systemctl").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/systemctl\n')
    (tmp_path / "bin/systemctl").chmod(0o755)
    for name in ("boot.sh", "network", "lease", "lease-event"):
        text = (SCRIPTS / name).read_text()
        for real, here in (
            ("/usr/lib/netboot-appliance", str(tmp_path)),
            ("/proc/cmdline", f"{tmp_path}/proc/cmdline"),
            ("/sys/class/tty/console/active", f"{tmp_path}/consoles"),
            ("/dev/$console", f"{tmp_path}/dev/$console"),
            ("/etc/resolv.conf", f"{tmp_path}/resolv.conf"),
            ("/run/systemd", f"{tmp_path}/systemd"),
            ("skuid boinc", "skuid 731"),
        ):
            text = text.replace(real, here)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with Network() as network:
        first = network.host("first", f"{FIRST}/24", MacAddress.parse("02:77:00:00:00:02"))
        second = network.host("second", f"{SECOND}/24", MacAddress.parse("02:77:00:00:00:06"))
        pc = network.host("pc", f"{PC}/24", MAC)
        pc.ip("route", "add", "default", "via", FIRST)
        yield Office(network, pc, first, second, tmp_path)
    assert_nothing_left(network.room)


def test_every_option_of_the_lease_is_in_force(office: Office) -> None:
    office.dnsmasq(
        office.first,
        f"""\
dhcp-authoritative
dhcp-vendorclass=set:ramdisk,Linux ipconfig
dhcp-range=tag:ramdisk,10.77.0.100,10.77.0.110,2m
dhcp-host={MAC},{PC}
dhcp-option=option:router,10.77.0.7
dhcp-option=option:classless-static-route,10.9.0.0/16,10.77.0.8,0.0.0.0/0,10.77.0.9
dhcp-option=option:mtu,1400
dhcp-option=option:dns-server,10.77.0.2,10.77.0.3
dhcp-option=option:domain-name,domain.example
dhcp-option=option:domain-search,search.example,other.example
dhcp-option=option:ntp-server,10.77.0.4,10.77.0.5
""",
    )
    office.renew()
    office.until("systemctl", "try-restart systemd-timesyncd.service")
    timesyncd = office.directory / "systemd/timesyncd.conf.d/netboot-appliance.conf"
    assert timesyncd.read_text() == "[Time]\nNTP=10.77.0.4 10.77.0.5\n"
    expected = "search search.example other.example\nnameserver 10.77.0.2\nnameserver 10.77.0.3\n"
    assert (office.directory / "resolv.conf").read_text() == expected
    assert office.routes() == {
        "default via 10.77.0.9 dev lan0",
        "10.9.0.0/16 via 10.77.0.8 dev lan0",
        "10.77.0.0/24 dev lan0 proto kernel",
        f"{BOX} dev lan0",
    }
    assert office.pc.run(["cat", "/sys/class/net/lan0/mtu"]).stdout == "1400\n"
    assert office.addresses() == [f"{PC}/24"]


def test_of_two_servers_the_one_that_gave_the_address_renews_it(office: Office) -> None:
    """Two servers share out one network. The other one answers at once, this one a second later."""
    range_ = "dhcp-range=10.77.0.100,10.77.0.110,2m\n"
    office.dnsmasq(office.first, f"{range_}dhcp-reply-delay=1\ndhcp-host={MAC},{PC}\n")
    office.dnsmasq(office.second, "dhcp-range=10.77.0.201,10.77.0.210,2m\n")
    office.renew()
    office.until(f"{office.first.name}.log", f"DHCPACK(lan0) {PC} {MAC}")
    office.until(f"{office.second.name}.log", "DHCPOFFER(lan0) 10.77.0.2")
    assert "DHCPACK" not in (office.directory / f"{office.second.name}.log").read_text()
    assert office.addresses() == [f"{PC}/24"]


def test_a_server_that_refuses_takes_nothing_away(office: Office) -> None:
    before = office.addresses(), office.routes()
    office.rogue(office.second, SECOND, "", {})
    office.renew()
    office.until("dev/screen", f"a DHCP server refuses to renew the address {PC}; keeping it")
    assert (office.addresses(), office.routes()) == before


EVIL = b"a\nnameserver 10.66.6.6\n$(touch x)`touch x`'; touch x #"


def test_a_rogue_servers_values_are_never_commands_and_never_lines_of_files(office: Office) -> None:
    options = {
        3: bytes((0, 0, 0, 0)),
        6: bytes((10, 77, 0, 2)),
        12: EVIL,
        15: EVIL,
        17: EVIL,
        26: (68).to_bytes(2, "big"),
        # One label holds it all. A route to the box by way of the rogue.
        119: bytes([len(EVIL)]) + EVIL + b"\0",
        121: bytes((32, 10, 77, 0, 1, 10, 77, 0, 6)),
    }
    office.rogue(office.second, SECOND, PC, options)
    office.renew()
    office.until("rogue.log", "sent 5")
    # busybox itself says "bad" for a domain that is none.
    expected = "search bad\nnameserver 10.77.0.2\n"
    wait_until(lambda: (office.directory / "resolv.conf").read_text() == expected, 60, "the lease")
    assert not (office.directory / "x").exists()
    assert f"{BOX} via" not in office.pc.ip("-4", "route")
    assert office.pc.run(["cat", "/sys/class/net/lan0/mtu"]).stdout == "1500\n"
    assert office.addresses() == [f"{PC}/24"]
