"""The kernel command line of one boot. PURE.

Parameters: live-boot(7), kernel-command-line(7), and `netboot_appliance.*`, which image/tree's boot.sh reads. The
server's address appears once, in `nfsroot=` or `fetch=`; the live system takes it from there. There is no `ip=`: beside
`fetch=`, live-boot 20230131 treats `ip=dhcp` as the name of an interface. `BOOTIF=` names the network card.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

LONGEST = 2047
"""Bytes: COMMAND_LINE_SIZE of Linux on x86, less its terminating zero."""

BESIDE_SQUASHFS = 300
"""MiB of memory that a PC needs in addition to the squashfs: one of 138 MB ran in a PC with 512 MiB."""

_BARE_MAC = re.compile(r"[0-9a-f]{12}")
_WORD = re.compile(r"[!#-~]+")

_FIXED = (
    # After a failed boot the PC restarts in 30 seconds instead of offering a root shell.
    "panic=30",
    # Keep live-boot and systemd from looking for persistence, a resume image, swap or partitions on local disks.
    "nopersistence",
    "noresume",
    "systemd.gpt_auto=0",
    "systemd.swap=0",
    # Keep live-boot from writing /etc/fstab and /etc/network/interfaces.
    "skipconfig",
    # Not even root on the PC reaches devices past the kernel's drivers (it has none for disks), or loads unsigned ones.
    "lockdown=integrity",
    # Of the kernel's security modules those that do something here: no profile or policy is in the image. With `bpf`
    # systemd loads programs into the kernel before it starts its first unit.
    "lsm=landlock,lockdown,yama",
    # Debian's kernel has no vsyscall page; static programs from before glibc 2.14 read the clock there. With xonly the
    # page is emulated: nothing can be read from it, and only its three calls can be made.
    "vsyscall=xonly",
    # Blank screens after ten minutes.
    "consoleblank=600",
)


@dataclass(frozen=True, slots=True)
class NfsRoot:
    """The live system is mounted from the server while the PC runs; `images` is the path of the releases."""

    images: str


@dataclass(frozen=True, slots=True)
class HttpRoot:
    """The live system is fetched into the PC's memory; `size` is that of its layers in bytes. `layers` are their file
    names, the lowest first, each with the SHA-256 by which the PC knows that it has fetched the right one."""

    size: int
    layers: tuple[tuple[str, str], ...]

    @property
    def memory(self) -> int:
        """MiB of memory that the PC needs (MemTotal); with less, image/tree's fetch-root refuses it."""
        return -(-self.size // (1 << 20)) + BESIDE_SQUASHFS


Root = NfsRoot | HttpRoot


def render(
    server: IPv4Address,
    root: Root,
    release: str,
    mac: str,
    state: str,
    token: str,
    port: int,
    network: str,
    zone: str,
    name: str,
    live: bool,
    ntp: Iterable[IPv4Address] = (),
    extra: tuple[str, ...] = (),
) -> str:
    """Return the command line; `state` is a path on the server, `mac` is twelve lower-case digits. `network` is what
    BOINC may reach: "all", or "internet" and what of the local network is open to it, with commas between them. `zone`
    is a name of tzdata, or empty for UTC. `name` is the host name. `live`: there are archives for the root, which the
    initramfs is to fetch. `ntp` are time servers beside those that DHCP names.

    Raises ValueError for a value that would not be read back as one word.
    """
    if not _BARE_MAC.fullmatch(mac):
        raise ValueError(f"{mac!r} is not a MAC address of twelve lower-case digits")
    servers = ",".join(map(str, ntp))
    words = (
        "boot=live",
        *_root_words(server, root, release, mac, port),
        # live-boot compares it with the kernel's form, which is lower-case.
        f"BOOTIF=01-{mac[:2]}-{mac[2:4]}-{mac[4:6]}-{mac[6:8]}-{mac[8:10]}-{mac[10:]}",
        f"netboot_appliance.port={port}",
        f"netboot_appliance.token={token}",
        f"netboot_appliance.state={state}",
        f"netboot_appliance.network={network}",
        *((f"netboot_appliance.zone={zone}",) if zone else ()),
        *((f"netboot_appliance.name={name}",) if name != f"boinc-{mac}" else ()),
        *(("netboot_appliance.live=1",) if live else ()),
        *((f"netboot_appliance.ntp={servers}",) if servers else ()),
        *_FIXED,
        *extra,
    )
    line = " ".join(words)
    # Words of _WORD, checked as one: each PC of a room that is switched on asks for a line.
    plain = line.isascii() and line.isprintable() and '"' not in line and "" not in words
    if not plain or line.count(" ") != len(words) - 1:
        wrong = next(word for word in words if not _WORD.fullmatch(word))
        raise ValueError(
            f"{wrong!r} cannot go on a kernel command line: it contains a space, a quote or a control character"
        )
    if len(line) > LONGEST:
        raise ValueError(f"the kernel command line has {len(line)} bytes, more than the {LONGEST} that Linux reads")
    return line


def _root_words(server: IPv4Address, root: Root, release: str, mac: str, port: int) -> tuple[str, ...]:
    match root:
        case NfsRoot(images):
            return ("netboot=nfs", f"nfsroot={server!s}:{images}/{release}", "nfsopts=timeo=600")
        case HttpRoot(_, layers):
            host = f"{server}" if port == 80 else f"{server}:{port}"
            # live-boot treats what follows the last dot as the file type, so there must be no query.
            url = f"http://{host}/boot/{mac}/image/{release}/live/filesystem.squashfs"
            digests = ",".join(f"{name}:{sha256}" for name, sha256 in layers)
            return (f"fetch={url}", f"netboot_appliance.memory={root.memory}", f"netboot_appliance.layers={digests}")
