"""Programs of Debian packages that are unpacked below .room and not installed: installed servers would start on this
machine, and some of the packages exclude each other.

Fetched when they are first asked for, so that one test file alone gets what it needs; needs root and Debian's archive.
"""

import fcntl
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.room.namespaces import run
from tests.room.processes import RoomError
from tests.room.room import CHECKOUT

_FETCH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Debian packages in a directory of their own, .room/`name`; with those that they depend on if `libraries`."""

    name: str
    packages: tuple[str, ...]
    libraries: bool = False

    def directory(self) -> Path:
        """Where they are unpacked, which is done now if it has not been; raises RoomError that says what failed."""
        rooms = CHECKOUT / ".room"
        target = rooms / self.name
        ready = target / ".ready"
        rooms.mkdir(exist_ok=True)
        # One lock for all: two tests that run at once would both call apt-get, which has locks of its own and gives up.
        with (rooms / "programs.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists():
                shutil.rmtree(target, ignore_errors=True)
                self._unpack(target)
                ready.touch()
        return target

    def command(self, program: str) -> list[str]:
        """The command that runs one of the programs with the libraries unpacked beside it."""
        directory = self.directory()
        for folder in ("usr/sbin", "sbin", "usr/bin"):
            if (path := directory / folder / program).exists():
                libraries = ":".join(str(each) for each in (directory / "usr" / "lib").glob("*-linux-gnu"))
                return ["env", f"LD_LIBRARY_PATH={libraries}", str(path)]
        raise RoomError(f"{', '.join(self.packages)} have no {program} (unpacked in {directory})")

    def _unpack(self, target: Path) -> None:
        archives = target / "packages"
        (archives / "partial").mkdir(parents=True)
        fetch = ["env", "-C", str(archives), "apt-get", "download", "-qq", *self.packages]
        if self.libraries:
            # Without --reinstall a package that is installed here would be left out.
            options = ["--download-only", "--reinstall", "--no-install-recommends", "-y", "-qq"]
            fetch = ["apt-get", "install", *options, "-o", f"Dir::Cache::archives={archives}", *self.packages]
        try:
            run(fetch, timeout=_FETCH_SECONDS)
        except RoomError:
            # The lists of packages may be missing, or older than the archive.
            run(["apt-get", "update", "-qq"], timeout=_FETCH_SECONDS)
            run(fetch, timeout=_FETCH_SECONDS)
        for package in sorted(archives.glob("*.deb")):
            run(["dpkg", "--extract", str(package), str(target)], timeout=_FETCH_SECONDS)
        shutil.rmtree(archives)


DHCP = Unpacked(
    "dhcp-programs", ("isc-dhcp-server", "kea-dhcp4-server", "isc-dhcp-client", "isc-dhcp-relay"), libraries=True
)
"""DHCP servers that an administrator may have beside the box, a relay and a client."""

FAKETIME = Unpacked("faketime", ("libfaketime",))
"""A library that gives one program a clock of its own."""

BENCHMARKED = Unpacked("bench-programs", ("tftpd-hpa", "atftpd", "nginx"))
"""The servers that the benchmarks measure beside the box. The libraries that they need are installed packages."""
