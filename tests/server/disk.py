"""A bootable disk image for the guest: the root directory plus the files of a test.

The files go into an overlay, so that the shared root directory does not change. Starts no machine.
"""

import shutil
from pathlib import Path

from tests.room.namespaces import run

SIZE = "4G"
NETWORK = """\
[Match]
MACAddress={mac}

[Network]
Address={address}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""
SSHD = "UsePAM no\nUseDNS no\n"
# A journal on the emulated disk would be slow; the guest is asked for its journal before it goes off.
JOURNALD = "[Journal]\nStorage=volatile\nRateLimitBurst=0\n"
ENABLED = {
    "multi-user.target.wants": "systemd-networkd.service",
    "sockets.target.wants": "systemd-networkd.socket",
    "network-online.target.wants": "systemd-networkd-wait-online.service",
}
# Housekeeping that would use the processor during a test.
MASKED = (
    *(
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "e2scrub_reap.service",
    ),
    *("fstrim.timer", "man-db.timer", "systemd-tmpfiles-clean.timer", "getty@tty1.service"),
)

_MAKE = """set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/merged"
if cp "$2"/packages/*.deb "$2/merged/root/installed.deb" 2>/dev/null; then
    chroot "$2/merged" dpkg --install /root/installed.deb
fi
truncate --size="$4" "$3"
exec mke2fs -q -F -t ext4 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard -d "$2/merged" "$3"
"""


class DiskTree:
    """Files on the disk in addition to the root directory `root`; collected below `directory`."""

    def __init__(self, root: Path, directory: Path) -> None:
        self._root = root.resolve()
        self._directory = directory.resolve()
        self._upper = self._directory / "upper"
        shutil.rmtree(self._directory, ignore_errors=True)
        for name in ("upper", "work", "merged", "packages"):
            (self._directory / name).mkdir(parents=True)

    def write(self, target: str, text: str, mode: int = 0o644) -> None:
        """A file with this text, owned by root."""
        path = self._make_parents(target)
        path.write_text(text)
        path.chmod(mode)

    def copy(self, source: Path, target: str) -> None:
        """A copy of a file or directory of this machine, owned by root, with the same permissions."""
        path = self._make_parents(target)
        if source.is_dir():
            shutil.copytree(source, path, symlinks=True)
        else:
            shutil.copy(source, path)

    def install(self, package: Path) -> None:
        """Install a package whose dependencies are there; its services start at the first boot, unless masked."""
        shutil.copy(package, self._directory / "packages")

    def link(self, target: str, to: str) -> None:
        """A symbolic link."""
        self._make_parents(target).symlink_to(to)

    def be_a_server(self, address: str, mac: str, public_key: str) -> None:
        """A static address with its prefix length for the card `mac`, the ssh key for root, and no housekeeping."""
        self.write("/etc/systemd/network/lan.network", NETWORK.format(mac=mac, address=address))
        self.write("/etc/systemd/journald.conf.d/volatile.conf", JOURNALD)
        self.write("/etc/ssh/sshd_config.d/test.conf", SSHD)
        self.write("/root/.ssh/authorized_keys", public_key, 0o600)
        units = "/etc/systemd/system"
        for target, unit in ENABLED.items():
            self.link(f"{units}/{target}/{unit}", f"/lib/systemd/system/{unit}")
        for unit in MASKED:
            self.link(f"{units}/{unit}", "/dev/null")

    def make(self, image: Path) -> None:
        """Make the image, an ext4 file system, and forget the collected files."""
        image.unlink(missing_ok=True)
        script = ["sh", "-c", _MAKE, "make", str(self._root), str(self._directory), str(image), SIZE]
        run(["unshare", "--mount", *script], timeout=600)
        shutil.rmtree(self._directory)

    def _make_parents(self, target: str) -> Path:
        path = self._upper / target.lstrip("/")
        missing = [parent for parent in path.parents if not parent.exists() and parent.is_relative_to(self._upper)]
        for parent in reversed(missing):
            original = self._root / parent.relative_to(self._upper)
            # In an overlay the upper directory's permissions win.
            parent.mkdir(mode=0o755)
            if original.exists():
                shutil.copystat(original, parent)
        return path
