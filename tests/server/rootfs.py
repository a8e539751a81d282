"""The root directory of a Debian server, made once by mmdebstrap and kept for the next run.

It has systemd, a kernel, and what the .deb needs to be built and installed, but nothing of the product. Nothing writes
to it: containers and guests work on copies. The Debian archive is the one this machine's apt uses.
"""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from image.apt import mirrors_of_this_machine
from tests.room.processes import RoomError, tail

DISTRIBUTIONS = ("bookworm", "trixie")
"""The servers that are supported: Debian 12 and 13."""
# What an administrator's server has, then the dependencies of the .deb.
SERVER = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "linux-image-cloud-amd64", "initramfs-tools", "zstd"),
    *("openssh-server", "iproute2", "procps", "netbase", "ca-certificates", "bash-completion", "man-db", "debconf"),
)
DEPENDENCIES = (
    *("python3", "python3-venv", "nfs-kernel-server", "live-build", "debootstrap", "squashfs-tools"),
    *("nftables", "e2fsprogs", "mount", "tzdata", "debian-archive-keyring"),
    "adduser",
)
# What building the .deb needs besides.
BUILD = {
    "bookworm": ("build-essential", "debhelper", "pkgconf"),
    "trixie": ("build-essential", "debhelper", "pkgconf", "systemd-dev"),
}
GANESHA = "/root/ganesha"
"""Where the packages of the other NFS server are, with what they depend on: installed, it would take the first one's
port."""
OTHER_NFS_SERVER = ("nfs-ganesha", "nfs-ganesha-vfs")
# Under emulation mandb takes half a minute, and fsync after each file of a package a quarter of one.
DEBCONF = "man-db man-db/auto-update boolean false\n"
DPKG = "force-unsafe-io\n"


def make_root(directory: Path, distribution: str) -> Path:
    """Return the root directory of a server with one of the DISTRIBUTIONS, in `directory`; RoomError if making it
    fails."""
    packages = sorted({*SERVER, *DEPENDENCIES, *BUILD[distribution]})
    made_of = (distribution, DEBCONF, DPKG, *OTHER_NFS_SERVER, *packages)
    key = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]
    directory.mkdir(parents=True, exist_ok=True)
    root = directory / f"root-{key}"
    with (directory / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            unfinished = directory / f"root-{key}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _bootstrap(unfinished, distribution, packages, directory / f"root-{key}.log")
            unfinished.rename(root)
    return root


def _bootstrap(target: Path, distribution: str, packages: Sequence[str], log: Path) -> None:
    mirrors = mirrors_of_this_machine(distribution)
    sources = [f"deb {mirrors.archive} {distribution} main", f"deb {mirrors.security} {distribution}-security main"]
    if mirrors.updates:
        sources.append(f"deb {mirrors.archive} {distribution}-updates main")
    command = ["mmdebstrap", "--variant=minbase", "--format=directory", f"--include={','.join(packages)}"]
    command += ["--aptopt=APT::Install-Recommends false"]
    command += [f'--aptopt=Acquire::http::Proxy "{mirrors.proxy}"'] if mirrors.proxy else []
    command += [f"--essential-hook=printf '%s' '{DEBCONF}' | chroot \"$1\" debconf-set-selections"]
    command += [f"--essential-hook=printf '%s' '{DPKG}' >\"$1/etc/dpkg/dpkg.cfg.d/unsafe-io\""]
    fetch = f"apt-get install -y --download-only -o Dir::Cache::Archives={GANESHA} {' '.join(OTHER_NFS_SERVER)}"
    command += [f'--customize-hook=mkdir -p "$1{GANESHA}/partial"; chroot "$1" {fetch}']
    command += ['--customize-hook=echo server >"$1/etc/hostname"']
    # An empty machine-id, as in a fresh image: each copy makes its own.
    command += ['--customize-hook=: >"$1/etc/machine-id"']
    command += [distribution, str(target), *sources]
    # Its mounts and processes end with this process, however that ends.
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with log.open("wb") as output:
        done = subprocess.run(
            [*alone, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        raise RoomError(f"mmdebstrap made no root directory; its log {log} ends:\n{tail(log)}")
