"""What a science application reaches: the live system's own rules, in the kernel, for the user that BOINC runs as.

The PC is a namespace in which root runs image/tree's script `network`; attacks run as the user 731 of that namespace.
They fail without the rules: the same probes, as root, reach everything.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image import build
from image.recipe import BOINC_UID
from services.ethernet import MacAddress
from tests.room.namespaces import Namespace, Network, assert_nothing_left
from tests.room.processes import wait_until

SCRIPTS = build.TREE / "includes.chroot_after_packages/usr/lib/netboot-appliance"
BOX, ROUTER, RESOLVER, PROJECT, NEIGHBOUR, PC = (f"198.51.100.{host}" for host in (1, 2, 3, 4, 5, 50))
"""The local network has public addresses, as at universities."""
FAR_BOX, PRIVATE, INTERNET = "10.77.0.1", "10.99.0.9", "203.0.113.9"
"""Behind the router: a box, another site of the office, the Internet."""
PC6, INTERNET6 = "2001:db8::50", "2001:db8::9"
"""The PC cannot know that the second is not a neighbour of its own: with IPv6 neighbours have public addresses."""
COMMAND_LINE = "nfsroot={box}:/images/r BOOTIF=01-02-77-00-00-00-32 netboot_appliance.network={network}\n"

LISTEN = """\
import itertools, selectors, socket, sys
ready = selectors.DefaultSelector()
addresses, ports = (argument.split() for argument in sys.argv[1:])
for address, port in itertools.product(addresses, map(int, ports)):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
        if kind is socket.SOCK_STREAM:
            one.listen()
        ready.register(one, selectors.EVENT_READ)
print("listening", flush=True)
while True:
    for key, _ in ready.select():
        if key.fileobj.type is socket.SOCK_STREAM:
            key.fileobj.accept()[0].close()
        else:
            data, peer = key.fileobj.recvfrom(100)
            key.fileobj.sendto(data, peer)
"""

ASK = """\
import socket, sys
kind, source, address, port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as one:
    one.settimeout(2)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("", source))
    try:
        one.connect((address, port))
        if kind == "udp":
            one.send(b"x")
            one.recv(10)
        print("reached")
    except OSError as error:
        print(error)
"""


@dataclass
class Site:
    """The PC, and hosts that answer on every port that is asked here."""

    pc: Namespace
    neighbour: Namespace
    directory: Path

    def listen(self, host: Namespace, addresses: str, ports: str, *, as_boinc: bool = False) -> None:
        """Answer on these ports by TCP and UDP."""
        command = [sys.executable, "-c", LISTEN, addresses, ports]
        log = self.directory / f"listen-{host.name}.log"
        host.start(f"listener on {host.name}", _as_boinc(command) if as_boinc else command, log)
        wait_until(lambda: "listening" in log.read_text(), 60, f"{log} to say that it listens")

    def apply(self, network: str, box: str = BOX) -> None:
        """Load the rules, as the live system does before BOINC starts and with each lease."""
        (self.directory / "proc/cmdline").write_text(COMMAND_LINE.format(box=box, network=network))
        self.pc.run(["sh", str(self.directory / "network")])

    def reaches(self, address: str, port: int, kind: str = "tcp", *, source: int = 0, root: bool = False) -> bool:
        """Whether a program of the PC gets through, as the user boinc unless `root`."""
        command = [sys.executable, "-c", ASK, kind, str(source), address, str(port)]
        return self.pc.run(command if root else _as_boinc(command)).stdout == "reached\n"


def _as_boinc(command: list[str]) -> list[str]:
    return ["setpriv", f"--reuid={BOINC_UID}", "--clear-groups", "--", *command]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("prison")
    (directory / "proc").mkdir()
    (directory / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    for name in ("boot.sh", "network"):
        text = (SCRIPTS / name).read_text()
        for real, here in (
            ("/usr/lib/netboot-appliance", str(directory)),
            ("/proc/cmdline", f"{directory}/proc/cmdline"),
            ("/etc/resolv.conf", f"{directory}/resolv.conf"),
            ("skuid boinc", f"skuid {BOINC_UID}"),
        ):
            text = text.replace(real, here)
        (directory / name).write_text(text)
    with Network() as network:
        hosts = {
            name: network.host(name, f"{address}/24", MacAddress.parse(f"02:77:00:00:01:{number:02x}"))
            for number, (name, address) in enumerate(
                {"box": BOX, "beyond": ROUTER, "dns": RESOLVER, "project": PROJECT, "other": NEIGHBOUR}.items()
            )
        }
        pc = network.host("pc", f"{PC}/24", MacAddress.parse("02:77:00:00:00:32"))
        pc.ip("route", "add", "default", "via", ROUTER)
        for address in (FAR_BOX, PRIVATE, INTERNET):
            hosts["beyond"].ip("address", "add", f"{address}/32", "dev", "lo")
        for host, address in ((pc, PC6), (hosts["beyond"], INTERNET6)):
            host.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/lan0/disable_ipv6"])
            host.ip("address", "add", f"{address}/64", "dev", "lan0", "nodad")
        site = Site(pc, hosts["other"], directory)
        more = {"beyond": f"{ROUTER} {FAR_BOX} {PRIVATE} {INTERNET} {INTERNET6}"}
        for (name, host), address in zip(hosts.items(), (BOX, ROUTER, RESOLVER, PROJECT, NEIGHBOUR), strict=True):
            site.listen(host, more.get(name, address), "22 53 80 2049")
        yield site
    assert_nothing_left(network.room)


EVERYTHING = [
    (address, port, kind)
    for address in (BOX, ROUTER, RESOLVER, PROJECT, NEIGHBOUR, PRIVATE, INTERNET)
    for port in (22, 53, 80, 2049)
    for kind in ("tcp", "udp")
]


def test_boinc_reaches_the_internet_and_the_name_servers_port_and_nothing_else(site: Site) -> None:
    site.apply("internet")
    reached = {one for one in EVERYTHING if site.reaches(*one)}
    assert reached == {
        *((RESOLVER, 53, kind) for kind in ("tcp", "udp")),
        *((INTERNET, port, kind) for port in (22, 53, 80, 2049) for kind in ("tcp", "udp")),
    }
    # The rest of the system is as free as before: these probes would reach a host that is there.
    assert all(site.reaches(*one, root=True) for one in EVERYTHING)


def test_a_box_behind_a_router_is_closed_too(site: Site) -> None:
    site.apply("internet", box=INTERNET)
    assert not site.reaches(INTERNET, 80)
    assert site.reaches(INTERNET, 80, root=True)


def test_what_is_configured_is_open(site: Site) -> None:
    site.apply(f"internet,{PROJECT},10.99.0.0/16")
    assert site.reaches(PROJECT, 80)
    assert site.reaches(PRIVATE, 80)
    assert not site.reaches(NEIGHBOUR, 80)
    assert not site.reaches(FAR_BOX, 80)


def test_all_opens_everything_and_internet_closes_it_again(site: Site) -> None:
    site.apply("all")
    assert site.reaches(NEIGHBOUR, 80)
    site.apply("internet")
    assert not site.reaches(NEIGHBOUR, 80)


def test_boinc_manager_reaches_boinc_but_no_other_port_that_an_application_opens(site: Site) -> None:
    site.apply("internet")
    site.listen(site.pc, PC, "8080 31416", as_boinc=True)
    asked = {
        port: site.neighbour.run([sys.executable, "-c", ASK, "tcp", "0", PC, port]).stdout for port in ("8080", "31416")
    }
    assert asked == {"8080": "timed out\n", "31416": "reached\n"}
    for process in site.pc.processes:
        process.stop()


def test_the_managers_port_is_no_way_out(site: Site) -> None:
    site.apply("internet")
    assert not site.reaches(NEIGHBOUR, 80, source=31416)
    assert not site.reaches(NEIGHBOUR, 80, "udp", source=31416)


def test_ipv6_leads_nowhere(site: Site) -> None:
    site.apply("internet")
    assert not site.reaches(INTERNET6, 80)
    assert not site.reaches(INTERNET6, 53, "udp")
    assert site.reaches(INTERNET6, 80, root=True)
    assert site.reaches(INTERNET6, 53, "udp", root=True)
    site.apply("all")
    assert site.reaches(INTERNET6, 80)
