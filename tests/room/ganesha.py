"""NFS-Ganesha and rpcbind in one of the room's namespaces: the NFS server of a box whose kernel has none.

Its main configuration is what an administrator would write once; the exports come from the included file, which the
box writes. Needs root; uses a private /run, so that rpcbind and Ganesha do not touch the machine's.
"""

import os
import re
import signal
from pathlib import Path

from tests.room.processes import Process, marked, wait_until

# Minor version 0 is for libnfs, the client of the tests, which speaks 4.0 only; the PCs mount with 4.1.
# No rquota, no UDP: nothing in the room asks for them. Ganesha 6 of Debian 13 does not start without CAP_SYS_RESOURCE,
# which root lacks on some machines for tests, unless that is allowed to fail.
CONFIGURATION = """\
NFS_CORE_PARAM {{
    Protocols = 3, 4;
    Mount_Path_Pseudo = true;
    MNT_Port = 20048;
    NLM_Port = 32803;
    Enable_UDP = false;
    Enable_RQUOTA = false;
    Allow_Set_Io_Flusher_Fail = true;
}}
NFSv4 {{
    Graceless = true;
    Only_Numeric_Owners = true;
    Minor_Versions = 0, 1, 2;
    RecoveryRoot = "{directory}/recovery";
}}
%include "{include}"
"""


class Ganesha:
    """One NFS server in the network namespace `namespace`, which a tests.room.namespaces.Network made.

    `directory` takes its configuration, pid file and log (`ganesha.log`); `include` is the file with the exports.
    """

    def __init__(self, namespace: str, directory: Path, include: Path) -> None:
        self.namespace = namespace
        self.directory = directory
        self.include = include
        self.pid_file = directory / "ganesha.pid"
        self.log = directory / "ganesha.log"
        self._room = namespace.rpartition("-")[0]
        self._process: Process | None = None

    def start(self) -> None:
        """Start both and return when NFS is served; RoomError with the log's end if that fails."""
        (self.directory / "recovery").mkdir(parents=True, exist_ok=True)
        self.include.parent.mkdir(parents=True, exist_ok=True)
        self.include.touch()
        main = self.directory / "main.conf"
        main.write_text(CONFIGURATION.format(directory=self.directory, include=self.include))
        script = (
            "set -e; mount -t tmpfs tmpfs /run; mkdir /run/ganesha; rpcbind -f & "
            # Ganesha registers its ports once: rpcbind has to be there by then.
            "until [ -S /run/rpcbind.sock ]; do kill -0 $!; sleep 0.05; done; "
            'exec ganesha.nfsd -F -f "$1" -L "$2" -N NIV_EVENT -p "$3"'
        )
        enter = ["ip", "netns", "exec", self.namespace, "setpriv", "--pdeathsig", "KILL", "unshare", "--mount"]
        # It sees what the box mounts later.
        enter += ["--propagation", "slave"]
        program = ["sh", "-c", script, "ganesha", str(main), str(self.log), str(self.pid_file)]
        for stale in (self.pid_file, self.log):
            stale.unlink(missing_ok=True)
        self._process = Process("ganesha.nfsd", [*enter, *program], self.directory / "ganesha.out", self._room)
        wait_until(self._serving, 90, f"NFS-Ganesha to serve; see {self.log}")

    def _serving(self) -> bool:
        assert self._process is not None
        self._process.require()
        return self.log.exists() and b"NFS SERVER INITIALIZED" in self.log.read_bytes()

    def reloads(self) -> int:
        """How often it has reread its exports since it started."""
        return self.log.read_bytes().count(b"Reread exports complete")

    def await_rest(self) -> None:
        """Wait until it has read its exports as often as it was told to: what is in the file by now is in force."""
        wait_until(self._rests, 90, "NFS-Ganesha to have read its exports")

    def _rests(self) -> bool:
        status = Path(f"/proc/{self.pid_file.read_text().strip()}/status").read_text()
        pending = int(re.search(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE)[1], 16)  # type: ignore[index]
        told = self.log.read_bytes().count(b"Received SIGHUP")
        return not pending & 1 << signal.SIGHUP - 1 and told == self.reloads()

    def stop(self) -> None:
        """End both at once and wait for it; nothing has to be written out, and their mounts go with them."""
        if self._process is None:
            return
        session = self._process.pid
        self._process.kill()
        self._process = None
        wait_until(lambda: session not in map(_session, marked(self._room)), 60, "rpcbind to end")


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
