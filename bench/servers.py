"""The servers of the benchmarks: ours, and the C programs that administrators use today.

All run at once on the servers' host, each on an address of its own, pinned to one core, with its own defaults for logs
and with limits that admit all clients. The peers' programs come from unpacked Debian packages: installed ones would
start on this machine.
"""

import resource
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

from bench.cpu import cpu_seconds
from bench.measure import BEFORE, OURS, Sample
from bench.site import BOX, FAR, FILE, LAN, NEAR, SERVER_CORE, SMALL_FILE, Site, compiled
from tests.netns.served import install_release
from tests.room.processes import Process, RoomError, wait_until
from tests.room.programs import BENCHMARKED
from tests.room.room import appliance_command

FIRST_MAC = 0x525400000000
"""Client number i of a load generator has the MAC address FIRST_MAC + i; ours serves 2^24 of them."""
ALLOWED = ("52:54:00:00:00:00 - 52:54:00:ff:ff:ff",)

_BESIDE = IPv4Address("10.79.0.1")
_TIMEOUT = 30.0
_SETTLE = 0.3
"""Seconds after a run for a server to finish deferred work (ours writes its journal every 0.25 s)."""


_CONFIGURATION = """\
[server]
data = "{data}"
interfaces = ["{interface}"]

[control]
enabled = false

[nfs]
networks = ["{near}", "{far}", "{lan}"]
backend = "ganesha"
ganesha_config = "{directory}/ganesha.conf"
ganesha_pid_file = "{directory}/ganesha.pid"
{settings}"""


class Server:
    """One server program. `listens` are the ports it has when it is ready, such as "udp:69"."""

    name = ""
    path = "{file}"
    """How a client asks for a file: `{file}` is its name, `%m` the client's MAC address without separators."""
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    """How many files it may have open."""

    def __init__(self, site: Site, address: IPv4Address, listens: Sequence[str]) -> None:
        self.site = site
        self.address = address
        self.listens = listens
        self.process: Process | None = None
        self.directory = site.directory / self.name.replace(",", "").replace(" ", "-")

    def command(self) -> list[str]:
        """The command line of the program."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Write what the program reads."""

    def start(self) -> None:
        """Start it and return when it listens; RoomError when it does not come up."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prepare()
        if (
            self.address in LAN
            and self.address != BOX
            and f" {self.address}/" not in self.site.host.ip("-o", "address")
        ):
            self.site.host.ip("address", "add", f"{self.address}/{LAN.prefixlen}", "dev", "lan0")
        pinned = ["taskset", "-c", str(SERVER_CORE), "prlimit", f"--nofile={self.open_files}", *self.command()]
        log = self.directory / "log"
        log.unlink(missing_ok=True)
        process = self.process = self.site.host.start(self.name, pinned, log)

        def ready() -> bool:
            process.require()
            lines = self.site.host.run(["ss", "-Hlntu"]).stdout.splitlines()
            found = {f"{line.split()[0]}:{line.split()[4]}" for line in lines}
            return all(listen.replace(":", f":{self.address}:") in found for listen in self.listens)

        wait_until(ready, _TIMEOUT, f"{self.name} to listen on {self.address} {', '.join(self.listens)}", 0.05)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def file(self, name: str) -> str:
        """What a client asks for to get the file `name`."""
        return self.path.format(file=name)

    def cpu_seconds(self) -> float:
        """Processor seconds of its whole process tree so far."""
        if self.process is None:
            raise RoomError(f"{self.name} does not run")
        self.process.require()
        return cpu_seconds(self.process.pid)

    def measured(self, run: Callable[[], Sample]) -> Sample:
        """The sample of `run`, with the processor seconds that this server used for it."""
        before = self.cpu_seconds()
        sample = run()
        time.sleep(_SETTLE)
        return Sample(sample.bytes, sample.seconds, self.cpu_seconds() - before, sample.extra)


class Ours(Server):
    """The real `netboot-appliance serve` with its defaults, a registry of its own, a release and an allowed range."""

    path = "%m/{file}"

    def __init__(
        self, site: Site, *, settings: str = "", allow: Sequence[str] = ALLOWED, before: Path | None = None
    ) -> None:
        """`settings`: TOML behind the usual configuration; `allow`: the allowed ranges. `before`: the box of another
        checkout, with its own .venv, as a peer called BEFORE."""
        self.name = BEFORE if before else OURS
        self.program = str(before / ".venv/bin/netboot-appliance") if before else appliance_command()
        self.interface = "lan0"
        super().__init__(site, BOX, ("udp:69", "tcp:80"))
        self.settings = settings
        self.allow = allow
        self.data = self.directory / "data"
        self.configuration = self.directory / "config.toml"

    def prepare(self) -> None:
        """A fresh data directory with the files, a release and the allowed ranges."""
        shutil.rmtree(self.data, ignore_errors=True)
        boot = self.data / "boot"
        boot.mkdir(parents=True)
        for name in (FILE, SMALL_FILE):
            (boot / name).hardlink_to(self.site.root / name)
        self.configuration.write_text(
            _CONFIGURATION.format(
                data=self.data,
                interface=self.interface,
                directory=self.directory,
                near=NEAR,
                far=FAR,
                lan=LAN,
                settings=self.settings,
            )
        )
        self.configuration.chmod(0o600)
        self.release = install_release(self.data / "images")
        ranges = self.directory / "allowed"
        ranges.write_text("".join(f"{line}\n" for line in self.allow))
        self.verb("allow", "import", str(ranges))

    def verb(self, *arguments: str) -> str:
        """Run a verb of netboot-appliance and return what it prints."""
        command = [self.program, "--config", str(self.configuration), *arguments]
        return self.site.host.run(command, timeout=120).stdout

    def command(self) -> list[str]:
        """`serve`."""
        return [self.program, "--config", str(self.configuration), "serve"]


class OursBeside(Ours):
    """Ours on the host of another one: at an interface of its own, since a box serves the first address of each."""

    def __init__(self, site: Site, before: Path) -> None:
        super().__init__(site, before=before)
        self.address = _BESIDE
        self.interface = "lan1"

    def start(self) -> None:
        """Make the interface, and start."""
        other = f"{self.interface}-end"
        self.site.host.ip("link", "add", self.interface, "type", "veth", "peer", "name", other)
        for end in (self.interface, other):
            self.site.host.ip("link", "set", end, "up")
        self.site.host.ip("address", "add", f"{self.address}/24", "dev", self.interface)
        self.site.clients.ip("route", "add", f"{self.address}/32", "via", str(BOX))
        super().start()


class Tftpd(Server):
    """tftpd-hpa: a process for each transfer. It has no windowsize."""

    name = "tftpd-hpa"

    def __init__(self, site: Site) -> None:
        super().__init__(site, IPv4Address("10.77.0.11"), ("udp:69",))

    def command(self) -> list[str]:
        """Debian's options (/etc/default/tftpd-hpa), in the foreground and on one address."""
        program = str(BENCHMARKED.directory() / "usr/sbin/in.tftpd")
        own = ["--user", "nobody", "--address", f"{self.address}:69"]
        counted = ["env", f"LD_PRELOAD={compiled('reaping', '-shared', '-fPIC')}"]
        return [*counted, program, "--listen", "--foreground", *own, "--secure", str(self.site.root)]


class Atftpd(Server):
    """atftpd: a thread for each transfer."""

    name = "atftpd"
    open_files = 1024  # it uses select(2), and aborts with more

    def __init__(self, site: Site) -> None:
        super().__init__(site, IPv4Address("10.77.0.12"), ("udp:69",))

    def command(self) -> list[str]:
        """Debian's options (/etc/default/atftpd) except ten times the --maxthread, in the foreground."""
        program = str(BENCHMARKED.directory() / "usr/sbin/atftpd")
        limits = ["--tftpd-timeout", "300", "--retry-timeout", "5", "--maxthread", "1000", "--verbose=5"]
        own = ["--logfile", "-", "--bind-address", str(self.address)]
        return [program, "--daemon", "--no-fork", *limits, *own, str(self.site.root)]


class Dnsmasq(Server):
    """dnsmasq as a TFTP server in its default mode: one process, a port for each transfer. It has no windowsize."""

    name = "dnsmasq"

    def __init__(self, site: Site) -> None:
        super().__init__(site, IPv4Address("10.77.0.13"), ("udp:69",))

    def command(self) -> list[str]:
        """TFTP only, with room for all clients."""
        bound = [f"--listen-address={self.address}", "--bind-interfaces", "--user=root", "--pid-file="]
        tftp = ["--enable-tftp", f"--tftp-root={self.site.root}", "--tftp-max=10000"]
        alone = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--log-facility=-"]
        return ["dnsmasq", *alone, *bound, *tftp]


class Nginx(Server):
    """nginx with one worker and Debian's sendfile settings."""

    def __init__(self, site: Site, root: Path, *, log: bool = False) -> None:
        """`root`: the directory that it serves; `log`: it writes an access log, as by default."""
        self.name = "nginx, access log" if log else "nginx"
        super().__init__(site, IPv4Address("10.77.0.15" if log else "10.77.0.14"), ("tcp:80",))
        self.root = root
        self.log = self.directory / "access.log" if log else "off"

    def prepare(self) -> None:
        """nginx.conf."""
        text = _NGINX.format(directory=self.directory, address=self.address, root=self.root, log=self.log)
        (self.directory / "nginx.conf").write_text(text)

    def command(self) -> list[str]:
        """In the foreground."""
        program = str(BENCHMARKED.directory() / "usr/sbin/nginx")
        return [program, "-p", str(self.directory), "-e", "stderr", "-c", str(self.directory / "nginx.conf")]


# Debian's /etc/nginx/nginx.conf, with one worker as ours is one process.
_NGINX = """\
daemon off;
user root;
worker_processes 1;
pid "{directory}/pid";
events {{ worker_connections 4096; }}
http {{
    sendfile on;
    tcp_nopush on;
    access_log {log};
    client_body_temp_path "{directory}/body";
    proxy_temp_path "{directory}/proxy";
    fastcgi_temp_path "{directory}/fastcgi";
    uwsgi_temp_path "{directory}/uwsgi";
    scgi_temp_path "{directory}/scgi";
    server {{
        listen {address}:80 backlog=4096;
        root "{root}";
    }}
}}
"""


class Servers:
    """Several servers up at once. Use as a context manager."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.all = servers

    def __enter__(self) -> Sequence[Server]:
        with ExitStack() as stack:
            for server in self.all:
                stack.callback(server.stop)
                server.start()
            self._stop = stack.pop_all()
        return self.all

    def __exit__(self, *exception: object) -> None:
        self._stop.close()
