"""PCs of a network that run the real boinc-client, and the projects that they compute for."""

import re
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from services.ethernet import MacAddress
from tests.fakes import boinc_control
from tests.fakes.boinc_project import Host, Result, Status, read_status
from tests.room.namespaces import Namespace, Network
from tests.room.processes import Process, RoomError, tail, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
# A client needs about 10 s to reach the scheduler and 5 more to get a job; a busy machine takes longer.
TIMEOUT = 240

# A PC as the client sees it: its own host name and processes. SIGKILL on it is a power cut for all of them.
POWER_ON = 'hostname "$1"; mount --bind "$2" /etc/hosts; mount -t proc proc /proc; cd "$3"; exec boinc'


def host(network: Network, name: str, address: IPv4Address) -> Namespace:
    """A host of the network with this address."""
    return network.host(name, f"{address}/24", MacAddress.from_bytes(bytes([2, 0x77, *address.packed])))


class Pc:
    """A machine that runs the real boinc-client on its own data directory."""

    def __init__(self, namespace: Namespace, address: IPv4Address, directory: Path, files: dict[str, bytes]) -> None:
        self.namespace = namespace
        self.address = address
        self.name = f"boinc-5254000000{address.packed[3]:02x}"
        self.data = directory / self.name
        self.log = directory / f"{self.name}.log"
        self.password = files["gui_rpc_auth.cfg"].decode().strip()
        self._hosts = directory / f"{self.name}.hosts"
        self._hosts.write_text(f"127.0.0.1 localhost\n{address} {self.name}\n")
        self.data.mkdir(parents=True)
        self.place(files)
        self.process: Process | None = None

    def place(self, files: dict[str, bytes]) -> None:
        """Write files into its data directory, as the live system does."""
        for name, content in files.items():
            (self.data / name).write_bytes(content)

    def power_on(self) -> None:
        """Start the client."""
        unshare = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child"]
        command = [*unshare, "sh", "-ec", POWER_ON, "sh", self.name, str(self._hosts), str(self.data)]
        self.process = self.namespace.start(f"boinc-client of {self.name}", command, self.log)

    def cut_power(self) -> None:
        """End it and all that it runs, at once."""
        assert self.process
        self.process.kill()

    def stop(self) -> None:
        """Let the client end, as a stop of its unit does."""
        self.boinccmd("--quit")
        wait_until(lambda: self.process is not None and not self.process.running, TIMEOUT, f"{self.name} to quit")

    def boinccmd(self, *command: str) -> str:
        """What the client answers to a program on the PC itself."""
        login = ["boinccmd", "--host", "127.0.0.1", "--passwd", self.password]
        return self.namespace.run([*login, *command], check=False).stdout

    def waits_for(self, condition: Callable[[], bool], what: str, seconds: float = TIMEOUT) -> None:
        """Wait for something this PC has to do; on failure show its log."""

        def holds() -> bool:
            assert self.process
            self.process.require()
            return condition()

        try:
            wait_until(holds, seconds, f"{self.name} {what}")
        except RoomError as error:
            raise RoomError(f"{error}; its log ends:\n{tail(self.log)}") from error

    @property
    def checkpoint(self) -> int:
        """How far its job has counted, according to the checkpoint file in the slot directory."""
        try:
            return int((self.data / "slots" / "0" / "checkpoint").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return 0

    @property
    def failed_fetches(self) -> int:
        """How often it tried in vain to read a project's first page, where it finds the scheduler."""
        return max(map(int, re.findall(r"<master_fetch_failures>(\d+)<", self.state)), default=0)

    @property
    def state(self) -> str:
        """The client's own record of everything."""
        try:
            return (self.data / "client_state.xml").read_text()
        except FileNotFoundError:
            return ""


class RunningProject:
    """A fake project on a host of the network, and what it knows."""

    def __init__(self, namespace: Namespace, address: IPv4Address, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "project.log"
        self._namespace = namespace
        self._address = address

    def start(self, *options: str, weather: boinc_control.Weather = boinc_control.Weather.UP) -> None:
        """Start it, and wait until it is as the weather says."""
        self.change(weather=weather)
        command = [sys.executable, "-m", "tests.fakes.boinc_project", "--address", str(self._address)]
        command += ["--directory", str(self.directory), *options]
        project = self._namespace.start("the BOINC project", command, self.log, CHECKOUT)
        refuses = weather is boinc_control.Weather.REFUSING
        project.wait_for_log("refusing connections" if refuses else "serving", 90)

    def change(self, **changes: object) -> None:
        """Change what holds: see boinc_control.Control."""
        boinc_control.change(self.directory, **changes)

    @property
    def status(self) -> Status:
        """Everything that it knows now."""
        return read_status(self.directory)

    def host(self, pc: Pc) -> Host:
        """The one host the project knows by this PC's name."""
        (host,) = self.status.named(pc.name)
        return host

    def results(self, pc: Pc) -> list[Result]:
        """The jobs that were given to this PC, oldest first."""
        known = self.status.named(pc.name)
        return self.status.of_host(known[0].id) if known else []

    def has_reported(self, pc: Pc) -> Callable[[], bool]:
        """Whether the PC has reported its first job, as something to wait for."""
        return lambda: any(result.state == "reported" for result in self.results(pc)[:1])


def ask(source: Namespace, pc: Pc, *command: str, password: str | None = None) -> "subprocess.CompletedProcess[str]":
    """What the client of a PC answers to another host."""
    login = ["--host", str(pc.address), "--passwd", pc.password if password is None else password]
    return source.run(["boinccmd", *login, *command], check=False)
