"""The virtual room with a real server in it: a guest with the package takes the place of the room's own box.

Everything else is in the room: the site's DHCP server, the project, the PCs.
"""

from pathlib import Path
from subprocess import CompletedProcess

from services.ethernet import MacAddress
from tests.fakes.boinc_project import ACCOUNT_KEY
from tests.room.processes import Process, RoomError
from tests.room.room import BOX, MANAGEMENT, NETWORK, PROJECT, Room, host_mac
from tests.server.disk import DiskTree
from tests.server.guest import Guest

SERVICE = "netboot-appliance"
CONFIGURATION_FILE = "/etc/netboot-appliance/config.toml"
DATA = "/var/lib/netboot-appliance"
PACKAGE = "/root/netboot-appliance.deb"
"""Where the package is on a test's machine before it is installed."""
CONFIGURATION = f"""\
[nfs]
networks = ["{NETWORK}"]

[project]
url = "http://{PROJECT}/fake/"
account_key = "{ACCOUNT_KEY}"

[boinc]
management_hosts = ["{MANAGEMENT}"]

[image]
kernel_arguments = ["console=ttyS0,115200"]
"""


class ServerRoom(Room):
    """The room with its server on, and the package and the live image's releases on the server's disk.

    `images` is a directory of releases as `image build` makes it. The server is switched on at the start, but is not
    waited for.
    """

    def __init__(
        self, directory: Path, logs: Path, *, root: Path, package: Path, images: Path, job_seconds: int
    ) -> None:
        super().__init__(directory, logs, job_seconds=job_seconds)
        self._root = root
        self._package = package
        self._images = images
        self._follower: Process | None = None

    def _place_box(self) -> None:
        self.server = Guest(
            self.network,
            self.management,
            root=self._root,
            address=BOX,
            mac=host_mac(BOX),
            directory=self.directory / "guest",
            logs=self.logs,
        )
        self.server.install(self._furnish)
        self.server.power_on()

    def _furnish(self, tree: DiskTree) -> None:
        tree.copy(self._package, PACKAGE)
        tree.copy(self._images, f"{DATA}/images")

    def appliance(self, *arguments: str, check: bool = True, timeout: float = 600) -> CompletedProcess[str]:
        """Run a `netboot-appliance` verb on the server."""
        return self.server.run([SERVICE, *arguments], timeout=timeout, check=check)

    def state(self, mac: MacAddress) -> Path:
        """The server's directory with the work of one PC: a path on the server."""
        return Path(DATA) / "state" / mac.bare

    def require_all(self) -> None:
        """Raise RoomError also if the server has gone off."""
        super().require_all()
        self.server.require_on()

    def follow(self) -> None:
        """From now on `said` sees what the service has logged since the server was switched on."""
        self._follower = self.server.follow(SERVICE)

    def said(self, *words: str) -> bool:
        """Whether a line of the service's log has all these words."""
        if self._follower is None:
            raise RoomError("the service's log is not followed")
        lines = self._follower.log.read_text(errors="replace").splitlines()
        return any(all(word in line for word in words) for line in lines)

    def service(self, *properties: str) -> dict[str, str]:
        """Properties of the service according to systemd."""
        shown = self.server.run(["systemctl", "show", f"--property={','.join(properties)}", SERVICE]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def exports(self) -> list[str]:
        """What the kernel's NFS server exports to other machines: a directory and a client per line, without the
        options."""
        lines = self.server.run(["cat", "/var/lib/nfs/etab"]).stdout.splitlines()
        exported = (line.partition("(")[0].removesuffix("/32") for line in lines)
        return sorted(line for line in exported if not line.endswith("\t127.0.0.1"))

    def tails(self, lines: int = 25) -> str:
        """The ends of all logs, those of the server as well."""
        return f"{super().tails(lines)}\n{self.server.tails(2 * lines)}"
