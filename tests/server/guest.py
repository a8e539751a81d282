"""A Debian server in QEMU: a kernel of its own with its NFS server, a disk that outlives a power cut, real systemd.

Driven by ssh from a host of the room. Emulated, so everything takes ten times as long as in the container.
"""

import shlex
import subprocess
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from services.ethernet import MacAddress
from tests.room.namespaces import Namespace, Network, run
from tests.room.pc import ONE_PROCESSOR
from tests.room.processes import Process, RoomError, tail, wait_until
from tests.server.disk import DiskTree

BOOT_SECONDS = 900.0


class Guest:
    """One server on the network's bridge, off at first. It goes off with the network.

    `directory` holds its disk and keys, `logs` a serial log for each power-on, and the journal. `administrator` is the
    host of the room from which it is managed.
    """

    def __init__(
        self,
        network: Network,
        administrator: Namespace,
        *,
        root: Path,
        address: IPv4Address,
        mac: MacAddress,
        directory: Path,
        logs: Path,
        memory: int = 1024,
    ) -> None:
        """`memory` is in MiB."""
        self.network = network
        self.address = address
        self.mac = mac
        self._administrator = administrator
        self._root = root.resolve()
        self._directory = directory.resolve()
        self._logs = logs.resolve()
        self._memory = memory
        self._power_ons = 0
        self._machine: Process | None = None
        self._ssh: Process | None = None
        self._followers: list[Process] = []

    @property
    def serial(self) -> Path:
        """The serial log of the latest power-on."""
        return self._logs / f"server-serial-{self._power_ons}.log"

    @property
    def journal(self) -> Path:
        """Where `keep_journal` writes the journal of the latest power-on."""
        return self._logs / f"server-journal-{self._power_ons}.log"

    def install(self, furnish: Callable[[DiskTree], None]) -> None:
        """Make its disk: a bare server plus what `furnish` adds."""
        for path in (self._directory, self._logs):
            path.mkdir(parents=True, exist_ok=True)
        for stale in self._directory.glob("key*"):
            stale.unlink()
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(self._directory / "key")])
        host_key = (self._root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        (self._directory / "known_hosts").write_text(f"{self.address} {host_key}")
        tree = DiskTree(self._root, self._directory / "tree")
        tree.be_a_server(f"{self.address}/24", str(self.mac), (self._directory / "key.pub").read_text())
        furnish(tree)
        tree.make(self._disk)

    def power_on(self) -> None:
        """Switch on and return at once; RoomError if it is on already."""
        if self._machine is not None:
            raise RoomError("the server is on already")
        self._power_ons += 1
        self.serial.write_bytes(b"")
        log = self._logs / "server-qemu.log"
        self._machine = self.network.wire.start("the server's QEMU", self._command(), log)

    def wait_up(self) -> None:
        """Return when systemd has finished booting and commands can be run."""
        wait_until(
            self._connected, BOOT_SECONDS, f"the server to let us in by ssh; its serial line: {self.serial}", 0.5
        )
        # `degraded` counts as booted too: tests judge what failed.
        self.run("systemctl is-system-running --wait", check=False, timeout=BOOT_SECONDS)

    def power_cut(self) -> None:
        """Pull the plug: what the guest had not written to its disk is lost."""
        for process in (self._machine, self._ssh, *self._followers):
            if process is not None:
                process.kill()
        self._machine = self._ssh = None
        self._followers.clear()
        self._socket.unlink(missing_ok=True)

    def run(
        self, command: Sequence[str] | str, *, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, or a line of shell, as root on the server; RoomError when it fails (unless `check` is off)."""
        self.require_on()
        line = command if isinstance(command, str) else shlex.join(command)
        # Only over the shared connection: without it something is wrong, and a new one takes seconds.
        only_shared = ["-o", "ProxyCommand=false"]
        return self._administrator.run([*self._ssh_command(), *only_shared, "--", line], timeout=timeout, check=check)

    def wait(self, command: Sequence[str] | str, seconds: float, what: str = "") -> None:
        """Return once a command succeeds on the server; RoomError after `seconds`."""
        line = command if isinstance(command, str) else shlex.join(command)
        wait_until(lambda: self.run(line, check=False).returncode == 0, seconds, what or line, interval=0.5)

    def write(self, target: str, text: str) -> None:
        """Write a file in place, as an editor would: owner and permissions stay."""
        self.run(f"printf %s {shlex.quote(text)} >{shlex.quote(target)}")

    def follow(self, unit: str) -> Process:
        """Copy what a unit logs, since this power-on, to a log here; until the power is cut."""
        log = self._logs / f"{unit}-{self._power_ons}.log"
        log.unlink(missing_ok=True)
        command = [*self._ssh_command(), "--", f"journalctl --follow --no-tail --output=cat --unit={unit}"]
        follower = self._administrator.start(f"the journal of {unit}", command, log)
        self._followers.append(follower)
        return follower

    def require_on(self) -> None:
        """Raise RoomError if it is off."""
        if self._machine is None:
            raise RoomError("the server is off")
        self._machine.require()

    def keep_journal(self) -> Path:
        """Write the journal so far to the logs, if it can be had; returns the file."""
        if self._ssh is not None and self._ssh.running:
            self.journal.write_text(self.run("journalctl --no-pager --output=short-monotonic", check=False).stdout)
        return self.journal

    def tails(self, lines: int = 60) -> str:
        """The ends of journal and serial line, for the report of a failure."""
        logs = (self.keep_journal(), self.serial)
        return "\n".join(f"--- {log} ---\n{tail(log, lines)}" for log in logs)

    @property
    def _disk(self) -> Path:
        return self._directory / "disk.ext4"

    @property
    def _socket(self) -> Path:
        return self._directory / "ssh"

    def _connected(self) -> bool:
        self.require_on()
        if self._ssh is None or not self._ssh.running:
            self._socket.unlink(missing_ok=True)
            options = ["-o", "ControlMaster=yes", "-o", "ServerAliveInterval=60", "-N"]
            log = self._logs / "server-ssh.log"
            self._ssh = self._administrator.start("ssh to the server", [*self._ssh_command(), *options], log)
        return self._socket.exists()

    def _ssh_command(self) -> list[str]:
        options = {
            "IdentityFile": self._directory / "key",
            "UserKnownHostsFile": self._directory / "known_hosts",
            "ControlPath": self._socket,
            "StrictHostKeyChecking": "yes",
            "HostKeyAlgorithms": "ssh-ed25519",
            "BatchMode": "yes",
            "ConnectTimeout": "30",
        }
        settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        # Not the ssh settings of the user who runs the tests.
        return ["ssh", "-F", "none", *settings, f"root@{self.address}"]

    def _command(self) -> list[str]:
        (kernel,) = sorted((self._root / "boot").glob("vmlinuz-*"))
        initrd = kernel.with_name(kernel.name.replace("vmlinuz", "initrd.img"))
        command = ["qemu-system-x86_64", "-machine", "q35,graphics=off", "-accel", "tcg,thread=multi"]
        command += ["-name", "server", "-m", str(self._memory), *ONE_PROCESSOR, "-no-reboot"]
        command += ["-display", "none", "-nodefaults", "-vga", "none", "-serial", f"file:{self.serial}"]
        tap = self.network.tap(self.mac)
        command += ["-netdev", f"tap,id=n0,ifname={tap},script=no,downscript=no"]
        command += ["-device", f"virtio-net-pci,netdev=n0,mac={self.mac},romfile=", "-device", "virtio-rng-pci"]
        command += ["-drive", f"if=none,id=d0,format=raw,file={self._disk}", "-device", "virtio-blk-pci,drive=d0"]
        # On an emulated processor, mitigations cost time and protect nobody.
        arguments = "root=/dev/vda rw console=ttyS0 mitigations=off"
        return [*command, "-kernel", str(kernel), "-initrd", str(initrd), "-append", arguments]
