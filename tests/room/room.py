"""The virtual room: an office network with one netboot-appliance in it.

A bridge; the site's own dnsmasq, which knows nothing about us; the box with the real `netboot-appliance serve`; a BOINC
project; a management host, another host; and PCs. All programs are real except the project. No Internet access.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Self

from appliance.config.control import DEFAULT_PORT
from services.ethernet import MacAddress
from services.linux import volumes
from tests.fakes.boinc_project import ACCOUNT_KEY
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Namespace, Network
from tests.room.pc import Firmware, Pc
from tests.room.processes import Process, RoomError, tail, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
BOX = IPv4Address("10.77.0.1")
SITE = IPv4Address("10.77.0.2")
PROJECT = IPv4Address("10.77.0.3")
MANAGEMENT = IPv4Address("10.77.0.4")
OTHER = IPv4Address("10.77.0.5")
PAGE = f"https://{BOX}:{DEFAULT_PORT}"
NETWORK = "10.77.0.0/24"

CONFIGURATION = """\
[server]
data = "{data}"
interfaces = ["lan0"]

[control]
enabled = {page}

[nfs]
networks = ["{network}"]
backend = "ganesha"
ganesha_config = "{ganesha}/netboot-appliance.conf"
ganesha_pid_file = "{ganesha}/ganesha.pid"

[project]
url = "http://{project}/fake/"
account_key = "{key}"

[boinc]
management_hosts = ["{management}"]

[image]
kernel_arguments = ["console=ttyS0,115200"]
"""

# 2m: dnsmasq's shortest lease, so that it is renewed during a boot.
# no-ping: dnsmasq would otherwise wait 3 s for an echo before each offer.
# dhcp-host: the PC of the captures asks for the address that it had then, and no other PC may have got it.
DNSMASQ = """\
interface=lan0
bind-interfaces
except-interface=lo
user=root
no-hosts
no-resolv
no-ping
dhcp-authoritative
dhcp-range=10.77.0.100,10.77.0.200,2m
dhcp-host=52:54:00:aa:bb:01,10.77.0.134
dhcp-option=option:router,{site}
dhcp-option=option:dns-server,{site}
dhcp-leasefile={leases}
log-dhcp
"""


def host_mac(address: IPv4Address) -> MacAddress:
    """The MAC address of a host of the room: locally administered, its last byte that of the IPv4 address."""
    return MacAddress.parse(f"02:77:00:00:00:{address.packed[3]:02x}")


def appliance_command() -> str:
    """The `netboot-appliance` of the Python environment that runs us."""
    return str(Path(sys.executable).with_name("netboot-appliance"))


@dataclass(frozen=True)
class Capture:
    """A recording of a PC's wire that is under way."""

    file: Path
    process: Process

    def finish(self) -> Path:
        """End the recording; every frame so far is in the file."""
        self.process.stop()
        if "0 packets dropped by kernel" not in (log := self.process.log.read_text()):
            raise RoomError(f"the recording {self.file} is not complete: {log}")
        return self.file


class Room:
    """The network and the site's server; the project and the box when they are started. Use as a context manager.

    `directory` holds everything: data/ of the box (its images outlive the room; its state and registry begin empty),
    the project's memory, and the configuration. `logs` is emptied first.
    """

    def __init__(
        self,
        directory: Path,
        logs: Path | None = None,
        *,
        job_seconds: int = 15,
        settings: str = "",
        site: bool = True,
        page: bool = False,
    ) -> None:
        """`settings`: TOML appended to the usual configuration. Without `site` no DHCP server runs. With `page` the box
        has its control process too, and the management host may use it."""
        self._has_site = site
        self.directory = directory.resolve()
        self.logs = (logs or directory / "logs").resolve()
        self.data = self.directory / "data"
        self.job_seconds = job_seconds
        self.configuration = write_configuration(self.directory, settings, page=page)
        self._ports = {"67", "69", "4011", "80"} | ({str(DEFAULT_PORT)} if page else set())
        self.pcs: dict[MacAddress, Pc] = {}
        self.serve: Process | None = None
        self.network = Network()

    def __enter__(self) -> Self:
        self._cleanup = ExitStack()
        try:
            self._prepare_directory()
            network = self._cleanup.enter_context(self.network)
            self.site = network.host("site", f"{SITE}/24", host_mac(SITE))
            self.project = network.host("project", f"{PROJECT}/24", host_mac(PROJECT))
            self.management = network.host("manager", f"{MANAGEMENT}/24", host_mac(MANAGEMENT))
            self.other = network.host("other", f"{OTHER}/24", host_mac(OTHER))
            self.servers = [self.site, self.project]
            self._place_box()
            if self._has_site:
                self._start_site()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.close()
        for mounted in sorted(volumes.mounts(), reverse=True):
            if self.directory in Path(mounted).parents:
                volumes.unmount(Path(mounted))

    def start_project(self, *, attacks: bool = False) -> Process:
        """Start the fake BOINC project, on a memory of its own that begins empty. With `attacks`, the first job of each
        PC tries to get out (tests/fakes/boinc_attacks.py)."""
        command = [sys.executable, "-m", "tests.fakes.boinc_project", "--address", str(PROJECT), "--port", "80"]
        command += ["--directory", str(self.project_directory), "--job-seconds", str(self.job_seconds)]
        command += ["--attacked", str(BOX), str(PROJECT), str(OTHER)] if attacks else []
        process = self._start(self.project, "the BOINC project", command, "project.log", cwd=CHECKOUT)
        process.wait_for_log("serving", 90)
        return process

    def start_box(self) -> Process:
        """Start the NFS server and `netboot-appliance serve`, and return when serve answers on all its ports."""
        ganesha = Ganesha(
            self.box.name, self.directory / "ganesha", self.directory / "ganesha" / "netboot-appliance.conf"
        )
        # Registered before the start: if that fails half-way, there is still something to stop and a log to keep.
        self._cleanup.callback(self._keep_ganesha_log)
        self._cleanup.callback(ganesha.stop)
        ganesha.start()
        command = [appliance_command(), "--config", str(self.configuration), "serve"]
        serve = self.serve = self._start(self.box, "netboot-appliance serve", command, "serve.log")

        def listening() -> bool:
            serve.require()
            return self._ports <= _listening_ports(self.box)

        wait_until(listening, 120, f"netboot-appliance serve to listen; its log ends:\n{tail(serve.log)}")
        return serve

    def set_page_password(self, password: str) -> None:
        """The administrator sets the password of the page."""
        command = [appliance_command(), "--config", str(self.configuration), "control", "password", "--stdin"]
        self.box.run(["sh", "-c", 'printf "%s\\n" "$0" | exec "$@"', password, *command])

    @property
    def project_directory(self) -> Path:
        """Where the fake project keeps what it knows; see boinc_project.read_status."""
        return self.directory / "project"

    @property
    def dnsmasq_log(self) -> Path:
        """What the site's DHCP server saw and said."""
        return self.logs / "dnsmasq.log"

    def appliance(self, *arguments: str, check: bool = True, timeout: float = 90) -> CompletedProcess[str]:
        """Run a `netboot-appliance` verb on the box, like an administrator logged in there."""
        command = [appliance_command(), "--config", str(self.configuration), *arguments]
        return self.box.run(command, timeout=timeout, check=check)

    def status(self) -> Any:
        """What `netboot-appliance status --json` says now."""
        return json.loads(self.appliance("status", "--json").stdout)

    def boot(self, mac: MacAddress) -> Any:
        """The latest boot of a PC as `status --json` shows it: a dict, or None before the first."""
        return next((boot for boot in self.status()["boots"] if boot["mac"] == str(mac)), None)

    def stages(self, mac: MacAddress) -> list[str]:
        """The stages that a PC's latest boot has reached, in order."""
        boot = self.boot(mac)
        return [stage["stage"] for stage in boot["stages"]] if boot else []

    def wait_for_stage(self, mac: MacAddress, stage: str, seconds: float) -> None:
        """Return once a PC's latest boot has reached the stage; RoomError after `seconds`."""
        self.wait_until(lambda: stage in self.stages(mac), seconds, f"the PC {mac} to reach the stage {stage}")

    def pc(
        self,
        mac: MacAddress,
        firmware: Firmware = "uefi",
        *,
        card: str = "virtio-net-pci",
        memory: int = 1024,
        extra: tuple[str, ...] = (),
    ) -> Pc:
        """A PC of the room, off. It goes off with the room. `card`: QEMU's model; `extra`: arguments for QEMU."""
        pc = Pc(
            self.network,
            mac,
            directory=self.directory / "pcs",
            logs=self.logs,
            firmware=firmware,
            card=card,
            memory=memory,
            extra=extra,
        )
        self._cleanup.callback(pc.power_off)
        self.pcs[mac] = pc
        return pc

    def leased(self, mac: MacAddress) -> IPv4Address | None:
        """The latest address the site's server gave to a MAC address."""
        found = None
        for line in self._leases.read_text().splitlines() if self._leases.exists() else ():
            _, holder, address, *_ = line.split()
            if holder == str(mac):
                found = IPv4Address(address)
        return found

    def renewals(self, mac: MacAddress) -> int:
        """How often the live system of a PC has renewed its lease: requests that no offer came before."""
        log = self.dnsmasq_log.read_text()
        ours = set(re.findall(r": (\d+) vendor class: Linux ipconfig", log))
        spoken = re.findall(rf": (\d+) DHCP(OFFER|ACK)\(lan0\) \S+ {mac}", log)
        said = [kind for xid, kind in spoken if xid in ours]
        return said.count("ACK") - said.count("OFFER")

    def state(self, mac: MacAddress) -> Path:
        """The box's directory with the work of one PC."""
        return self.data / "state" / mac.bare

    def require_all(self) -> None:
        """Raise RoomError, with the end of its log, if anything that should run has ended: programs, PCs."""
        for host in self.servers:
            for process in host.processes:
                process.require()
        for pc in self.pcs.values():
            if pc.switched_on and not pc.may_go_off:
                pc.require_on()

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Return once `condition()` holds; RoomError after `seconds`, or when anything in the room ended meanwhile."""

        def holds() -> bool:
            self.require_all()
            return condition()

        # Most conditions run `status`, a third of a second of a processor that emulated PCs need.
        wait_until(holds, seconds, what, interval=0.5, rest=3.0)

    def capture(self, pc: Pc) -> Capture:
        """Record every frame on the wire of one PC, in both directions, from now on."""
        file = self.logs / f"wire-{pc.mac.bare}.pcap"
        # A 32 MB buffer, for when tcpdump has to wait for the processor.
        command = ["tcpdump", "-i", pc.tap, "-n", "-U", "-B", "32768", "-Z", "root", "-w", str(file)]
        process = self.network.wire.start(f"tcpdump on {pc.tap}", command, file.with_suffix(".log"))
        process.wait_for_log("listening on", 60)
        return Capture(file, process)

    def tails(self, lines: int = 25) -> str:
        """The ends of all logs, for the report of a failure."""
        self._keep_ganesha_log()
        parts = [f"--- {log} ---\n{tail(log, lines)}" for log in sorted(self.logs.glob("[!s]*.log"))]
        parts += [f"--- {self.logs / 'serve.log'} ---\n{tail(self.logs / 'serve.log', lines)}"]
        parts += [f"--- {pc.serial} ---\n" + "\n".join(pc.lines()[-lines:]) for pc in self.pcs.values()]
        return "\n".join(parts)

    def _place_box(self) -> None:
        """Make the machine that has the address BOX: here a host like the others."""
        self.box = self.network.host("box", f"{BOX}/24", host_mac(BOX))
        self.servers.append(self.box)

    def _prepare_directory(self) -> None:
        own = [self.logs, self.project_directory, self.directory / "pcs", self.directory / "ganesha"]
        for stale in (*own, self.data / "state", self.data / "boot", self.data / "registry"):
            shutil.rmtree(stale, ignore_errors=True)
        for work in (self.data / "volumes").glob("*.img"):
            if work.name != "images.img":
                work.unlink()
        for path in (self.data, self.logs, self.project_directory, self.directory / "ganesha"):
            path.mkdir(parents=True, exist_ok=True)
        self._leases = self.directory / "dnsmasq.leases"
        self._leases.unlink(missing_ok=True)

    def _start_site(self) -> None:
        configuration = self.directory / "dnsmasq.conf"
        configuration.write_text(DNSMASQ.format(site=SITE, leases=self._leases))
        command = ["dnsmasq", "--keep-in-foreground", f"--conf-file={configuration}", "--log-facility=-", "--pid-file="]
        dnsmasq = self._start(self.site, "the site's dnsmasq", command, self.dnsmasq_log.name)
        dnsmasq.wait_for_log("DHCP, IP range", 60)

    def _start(self, where: Namespace, name: str, command: list[str], log: str, cwd: Path | None = None) -> Process:
        process = where.start(name, command, self.logs / log, cwd)
        self._cleanup.callback(process.stop)
        return process

    def _keep_ganesha_log(self) -> None:
        for log in (self.directory / "ganesha").glob("*.log"):
            shutil.copyfile(log, self.logs / log.name)


def write_configuration(directory: Path, settings: str = "", *, page: bool = False) -> Path:
    """Write the box's configuration for a room in `directory` and return its path; enough to build the image with."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.toml"
    text = CONFIGURATION.format(
        data=directory / "data",
        ganesha=directory / "ganesha",
        network=NETWORK,
        project=PROJECT,
        management=MANAGEMENT,
        key=ACCOUNT_KEY,
        page=str(page).lower(),
    )
    path.write_text(text + settings)
    path.chmod(0o600)
    return path


def _listening_ports(namespace: Namespace) -> set[str]:
    lines = namespace.run(["ss", "--no-header", "--numeric", "--udp", "--tcp", "--listening"]).stdout.splitlines()
    return {line.split()[4].rpartition(":")[2] for line in lines}
