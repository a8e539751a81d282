"""A Debian server in a container: real systemd as PID 1, on a throw-away copy of the root directory, up in seconds.

It runs on this machine's kernel, so without an NFS server; the guest is for that and for power cuts. The container and
its mounts end with the process that made it, even if that is killed.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from services.ethernet import MacAddress
from tests.room.interruption import UNIGNORED
from tests.room.namespaces import PREFIX, Namespace, Network, alive, run
from tests.room.processes import MARK, Process, tail, wait_until

ADDRESS = "10.77.0.1/24"
MAC = MacAddress.parse("02:77:00:00:00:01")
BOOT_SECONDS = 240.0
# As in a login shell.
ENVIRONMENT = (
    *(*UNIGNORED, "-i", "--chdir=/", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    *("HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"),
)

# In mount and process namespaces of its own, with unified control groups as on a real server, whatever this machine
# uses, and with a private /run, since systemd-nspawn leaves directories there. NFS-Ganesha needs the additional call.
_LAUNCH = """set -e
directory=$1 root=$2 netns=$3 name=$4
mkdir -p "$directory/upper" "$directory/work" "$directory/merged"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$directory/upper,workdir=$directory/work" "$directory/merged"
touch "$directory/netns"
mount --bind "$netns" "$directory/netns"
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$name"
echo $$ >"/sys/fs/cgroup/$name/cgroup.procs"
exec systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$directory/merged" --machine=server \
    --network-namespace-path="$directory/netns" --capability=CAP_NET_ADMIN --system-call-filter=open_by_handle_at \
    --console=read-only --link-journal=no
"""
_REMOVE_GROUPS = """mount -t cgroup2 cgroup2 /sys/fs/cgroup && cd /sys/fs/cgroup || exit
[ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} +
"""


class Container:
    """One server, booted by `with`. On its network it is the host `box`, with 10.77.0.1/24 on lan0.

    `directory` gets the copy of the root (removed at the end), `logs` the console and the journal; the names of both
    contain the container's `name`.
    """

    def __init__(self, root: Path, directory: Path, logs: Path, name: str = "container") -> None:
        self.network = Network()
        self.console = logs / f"{name}-console.log"
        self.journal = logs / f"{name}-journal.log"
        self.host: Namespace
        self._root = root.resolve()
        self._parent = directory.resolve()
        self._directory = self._parent / self.network.room
        self._init = 0

    def __enter__(self) -> "Container":
        self._cleanup = ExitStack()
        try:
            self._sweep()
            self._cleanup.callback(_remove, self._directory)
            self._cleanup.enter_context(self.network)
            self.host = self.network.host("box", ADDRESS, MAC)
            self._boot()
            self._cleanup.callback(self.keep_journal)
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.close()

    def run(
        self, command: Sequence[str] | str, *, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command or a line of shell in it as root; RoomError when it fails (unless `check` is off)."""
        inside = ["sh", "-c", command] if isinstance(command, str) else list(command)
        mark = ["env", f"{MARK}={self.network.room}"]
        enter = ["nsenter", "--target", str(self._init), "--all", "--", *ENVIRONMENT]
        return run([*mark, *enter, *inside], timeout=timeout, check=check)

    def put(self, source: Path, target: str) -> None:
        """Copy a file of this machine to the absolute path `target` in the container."""
        shutil.copyfile(source, self.path(target))

    def path(self, inside: str) -> Path:
        """Where an absolute path of the container is on this machine. Does not work through absolute symbolic links."""
        return Path(f"/proc/{self._init}/root{inside}")

    def wait(self, command: Sequence[str] | str, seconds: float, what: str = "") -> None:
        """Return once a command succeeds in it; RoomError after `seconds`."""
        line = command if isinstance(command, str) else shlex.join(command)
        wait_until(lambda: self.run(line, check=False).returncode == 0, seconds, what or line, interval=0.2)

    def said(self, unit: str) -> str:
        """A unit's complete output so far: waits for the journal to write it."""
        self.run("journalctl --sync")
        return self.run(["journalctl", "--no-pager", f"--unit={unit}"]).stdout

    def keep_journal(self) -> Path:
        """Write the journal so far to the logs; returns the file."""
        # One that has ended gives nothing: keep what was written earlier.
        if said := self.run("journalctl --no-pager --boot --output=short-monotonic", check=False).stdout:
            self.journal.write_text(said)
        return self.journal

    def tails(self, lines: int = 60) -> str:
        """The ends of journal and console, for the report of a failure."""
        logs = (self.keep_journal(), self.console)
        return "\n".join(f"--- {log} ---\n{tail(log, lines)}" for log in logs)

    def _boot(self) -> None:
        self._directory.mkdir(parents=True)
        netns = f"/run/netns/{self.host.name}"
        alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        arguments = [str(self._directory), str(self._root), netns, self.network.room]
        self.console.unlink(missing_ok=True)
        command = [*alone, "--mount-proc", "--", "sh", "-c", _LAUNCH, "nspawn", *arguments]
        process = Process("systemd-nspawn", command, self.console, self.network.room)
        self.host.processes.append(process)

        def has_init() -> bool:
            process.require()
            self._init = _init_below(process.pid)
            return self._init != 0

        wait_until(has_init, BOOT_SECONDS, f"systemd in the container; see {self.console}")
        self.wait("[ -S /run/dbus/system_bus_socket ]", BOOT_SECONDS)
        # `degraded` counts as booted too: tests judge what failed.
        self.run("systemctl is-system-running --wait", check=False, timeout=BOOT_SECONDS)

    def _sweep(self) -> None:
        """Remove the copies of processes that were killed."""
        for stale in self._parent.glob(f"{PREFIX}-*"):
            if not alive(stale.name):
                _remove(stale)


def _remove(copy: Path) -> None:
    """Remove the copy of a container that has ended, and its control groups."""
    # The kernel frees the groups a moment after the last process in them ends.
    script = ["unshare", "--mount", "sh", "-c", _REMOVE_GROUPS, "remove", copy.name]
    wait_until(lambda: run(script, check=False).returncode == 0, 60, "the container's control groups to be empty")
    shutil.rmtree(copy, ignore_errors=True)


def _init_below(pid: int) -> int:
    """The process below `pid` that is PID 1 of a namespace and systemd, or 0."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        for process in below:
            status = Path(f"/proc/{process.pid}/status").read_text()
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if numbers[-1] == "1" and os.readlink(f"/proc/{process.pid}/exe").endswith("/systemd"):
                return process.pid
    except (psutil.NoSuchProcess, OSError):
        pass
    return 0
