"""`doctor` on a real box: nothing to complain about while it is healthy, and each planted fault found by its name."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from appliance.registry import Registry
from services.ethernet import MacAddress
from tests.netns.inside import Client
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import PATIENCE, Box, install_release
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Namespace, run
from tests.room.processes import wait_until
from tests.room.room import OTHER, Room, appliance_command, host_mac, write_configuration

ADDRESS = IPv4Address("10.77.0.60")
PC = MacAddress.parse("52:54:00:78:00:01")
FINE = ("ok", "note")
DNSMASQ = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--port=0"]
DNSMASQ += ["--log-facility=-", "--interface=lan0", "--bind-interfaces", "--no-ping", "--leasefile-ro"]
LEASES = ["--dhcp-range=10.77.0.210,10.77.0.220,2m"]


class Patient(Box):
    """A whole box of this test's own, at which one PC has booted: what is done to it disturbs nobody else."""

    def __init__(self, room: Room, directory: Path) -> None:
        host = room.network.host("patient", f"{ADDRESS}/24", host_mac(ADDRESS))
        super().__init__(host, write_configuration(directory), directory / "data", directory / "serve.log")
        self.room = room
        self.directory = directory
        self.exports_file = directory / "ganesha" / "netboot-appliance.conf"
        self.ganesha = Ganesha(host.name, directory / "ganesha", self.exports_file)
        self.release = install_release(self.data / "images")
        self.verb("allow", "add", str(PC))
        self.ganesha.start()
        self.start()

    def stop(self) -> None:
        """End the server."""
        assert self.process is not None
        self.process.stop()

    def examine(self, configuration: Path | None = None) -> CompletedProcess[str]:
        """Run the doctor."""
        command = [appliance_command(), "--config", str(configuration or self.configuration), "doctor", "--json"]
        return self.host.run(command, timeout=60, check=False)

    def changed(self, before: str, after: str) -> Path:
        """A configuration that differs in one place."""
        text = self.configuration.read_text()
        assert before in text
        path = self.directory / "changed.toml"
        path.write_text(text.replace(before, after))
        path.chmod(0o600)
        return path


@pytest.fixture(scope="module")
def patient(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    patient = Patient(room, tmp_path_factory.mktemp("patient"))
    with ScriptedPc(room.network, PC, "patientpc", ADDRESS) as pc:
        asyncio.run(_boot(pc))
        wait_until(lambda: patient.in_force(PC) == {pc.address}, PATIENCE, "the exports of the PC")
        yield patient
    patient.stop()
    patient.ganesha.stop()


async def _boot(pc: ScriptedPc) -> None:
    await pc.run_ipxe()


def findings(done: CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.stderr == ""
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def test_nothing_to_complain_about_on_a_healthy_box(patient: Patient) -> None:
    # As if a DHCP client of this host had its port.
    with Client(patient.host, bytes(6)):
        done = patient.examine()
    found = findings(done)
    assert [each for each in found if each["severity"] not in FINE] == []
    assert done.returncode == 0
    seen = {each["check"] for each in found if each["severity"] == "ok"}
    assert seen >= {"privileges", "configuration", "project", "interface", "address", "mtu", "server", "ports"}
    assert seen >= {"firewall", "nfs", "nfs-exports", "nfs-answers", "image", "boot-loaders", "disk", "registry"}
    assert seen >= {"allowlist", "dhcp"}
    said = [each["what"] for each in found]
    assert f"{patient.exports_file} says what it should" in said
    assert "the DHCP server on lan0 is 10.77.0.2" in said
    with Registry(patient.data / "registry.sqlite3") as registry:
        assert registry.ignored() == [], "the server heard its own doctor"


def test_the_rooms_own_box_is_healthy_too(box: Box) -> None:
    done = box.verb("doctor")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("the box is healthy: ")


def test_people_read_a_line_each_and_what_to_do(patient: Patient) -> None:
    with lan(patient, "link", ["mtu", "1400"], ["mtu", "1500"]):
        command = [appliance_command(), "--config", str(patient.configuration), "doctor"]
        done = patient.host.run(command, timeout=60, check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = lines.index("WARNING the MTU of lan0 is 1400, less than 1500")
    assert lines[at + 1].startswith("          why: firmware asks for TFTP blocks")
    assert lines[at + 2].startswith("          do:  ip link set lan0 mtu 1500")
    assert lines[-1].startswith("it works, but look at the warnings: 1 warning, ")


def test_without_a_configuration_that_is_the_finding(patient: Patient) -> None:
    (found,) = findings(done := patient.examine(patient.directory / "nosuch.toml"))
    assert done.returncode == 2
    assert (found["check"], found["severity"]) == ("configuration", "error")
    assert "config init" in found["what_to_do"]


# The faults. Each plants itself, yields the configuration to examine with if it is another one, and mends itself.

Planted = AbstractContextManager[Path | None]


@contextmanager
def program(patient: Patient, host: Namespace, *arguments: str, ready: str) -> Iterator[None]:
    """A dnsmasq on a host."""
    log = patient.directory / "dnsmasq.log"
    log.unlink(missing_ok=True)
    process = host.start("dnsmasq", [*DNSMASQ, *arguments], log)
    process.wait_for_log(ready, PATIENCE)
    yield
    process.stop()


@contextmanager
def stopped(patient: Patient) -> Iterator[None]:
    patient.stop()
    yield
    patient.start()


@contextmanager
def rival(patient: Patient, *arguments: str, ready: str) -> Iterator[None]:
    """The port is taken by a dnsmasq on the box itself."""
    with stopped(patient), program(patient, patient.host, *arguments, ready=ready):
        yield


@contextmanager
def lan(patient: Patient, kind: str, before: list[str], after: list[str]) -> Iterator[None]:
    words = ["change", f"{ADDRESS}/24", "dev", "lan0"] if kind == "address" else ["set", "lan0"]
    patient.host.ip(kind, *words, *before)
    yield
    patient.host.ip(kind, *words, *after)
    if kind == "link":
        wait_until(lambda: "state UP" in patient.host.ip("link", "show", "lan0"), PATIENCE, "the link")


@contextmanager
def unplugged(patient: Patient) -> Iterator[None]:
    wire = patient.room.network.wire
    wire.ip("link", "set", "port-patient", "down")
    yield
    wire.ip("link", "set", "port-patient", "up")
    wait_until(lambda: "state UP" in patient.host.ip("link", "show", "lan0"), PATIENCE, "the link")


@contextmanager
def other_interface(patient: Patient) -> Iterator[Path]:
    yield patient.changed('["lan0"]', '["lan7"]')


@contextmanager
def without(path: Callable[[Patient], Path], patient: Patient) -> Iterator[None]:
    """A file or link is gone."""
    original = path(patient)
    original.rename(original.with_name("aside"))
    yield
    original.with_name("aside").rename(original)


@contextmanager
def damaged(patient: Patient) -> Iterator[None]:
    """One bit of the kernel has changed."""

    def flip() -> None:
        with (patient.release.path / "vmlinuz").open("r+b") as file:
            file.seek(1 << 20)
            (octet,) = file.read(1)
            file.seek(1 << 20)
            file.write(bytes([octet ^ 1]))

    flip()
    yield
    flip()


@contextmanager
def no_ganesha(patient: Patient) -> Iterator[None]:
    patient.ganesha.stop()
    yield
    patient.ganesha.start()


@contextmanager
def not_included(patient: Patient) -> Iterator[None]:
    main = patient.directory / "ganesha" / "main.conf"
    text = main.read_text()
    main.write_text(text.replace("%include", "# %include"))
    yield
    main.write_text(text)


@contextmanager
def not_exported(patient: Patient) -> Iterator[None]:
    """Somebody has emptied our export file."""
    patient.exports_file.write_text("")
    yield
    patient.verb("exports", "apply")


@contextmanager
def no_portmapper(patient: Patient) -> Iterator[None]:
    """NFS runs and nobody tells the PCs where: the firewall of the host keeps even itself from asking."""
    with firewall(patient, "tcp dport 111 reject with tcp reset"):
        yield


@contextmanager
def firewall(patient: Patient, rule: str) -> Iterator[None]:
    for command in (
        "add table inet guard",
        "add chain inet guard input { type filter hook input priority 0; policy accept; }",
        f"add rule inet guard input {rule}",
    ):
        patient.host.run(["nft", command])
    yield
    patient.host.run(["nft", "delete table inet guard"])


@contextmanager
def neighbour(patient: Patient, *arguments: str, ready: str = "DHCP, ") -> Iterator[None]:
    """Another server on the segment."""
    with program(patient, patient.room.other, *arguments, ready=ready):
        yield


@contextmanager
def nobody_allowed(patient: Patient) -> Iterator[None]:
    patient.verb("allow", "remove", str(PC))
    yield
    patient.verb("allow", "add", str(PC))
    wait_until(lambda: patient.in_force(PC) != set(), PATIENCE, "the exports of the PC")


@contextmanager
def small_disk(patient: Patient, *, read_only: bool) -> Iterator[Path]:
    """The box's data on a disk of its own."""
    disk = patient.directory / "disk"
    disk.mkdir()
    with stopped(patient):
        run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)])
        try:
            shutil.copytree(patient.data, disk / "data", symlinks=True)
            if read_only:
                run(["mount", "-o", "remount,ro", str(disk)])
            yield patient.changed(f'"{patient.data}"', f'"{disk}/data"')
        finally:
            run(["umount", str(disk)])
            disk.rmdir()


@contextmanager
def readable_key(patient: Patient) -> Iterator[Path]:
    path = patient.changed("[server]", "[server]  # for everybody")
    path.chmod(0o644)
    yield path


def _loader(patient: Patient) -> Path:
    return patient.data / "boot" / "snponly.efi"


def _current(patient: Patient) -> Path:
    return patient.data / "images" / "current"


def _initrd(patient: Patient) -> Path:
    return patient.release.path / "initrd.img"


_TFTPD = ["--enable-tftp", "--tftp-root=/usr/lib/ipxe"]
_PROXY = ["--dhcp-range=10.77.0.0,proxy", "--pxe-service=X86-64_EFI,other,other.efi"]


@dataclass(frozen=True)
class Fault:
    """How to plant it; then the check that has to find it, what that says and advises, and which others it disturbs."""

    plant: Callable[[Patient], Planted]
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
        lambda p: rival(p, *LEASES, ready="DHCP, IP range"),
        "ports",
        "error",
        "UDP port 67 (DHCP) is held by dnsmasq (process ",
        "dhcp-range",
        ("server",),
    ),
    "port 69 held by another": fault(
        lambda p: rival(p, *_TFTPD, ready="TFTP root"),
        "ports",
        "error",
        "UDP port 69 at 10.77.0.60 (TFTP) is held by dnsmasq (process ",
        "enable-tftp",
        ("server",),
    ),
    "the server does not run": fault(
        stopped, "server", "warning", "serve does not run", "systemctl start netboot-appliance"
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
        partial(without, _current), "image", "error", "no image is active", "netboot-appliance image build"
    ),
    "image damaged": fault(
        damaged, "image", "error", "vmlinuz is not what was built: its sha256 is", "netboot-appliance image rollback"
    ),
    "image file missing": fault(partial(without, _initrd), "image", "error", "initrd.img is missing", "build again"),
    "boot loader missing": fault(
        partial(without, _loader), "boot-loaders", "error", "snponly.efi is missing", "restart the server"
    ),
    "NFS-Ganesha stopped": fault(
        no_ganesha, "nfs", "error", "NFS-Ganesha is not running", "systemctl start nfs-ganesha"
    ),
    "NFS-Ganesha without our include": fault(
        not_included, "nfs", "error", "NFS-Ganesha does not read our exports", "%include"
    ),
    "exports lost": fault(
        not_exported, "nfs-exports", "warning", "netboot-appliance.conf is not what is wanted now", "exports apply"
    ),
    "portmapper refuses": fault(
        no_portmapper,
        "nfs-answers",
        "error",
        "the portmapper of 10.77.0.60, asked for mountd, does not answer",
        "systemctl restart rpcbind nfs-ganesha",
        ("firewall",),
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
        ("server", "nfs-exports"),
    ),
    "key for everybody": fault(readable_key, "configuration", "warning", "everybody may read", "chmod o-rwx"),
}


@pytest.mark.parametrize("planted", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_found(patient: Patient, planted: Fault) -> None:
    with planted.plant(patient) as configuration:
        done = patient.examine(configuration)
    complaints = [each for each in findings(done) if each["severity"] not in FINE]
    (found, *_) = [each for each in complaints if each["check"] == planted.check and planted.what in each["what"]]
    assert found["severity"] == planted.severity
    assert found["why"]
    assert planted.do in found["what_to_do"]
    assert {each["check"] for each in complaints} <= {planted.check} | planted.beside
    assert done.returncode == (2 if any(each["severity"] == "error" for each in complaints) else 1)


def test_it_is_healthy_again(patient: Patient) -> None:
    assert [each for each in findings(patient.examine()) if each["severity"] not in FINE] == []
