"""A PC with the live system's agent: its scripts run for real, with a fake box, a fake BOINC, and a clock that jumps.

`sleep` takes no time and moves the PC's uptime instead. Paths of the live system lead into a directory of the test.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

from image import build
from tests.fakes.boinc_client import BoincClient, Condition

LIVE = build.TREE / "includes.chroot_after_packages"
SCRIPTS = LIVE / "usr/lib/netboot-appliance"
TIMEOUT = 120.0

_PROGRAMS = {
    "sleep": """\
now=$(cut -d " " -f 1 ROOT/proc/uptime)
now=$(awk -v now="$now" -v more="$1" -v haste="$(cat ROOT/haste)" 'BEGIN { printf "%.2f", now + haste * more }')
echo "$now 0" > ROOT/proc/uptime.$$
mv ROOT/proc/uptime.$$ ROOT/proc/uptime
exec /bin/sleep 0.01
""",
    "busybox": """\
[ "$1 $2 $3" = "wget -q -O" ] || exit 99
file=$4 how=$5 what=$6
[ "$how" != --post-file ] || what=@$what
why=$(curl -sSf -o "$file" --data-binary "$what" "$7" 2>&1) && exit
echo "wget: ${why##*curl: }" >&2
exit 1
""",
    "setpriv": 'while [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n',
    "systemctl": """\
case $1 in
	show) cat "ROOT/units/$5" ;;
	list-jobs) cat "ROOT/jobs" ;;
	*) echo "$*" >> ROOT/systemctl ;;
esac
""",
    "ip": "echo '2: eth9    inet 10.77.0.101/24 brd 10.77.0.255 scope global eth9'\n",
    "mountpoint": "exit 0\n",
    "date": 'case $* in *-s*) echo "$*" >> ROOT/clock ;; *) exec /bin/date "$@" ;; esac\n',
}


class Box(ThreadingHTTPServer):
    """The box: takes reports and heartbeats, and answers heartbeats with `replies`; the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.reports: list[dict[str, str]] = []
        self.heartbeats: list[bytes] = []
        self.times: list[float] = []
        """The PC's uptime at each heartbeat."""
        self.uptime: Callable[[], float] = lambda: 0.0
        self.replies: list[bytes | int] = [b"next=60\n"]

    def stages(self) -> list[str]:
        return [report["stage"] for report in self.reports]

    def orders(self) -> list[str]:
        """What PCs said of orders, in all heartbeats."""
        heads = (body.partition(b"\n\n")[0].decode().splitlines() for body in list(self.heartbeats))
        return [line.removeprefix("order=") for head in heads for line in head if line.startswith("order=")]


class _Request(BaseHTTPRequestHandler):
    server: Box

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path.startswith("/boot/525400aabbcc/T0ken-1_x/")
        if self.path.endswith("/report"):
            self.server.reports.append(dict(parse_qsl(body.decode())))
            self.send_response(204)
            self.end_headers()
            return
        assert self.path.endswith("/heartbeat")
        reply = self.server.replies[0] if len(self.server.replies) == 1 else self.server.replies.pop(0)
        # The agent waits for the answer, so its clock stands still.
        self.server.times.append(self.server.uptime())
        self.server.heartbeats.append(body)
        if isinstance(reply, int):
            self.send_error(reply)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


class Pc:
    """The PC; `start` runs its agent, `close` ends everything."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.box = Box()
        self.box.uptime = lambda: self.uptime
        self.boinc = BoincClient()
        self.boinc.condition.clock = lambda: self.uptime
        self.agent: subprocess.Popen[bytes] | None = None
        for server in (self.box, self.boinc):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self._install()

    @property
    def condition(self) -> Condition:
        return self.boinc.condition

    def _install(self) -> None:
        root = self.root
        for name in ("bin", "scripts", "proc", "run/netboot-appliance", "units", "data", "dev", "class/net/eth9"):
            (root / name).mkdir(parents=True)
        for name in ("class/thermal/thermal_zone0", "class/hwmon/hwmon0", "class/dmi/id", "pci/0000:00:19.0"):
            (root / name).mkdir(parents=True)
        for name, text in _PROGRAMS.items():
            self.program(name, text)
        for name, content in {
            "class/net/eth9/address": "52:54:00:aa:bb:cc\n",
            "class/thermal/thermal_zone0/temp": "47800\n",
            "class/hwmon/hwmon0/temp1_input": "61000\n",
            "class/dmi/id/sys_vendor": "Dell Inc.\n",
            "class/dmi/id/product_name": "OptiPlex 7040\n",
            "pci/0000:00:19.0/vendor": "0x8086\n",
            "pci/0000:00:19.0/device": "0x15b7\n",
            "haste": "1\n",
            "consoles": "tty0 ttyS0\n",
            "proc/uptime": "12.34 20.00\n",
            "proc/loadavg": "3.98 2.00 1.00 5/200 999\n",
            "proc/meminfo": "MemTotal:       8192000 kB\nMemFree:         1 kB\nMemAvailable:    4096000 kB\n",
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5-6500 CPU @ 3.20GHz\n",
            "proc/cmdline": "nfsroot=127.0.0.1:/i/r BOOTIF=01-52-54-00-aa-bb-cc netboot_appliance.token=T0ken-1_x "
            f"netboot_appliance.port={self.box.server_port} netboot_appliance.state=/s\n",
            "run/netboot-appliance/files-tag": "0123456789abcdef\n",
            "run/netboot-appliance/placed": "",
            "data/gui_rpc_auth.cfg": "secret",
            "units/boinc-client.service": "active\n",
        }.items():
            (root / name).write_text(content)
        (root / "class/net/eth9/device").symlink_to(root / "pci/0000:00:19.0")
        (root / "pci/0000:00:19.0/driver").symlink_to("/sys/bus/pci/drivers/e1000e")
        for script in SCRIPTS.iterdir():
            shutil.copy(script, root / "scripts" / script.name)
            self.edit(script.name)

    def edit(self, name: str) -> None:
        """Let a script find its files here, and wait for seconds instead of half a minute."""
        path = self.root / "scripts" / name
        text = path.read_text()
        for real, here in (
            ("/usr/lib/netboot-appliance", self.root / "scripts"),
            ("/dev/tcp/127.0.0.1/31416", f"/dev/tcp/127.0.0.1/{self.boinc.port}"),
            ("/proc/", f"{self.root}/proc/"),
            ("/sys/class/tty/console/active", f"{self.root}/consoles"),
            ("/sys/class/", f"{self.root}/class/"),
            ("/sys/bus/pci/devices", f"{self.root}/pci"),
            ("/dev/tty1", f"{self.root}/dev/tty1"),
            ("/dev/input/", f"{self.root}/dev/input/"),
            ('> "/dev/$console"', f'>> "{self.root}/dev/$console"'),
            ("/var/lib/boinc-client", self.root / "data"),
            ("/run/netboot", f"{self.root}/run/netboot"),
            ("/run/systemd", f"{self.root}/run/systemd"),
            ("read -r -t 10 ", "read -r -t 1 "),
            ("timeout -s KILL 30 /", "timeout -s KILL 2 /"),
            ("timeout -s KILL 20 /", "timeout -s KILL 1 /"),
            ("as_boinc -t 20 ", "as_boinc -t 1 "),
        ):
            text = text.replace(real, str(here))
        path.write_text(text)

    def program(self, name: str, text: str) -> None:
        """Put a program into the PC's PATH."""
        path = self.root / "bin" / name
        path.write_text("#!/bin/sh\n" + text.replace("ROOT", str(self.root)))
        path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"}

    def haste(self, factor: int) -> None:
        """Let each wait take so many times as long, for stories of hours."""
        (self.root / "haste").write_text(f"{factor}\n")

    def start(self) -> None:
        command = ["bash", str(self.root / "scripts/agent")]
        with (self.root / "journal").open("ab") as journal:
            self.agent = subprocess.Popen(command, env=self.environment, stdout=journal, stderr=journal)

    def stop(self) -> None:
        if self.agent is not None:
            self.agent.terminate()
            self.agent.wait()
            self.agent = None

    def run(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(self.root / "scripts" / name), *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)

    def close(self) -> None:
        self.stop()
        self.boinc.closing.set()
        for server in (self.box, self.boinc):
            server.shutdown()
            server.server_close()

    def waits_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it holds; the agent must live."""
        until = time.monotonic() + TIMEOUT
        while not condition():
            assert self.agent is None or self.agent.poll() is None, f"the agent ended:\n{self.journal}"
            assert time.monotonic() < until, f"never: {what}\n{self.journal[-4000:]}"
            time.sleep(0.02)

    def beats(self, more: int = 1) -> bytes:
        """Wait for so many more heartbeats; the last one's body."""
        count = len(self.box.heartbeats) + more
        self.waits_for(lambda: len(self.box.heartbeats) >= count, "a heartbeat")
        return self.box.heartbeats[count - 1]

    @property
    def journal(self) -> str:
        return (self.root / "journal").read_text(errors="replace")

    def told(self, name: str) -> list[str]:
        """The lines that a stand-in program wrote."""
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def uptime(self) -> float:
        for _ in range(100):
            if words := (self.root / "proc/uptime").read_text().split():
                return float(words[0])
        raise AssertionError


def head(body: bytes) -> dict[str, str]:
    """The key=value lines of a heartbeat."""
    lines = body.partition(b"\n\n")[0].decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def replies(body: bytes) -> list[str]:
    """BOINC's replies in a heartbeat."""
    parts = body.partition(b"\n\n")[2].decode().split("</boinc_gui_rpc_reply>\n")
    assert parts.pop() == ""
    return [part + "</boinc_gui_rpc_reply>" for part in parts]
