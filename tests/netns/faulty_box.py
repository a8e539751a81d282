"""A box for the doctor, and the faults that tests plant in it: each a context manager that repairs it at the end."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from subprocess import CompletedProcess

from services.ethernet import MacAddress
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Namespace, run
from tests.room.processes import Process, wait_until
from tests.room.room import CHECKOUT, Room, appliance_command, host_mac, write_configuration

ADDRESS = IPv4Address("10.77.0.60")
PC = MacAddress.parse("52:54:00:78:00:01")
FINE = ("ok", "note")
DNSMASQ = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--port=0"]
DNSMASQ += ["--log-facility=-", "--interface=lan0", "--bind-interfaces", "--no-ping", "--leasefile-ro"]
LEASES = ["--dhcp-range=10.77.0.210,10.77.0.220,2m"]


class FaultyBox(Box):
    """A complete box of its own, from which one PC has booted: its faults disturb no other test."""

    def __init__(self, room: Room, directory: Path) -> None:
        host = room.network.host("faulty", f"{ADDRESS}/24", host_mac(ADDRESS))
        super().__init__(host, write_configuration(directory), directory / "data", directory / "serve.log")
        self.room = room
        self.directory = directory
        self.exports_file = directory / "ganesha" / "netboot-appliance.conf"
        self.ganesha = Ganesha(host.name, directory / "ganesha", self.exports_file)
        self.release = install_release(self.data / "images")
        self.verb("allow", "add", str(PC))
        self.ganesha.start()
        self.start()

    def launch(self) -> Process:
        program = ["env", f"PYTHONPATH={CHECKOUT}", sys.executable, "-m", "tests.netns.patient_serve"]
        command = [*program, "--config", str(self.configuration), "serve"]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process

    def stop(self) -> None:
        """End the server."""
        assert self.process is not None
        self.process.stop()

    def examine(self, configuration: Path | None = None) -> CompletedProcess[str]:
        """Run the doctor."""
        command = [appliance_command(), "--config", str(configuration or self.configuration), "doctor", "--json"]
        return self.host.run(command, timeout=TIMEOUT, check=False)

    def reread_exports(self) -> None:
        """Have NFS-Ganesha read its exports, and wait until it has."""
        self.ganesha.await_rest()
        before = self.ganesha.reloads()
        os.kill(int(self.ganesha.pid_file.read_text()), signal.SIGHUP)
        wait_until(lambda: self.ganesha.reloads() > before, TIMEOUT, "NFS-Ganesha to read its exports again")

    def await_link(self) -> None:
        """Wait until frames pass."""
        self.room.network.await_link("port-faulty", self.host, "lan0")

    def changed(self, before: str, after: str) -> Path:
        """A copy of the configuration with one replacement."""
        text = self.configuration.read_text()
        assert before in text
        path = self.directory / "changed.toml"
        path.write_text(text.replace(before, after))
        path.chmod(0o600)
        return path


@contextmanager
def program(faulty: FaultyBox, host: Namespace, *arguments: str, ready: str) -> Iterator[None]:
    """A dnsmasq on a host."""
    log = faulty.directory / "dnsmasq.log"
    log.unlink(missing_ok=True)
    process = host.start("dnsmasq", [*DNSMASQ, *arguments], log)
    process.wait_for_log(ready, TIMEOUT)
    yield
    process.stop()


@contextmanager
def stopped(faulty: FaultyBox) -> Iterator[None]:
    faulty.stop()
    yield
    faulty.start()


@contextmanager
def server_on_same_host(faulty: FaultyBox, *arguments: str, ready: str) -> Iterator[None]:
    """A dnsmasq on the box itself takes the port."""
    with stopped(faulty), program(faulty, faulty.host, *arguments, ready=ready):
        yield


@contextmanager
def lan(faulty: FaultyBox, kind: str, before: list[str], after: list[str]) -> Iterator[None]:
    words = ["change", f"{ADDRESS}/24", "dev", "lan0"] if kind == "address" else ["set", "lan0"]
    faulty.host.ip(kind, *words, *before)
    yield
    faulty.host.ip(kind, *words, *after)
    if kind == "link":
        faulty.await_link()


@contextmanager
def unplugged(faulty: FaultyBox) -> Iterator[None]:
    wire = faulty.room.network.wire
    wire.ip("link", "set", "port-faulty", "down")
    wait_until(lambda: "NO-CARRIER" in faulty.host.ip("link", "show", "lan0"), TIMEOUT, "the link to be lost")
    yield
    wire.ip("link", "set", "port-faulty", "up")
    faulty.await_link()


@contextmanager
def other_interface(faulty: FaultyBox) -> Iterator[Path]:
    yield faulty.changed('["lan0"]', '["lan7"]')


@contextmanager
def without(path: Callable[[FaultyBox], Path], faulty: FaultyBox) -> Iterator[None]:
    """A file or link is gone."""
    original = path(faulty)
    original.rename(original.with_name("aside"))
    yield
    original.with_name("aside").rename(original)


@contextmanager
def damaged(faulty: FaultyBox) -> Iterator[None]:
    """One bit of the kernel has changed."""

    def flip() -> None:
        with (faulty.release.path / "vmlinuz").open("r+b") as file:
            file.seek(1 << 20)
            (byte,) = file.read(1)
            file.seek(1 << 20)
            file.write(bytes([byte ^ 1]))

    flip()
    yield
    flip()


@contextmanager
def no_ganesha(faulty: FaultyBox) -> Iterator[None]:
    faulty.ganesha.stop()
    yield
    faulty.ganesha.start()


@contextmanager
def not_included(faulty: FaultyBox) -> Iterator[None]:
    main = faulty.directory / "ganesha" / "main.conf"
    text = main.read_text()
    main.write_text(text.replace("%include", "# %include"))
    yield
    main.write_text(text)


@contextmanager
def not_exported(faulty: FaultyBox) -> Iterator[None]:
    """Somebody has emptied our export file."""
    faulty.ganesha.await_rest()
    faulty.exports_file.write_text("")
    yield
    faulty.verb("exports", "apply")


@contextmanager
def not_in_force(faulty: FaultyBox) -> Iterator[None]:
    """NFS-Ganesha has lost our exports, though the file is right: somebody had it read another one."""
    faulty.ganesha.await_rest()
    text = faulty.exports_file.read_text()
    faulty.exports_file.write_text("")
    faulty.reread_exports()
    faulty.exports_file.write_text(text)
    yield
    faulty.reread_exports()


@contextmanager
def no_portmapper(faulty: FaultyBox) -> Iterator[None]:
    """NFS runs, but the host's firewall blocks the portmapper, for the host itself too."""
    with firewall(faulty, "tcp dport 111 reject with tcp reset"):
        yield


@contextmanager
def firewall(faulty: FaultyBox, rule: str) -> Iterator[None]:
    for command in (
        "add table inet guard",
        "add chain inet guard input { type filter hook input priority 0; policy accept; }",
        f"add rule inet guard input {rule}",
    ):
        faulty.host.run(["nft", command])
    yield
    faulty.host.run(["nft", "delete table inet guard"])


@contextmanager
def neighbour(faulty: FaultyBox, *arguments: str, ready: str = "DHCP, ") -> Iterator[None]:
    """Another server on the segment."""
    with program(faulty, faulty.room.other, *arguments, ready=ready):
        yield


@contextmanager
def nobody_allowed(faulty: FaultyBox) -> Iterator[None]:
    faulty.verb("allow", "remove", str(PC))
    wait_until(lambda: faulty.in_force(PC) == set(), TIMEOUT, "the exports of the PC to be gone")
    yield
    faulty.verb("allow", "add", str(PC))
    wait_until(lambda: faulty.in_force(PC) != set(), TIMEOUT, "the exports of the PC")


@contextmanager
def small_disk(faulty: FaultyBox, *, read_only: bool) -> Iterator[Path]:
    """The box's data is on a disk of its own."""
    disk = faulty.directory / "disk"
    disk.mkdir()
    with stopped(faulty):
        run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)])
        try:
            # Volumes seem as large as the server's disk; what is in those that are mounted is copied by its path.
            shutil.copytree(faulty.data, disk / "data", symlinks=True, ignore=shutil.ignore_patterns("volumes"))
            if read_only:
                run(["mount", "-o", "remount,ro", str(disk)])
            yield faulty.changed(f'"{faulty.data}"', f'"{disk}/data"')
        finally:
            run(["umount", str(disk)])
            disk.rmdir()


@contextmanager
def readable_key(faulty: FaultyBox) -> Iterator[Path]:
    path = faulty.changed("[server]", "[server]  # for everybody")
    path.chmod(0o644)
    yield path


def loader_file(faulty: FaultyBox) -> Path:
    return faulty.data / "boot" / "snponly.efi"


def current_file(faulty: FaultyBox) -> Path:
    return faulty.data / "images" / "current"


def initrd_file(faulty: FaultyBox) -> Path:
    return faulty.release.path / "initrd.img"
