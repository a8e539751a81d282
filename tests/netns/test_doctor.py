"""`doctor` on a real box: no complaint while it is healthy, and each planted fault is found by name."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from appliance.registry.database import Registry
from tests.netns.faulty_box import (
    ADDRESS,
    FINE,
    LEASES,
    PC,
    FaultyBox,
    current_file,
    damaged,
    firewall,
    initrd_file,
    lan,
    loader_file,
    neighbour,
    no_ganesha,
    no_portmapper,
    nobody_allowed,
    not_exported,
    not_in_force,
    not_included,
    other_interface,
    readable_key,
    server_on_same_host,
    small_disk,
    stopped,
    unplugged,
    without,
)
from tests.netns.inside import Client
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import TIMEOUT, Box
from tests.room.processes import wait_until
from tests.room.room import OTHER, Room, appliance_command


@pytest.fixture(scope="module")
def faulty(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyBox]:
    faulty = FaultyBox(room, tmp_path_factory.mktemp("faulty"))
    with ScriptedPc(room.network, PC, "faultypc", ADDRESS) as pc:
        asyncio.run(_boot(pc))
        wait_until(lambda: faulty.in_force(PC) == {pc.address}, TIMEOUT, "the exports of the PC")
        yield faulty
    faulty.stop()
    faulty.ganesha.stop()


async def _boot(pc: ScriptedPc) -> None:
    script = await pc.run_ipxe()
    assert pc.report(script.token, "computing") == 204


def findings(done: CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.stderr == ""
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def test_nothing_to_complain_about_on_a_healthy_box(faulty: FaultyBox) -> None:
    # As if a DHCP client of this host held its port.
    with Client(faulty.host, bytes(6)):
        done = faulty.examine()
    found = findings(done)
    assert [each for each in found if each["severity"] not in FINE] == []
    assert done.returncode == 0
    seen = {each["check"] for each in found if each["severity"] == "ok"}
    assert seen >= {"privileges", "configuration", "project", "interface", "address", "mtu", "server", "ports"}
    assert seen >= {"firewall", "nfs", "nfs-exports", "nfs-answers", "image", "boot-loaders", "disk", "registry"}
    assert seen >= {"allowlist", "dhcp"}
    said = [each["what"] for each in found]
    assert f"{faulty.exports_file} is as it should be" in said
    assert "the DHCP server on lan0 is 10.77.0.2" in said
    with Registry(faulty.data / "registry" / "registry.sqlite3") as registry:
        assert registry.ignored() == [], "the server heard its own doctor"


def test_the_rooms_own_box_is_healthy_too(box: Box) -> None:
    found = findings(box.verb("doctor", "--json", check=False))
    # Other tests leave PCs in the middle of their boots.
    assert {each["check"] for each in found if each["severity"] not in FINE} <= {"boots"}


def test_people_read_one_line_per_finding_and_what_to_do(faulty: FaultyBox) -> None:
    with lan(faulty, "link", ["mtu", "1400"], ["mtu", "1500"]):
        command = [appliance_command(), "--config", str(faulty.configuration), "doctor"]
        done = faulty.host.run(command, timeout=TIMEOUT, check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = lines.index("WARNING the MTU of lan0 is 1400, less than 1500")
    assert lines[at + 1].startswith("          why: firmware asks for TFTP blocks")
    assert lines[at + 2].startswith("          do:  ip link set lan0 mtu 1500")
    assert lines[-1].startswith("it works, but look at the warnings: 1 warning, ")


def test_a_missing_configuration_is_the_finding(faulty: FaultyBox) -> None:
    (found,) = findings(done := faulty.examine(faulty.directory / "nosuch.toml"))
    assert done.returncode == 2
    assert (found["check"], found["severity"]) == ("configuration", "error")
    assert "config init" in found["what_to_do"]


# The faults. Each is planted, yields the configuration to use if it is a different one, and is repaired.

Planted = AbstractContextManager[Path | None]


_TFTPD = ["--enable-tftp", "--tftp-root=/usr/lib/ipxe"]
_PROXY = ["--dhcp-range=10.77.0.0,proxy", "--pxe-service=X86-64_EFI,other,other.efi"]


@dataclass(frozen=True)
class Fault:
    """How to plant it; the check that must find it, what that says and advises, and which other checks it affects."""

    plant: Callable[[FaultyBox], Planted]
    check: str
    severity: str
    what: str
    do: str
    beside: frozenset[str] = frozenset()


def fault(
    plant: Callable[..., Any], check: str, severity: str, what: str, do: str, beside: tuple[str, ...] = ()
) -> Fault:
    return Fault(plant, check, severity, what, do, frozenset(beside))


FAULTS = {
    "port 67 held by dnsmasq": fault(
        lambda p: server_on_same_host(p, *LEASES, ready="DHCP, IP range"),
        "ports",
        "error",
        "UDP port 67 (DHCP) is used by dnsmasq (process ",
        "netboot-appliance config dhcp dnsmasq",
        ("server",),
    ),
    "port 69 held by another": fault(
        lambda p: server_on_same_host(p, *_TFTPD, ready="TFTP root"),
        "ports",
        "error",
        "UDP port 69 at 10.77.0.60 (TFTP) is used by dnsmasq (process ",
        "enable-tftp",
        ("server",),
    ),
    "the server is not running": fault(
        stopped, "server", "warning", "serve is not running", "systemctl start netboot-appliance"
    ),
    "interface down": fault(
        lambda p: lan(p, "link", ["down"], ["up"]), "interface", "error", "lan0 is down", "ip link set lan0 up"
    ),
    "interface missing": fault(
        other_interface, "interface", "error", "there is no interface lan7; there are: lan0", "[server] interfaces"
    ),
    "no link": fault(unplugged, "interface", "error", "lan0 has no link", "check the cable"),
    "address leased": fault(
        lambda p: lan(
            p,
            "address",
            ["valid_lft", "600", "preferred_lft", "600"],
            ["valid_lft", "forever", "preferred_lft", "forever"],
        ),
        "address",
        "warning",
        "10.77.0.60/24 on lan0 is leased",
        "fixed address outside the DHCP range",
    ),
    "MTU 1400": fault(
        lambda p: lan(p, "link", ["mtu", "1400"], ["mtu", "1500"]),
        "mtu",
        "warning",
        "the MTU of lan0 is 1400",
        "mtu 1500",
    ),
    "no active image": fault(
        partial(without, current_file), "image", "error", "no image is active", "netboot-appliance image build"
    ),
    "image damaged": fault(
        damaged, "image", "error", "vmlinuz is not what was built: its sha256 is", "netboot-appliance image rollback"
    ),
    "image file missing": fault(
        partial(without, initrd_file), "image", "error", "initrd.img is missing", "build again"
    ),
    "boot loader missing": fault(
        partial(without, loader_file), "boot-loaders", "error", "snponly.efi is missing", "restart the server"
    ),
    "NFS-Ganesha stopped": fault(
        no_ganesha, "nfs", "error", "NFS-Ganesha is not running", "systemctl start nfs-ganesha"
    ),
    "NFS-Ganesha without our include": fault(
        not_included, "nfs", "error", "NFS-Ganesha does not read our exports", "%include"
    ),
    "exports lost": fault(
        not_exported, "nfs-exports", "warning", "netboot-appliance.conf is out of date", "exports apply"
    ),
    "exports not in force": fault(
        not_in_force,
        "nfs-mount",
        "error",
        "root refused by NFS: the mount of ",
        "systemctl restart nfs-ganesha",
    ),
    "portmapper refuses": fault(
        no_portmapper,
        "nfs-answers",
        "error",
        "the portmapper of 10.77.0.60, asked for mountd, does not answer",
        "systemctl restart rpcbind nfs-ganesha",
        ("firewall", "nfs-mount"),
    ),
    "firewall drops 69": fault(
        lambda p: firewall(p, "iifname lan0 udp dport 69 drop"),
        "firewall",
        "error",
        "the firewall drops UDP port 69 (TFTP) from lan0: chain inet guard input",
        "nft insert rule inet guard input iifname lan0 udp dport 69 accept",
    ),
    "another proxyDHCP server": fault(
        lambda p: neighbour(p, *_PROXY, ready="DHCP, proxy"),
        "dhcp-proxy",
        "warning",
        f"another proxyDHCP server answers on lan0: {OTHER}",
        "switch network boot off",
    ),
    "option 60 and nobody on 4011": fault(
        lambda p: neighbour(p, *LEASES, "--dhcp-option-force=60,PXEClient"),
        "dhcp-option-60",
        "error",
        f"the DHCP server {OTHER} sends option 60 PXEClient with its leases, but nobody listens",
        "take option 60 out",
    ),
    "iPXE told to ignore proxies": fault(
        lambda p: neighbour(p, *LEASES, "--dhcp-option-force=encap:175,176,1b"),
        "dhcp-ipxe",
        "error",
        f"the DHCP server {OTHER} sends iPXE the option 175.176",
        "take option 176 out",
    ),
    "boot file in the lease": fault(
        lambda p: neighbour(p, *LEASES, "--dhcp-boot=bootx64.efi"),
        "dhcp-boot-file",
        "warning",
        f"the DHCP server {OTHER} itself names a boot file: bootx64.efi",
        "options 66 and 67",
    ),
    "allowlist empty": fault(
        nobody_allowed, "allowlist", "warning", "the allowlist is empty", "netboot-appliance allow add MAC"
    ),
    "registry unwritable": fault(
        lambda p: small_disk(p, read_only=True),
        "registry",
        "error",
        "the registry cannot be written: ",
        "check the disk",
        ("server", "disk"),
    ),
    "disk full": fault(
        lambda p: small_disk(p, read_only=False),
        "disk",
        "error",
        "the disk is full",
        "delete old images",
        ("server", "nfs-exports", "nfs-bounds", "nfs-mount"),
    ),
    "key for everybody": fault(readable_key, "configuration", "warning", "everybody may read", "chmod o-rwx"),
}


@pytest.mark.parametrize("planted", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_found(faulty: FaultyBox, planted: Fault) -> None:
    with planted.plant(faulty) as configuration:
        done = faulty.examine(configuration)
    complaints = [each for each in findings(done) if each["severity"] not in FINE]
    (found, *_) = [each for each in complaints if each["check"] == planted.check and planted.what in each["what"]]
    assert found["severity"] == planted.severity
    assert found["why"]
    assert planted.do in found["what_to_do"]
    assert {each["check"] for each in complaints} <= {planted.check} | planted.beside
    assert done.returncode == (2 if any(each["severity"] == "error" for each in complaints) else 1)


def test_it_is_healthy_again(faulty: FaultyBox) -> None:
    assert [each for each in findings(faulty.examine()) if each["severity"] not in FINE] == []
