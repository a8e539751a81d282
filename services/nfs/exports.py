"""What the box exports over NFS, as values, and rendered for exports(5) and ganesha-export-config(8).

PURE. Each export lists its clients one by one: nothing here can write `*`, a network or no_root_squash. Does not
decide who gets an export, and writes no files: see services.nfs.apply.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

LARGEST_NUMBER = 65535
LARGEST_ID = 2**32 - 2
ITSELF = IPv4Address("127.0.0.1")
"""The server's own host: it may have what is read-only anyway, so that it can ask what PCs are answered."""

_BROADCAST = IPv4Address(2**32 - 1)
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:@,")
_HEADER = (
    "# Written by netboot-appliance; changes made here are lost.\n"
    "# `netboot-appliance exports show` prints it, `netboot-appliance exports apply` writes it again.\n"
)


@dataclass(frozen=True, slots=True)
class Export:
    """One directory and the addresses that may mount it; every user there becomes `uid` and `gid`.

    `number` is NFS-Ganesha's Export_Id, 1 to 65535. A path must keep its number as long as the server runs: if a number
    moves to another path, or a path to another number, version 4.3 drops the old export and refuses the new one. Raises
    ValueError, naming the path, for what no server would accept or what would open the export too far.
    """

    path: str
    clients: tuple[IPv4Address, ...]
    writable: bool
    uid: int
    gid: int
    number: int
    alone: bool = False

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or self.path == "/":
            raise ValueError(f"{self.path!r} cannot be exported: it must be an absolute path below /")
        if any(part in ("", ".", "..") for part in self.path.split("/")[1:]):
            raise ValueError(f"{self.path!r} cannot be exported: write it without //, /./, /../ and a final /")
        if not self.path.isprintable() or '"' in self.path or "\\" in self.path:
            raise ValueError(f'{self.path!r} cannot be exported: it must not contain control characters, " or \\')
        for client in self.clients:
            if not (is_one_machine(client) or (client == ITSELF and not self.writable)):
                raise ValueError(f"{self.path} cannot be exported to {client}: it is not the address of one machine")
        for name, number, largest in (
            ("uid", self.uid, LARGEST_ID),
            ("gid", self.gid, LARGEST_ID),
            ("number", self.number, LARGEST_NUMBER),
        ):
            if not 1 <= number <= largest:
                raise ValueError(f"{self.path} cannot be exported with {name} {number}: it must be 1 to {largest}")


def is_one_machine(address: IPv4Address) -> bool:
    """Whether this can be the address of one machine on a network."""
    return not (address.is_unspecified or address.is_multicast or address.is_loopback or address == _BROADCAST)


def render_kernel(exports: Iterable[Export]) -> str:
    """The content of a file below /etc/exports.d, see exports(5); exports without clients are left out."""
    return _HEADER + "".join(_kernel_line(export) for export in _checked(exports))


def render_ganesha(exports: Iterable[Export]) -> str:
    """The EXPORT blocks for a file that ganesha.conf includes; exports without clients are left out.

    Paths are mounted by their own name: over NFSv4, and, if ganesha.conf has Mount_Path_Pseudo, over NFSv3 as well.
    """
    return _HEADER + "".join(_ganesha_block(export) for export in _checked(exports))


def _checked(exports: Iterable[Export]) -> list[Export]:
    listed = sorted((export for export in exports if export.clients), key=lambda export: export.number)
    for kind, seen in (
        ("number", Counter(str(export.number) for export in listed)),
        ("path", Counter(export.path for export in listed)),
    ):
        for value, times in seen.items():
            if times > 1:
                raise ValueError(f"{times} exports have the {kind} {value}: each needs its own")
    return listed


def _kernel_line(export: Export) -> str:
    access = "rw" if export.writable else "ro"
    # exports(5). `mountpoint`: what is not mounted yet is not exported, and a PC that asks for it waits. Elsewhere the
    # server looks whether each handle leads into the exported directory.
    bounds = "no_subtree_check,mountpoint" if export.alone else "subtree_check"
    options = f"{access},sync,all_squash,anonuid={export.uid},anongid={export.gid},{bounds}"
    # As a network of one machine: to exportfs a bare address is a host name, which `exportfs -u` looks up in the DNS,
    # together with all others of the same path (nfs-utils 2.6, matchhostname).
    clients = " ".join(f"{client}/32({options})" for client in sorted(set(export.clients)))
    return f"{_escape(export.path)} {clients}\n"


def _escape(path: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in path.encode())


def _ganesha_block(export: Export) -> str:
    # live-boot mounts the live root and knows only NFSv3; the state needs NFSv4's locks, and no portmapper.
    protocols = "4" if export.writable else "3, 4"
    return f"""
EXPORT {{
    Export_Id = {export.number};
    Path = "{export.path}";
    Pseudo = "{export.path}";
    Protocols = {protocols};
    Transports = TCP;
    PrivilegedPort = true;
    SecType = sys;
    Access_Type = NONE;
    Squash = All_Squash;
    Anonymous_Uid = {export.uid};
    Anonymous_Gid = {export.gid};
    FSAL {{ Name = VFS; }}
    CLIENT {{
        Clients = {", ".join(map(str, sorted(set(export.clients))))};
        Access_Type = {"RW" if export.writable else "RO"};
    }}
}}
"""
