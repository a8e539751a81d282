"""Puts rendered exports in force: the box's own file, then exportfs or a signal to NFS-Ganesha.

Only that one file is written; /etc/exports, ganesha.conf and other files beside ours are never touched, nor what
somebody exported by hand with `exportfs -o`. Every function blocks: call it in a thread.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Literal

from services.linux import atomic_file, programs
from services.linux.programs import ProgramError
from services.nfs import etab

KERNEL_FILE = Path("/etc/exports.d/netboot-appliance.exports")
ETAB = Path("/var/lib/nfs/etab")
"""What exportfs keeps as being in force; the NFS server reads its own files into it when it starts."""

GANESHA_FILE = Path("/etc/ganesha/netboot-appliance.conf")
GANESHA_PID_FILE = Path("/run/ganesha/ganesha.pid")
GANESHA_CONFIGURATION = "/etc/ganesha/ganesha.conf"

Setting = Literal["auto", "kernel", "ganesha"]

GANESHA = "ganesha.nfsd"
_FSAL = "ganesha/libfsalvfs.so"
_INCLUDE = re.compile(r"^\s*%(include|dir)\s+(?:\"([^\"]*)\"|(\S+))", re.MULTILINE)
_INCLUDE_LIMIT = 100
_TIMEOUT = 60
# A command line may have 2 MB; each of these arguments is a path and an address.
_AT_ONCE = 1000


class Backend(StrEnum):
    """Which NFS server serves the exports."""

    KERNEL = "kernel"
    GANESHA = "ganesha"


class NfsError(Exception):
    """The exports are not in force. `hint` says what to do; `command`, if any, can be pasted into a shell."""

    def __init__(self, message: str, hint: str, command: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.command = command


@dataclass(frozen=True, slots=True)
class Probes:
    """What this machine has: the kernel's server, the tool that configures it, NFS-Ganesha, its local file systems."""

    nfsd: bool
    exportfs: bool
    ganesha: bool
    ganesha_vfs: bool


def probe() -> Probes:
    """Look at this machine; changes nothing and needs no privileges."""
    return Probes(
        nfsd=_has_nfsd(),
        exportfs=programs.find("exportfs") is not None,
        ganesha=programs.find(GANESHA) is not None,
        ganesha_vfs=any((base / _FSAL).exists() for base in (*Path("/usr/lib").glob("*-linux-gnu"), Path("/usr/lib"))),
    )


def choose(setting: Setting, probes: Probes) -> tuple[Backend, str]:
    """The backend for a configured setting, and why, in words for people; NfsError if the machine lacks it."""
    missing_kernel = _missing_kernel(probes)
    missing_ganesha = _missing_ganesha(probes)
    match setting:
        case "kernel":
            if missing_kernel:
                raise NfsError(f"the kernel's NFS server cannot be used: {missing_kernel[0]}", missing_kernel[1])
            return Backend.KERNEL, "the configuration says so"
        case "ganesha":
            if missing_ganesha:
                raise NfsError(f"NFS-Ganesha cannot be used: {missing_ganesha[0]}", missing_ganesha[1])
            return Backend.GANESHA, "the configuration says so"
        case "auto":
            if not missing_kernel:
                return Backend.KERNEL, "this kernel has nfsd, and exportfs is installed"
            if not missing_ganesha:
                return Backend.GANESHA, f"{missing_kernel[0]}, and NFS-Ganesha is installed"
            packages = "nfs-kernel-server" if probes.nfsd else "nfs-ganesha nfs-ganesha-vfs"
            raise NfsError(
                f"there is no NFS server to use: {missing_kernel[0]}, and {missing_ganesha[0]}",
                f"install one: apt-get install {packages}",
                f"apt-get install {packages}",
            )


def apply(
    backend: Backend,
    text: str,
    *,
    roots: Iterable[str] = (),
    kernel_file: Path = KERNEL_FILE,
    exportfs: str = "exportfs",
    etab_file: Path = ETAB,
    ganesha_file: Path = GANESHA_FILE,
    ganesha_pid_file: Path = GANESHA_PID_FILE,
) -> bool:
    """Write `text`, as rendered for that backend, and have the server serve it; returns whether the file changed.

    A call repeats what an earlier one could not finish. Raises NfsError; the file is then written wherever that was
    possible, and a server that starts later reads it. With the kernel's server, exports that go to one machine and lie
    at `roots` or directly below are ours, and end when `text` does not have them (services.nfs.etab).
    NFS-Ganesha is told in any case. It reads its configuration a moment after the signal and reports errors to its own
    log only.
    """
    path = kernel_file if backend is Backend.KERNEL else ganesha_file
    try:
        before = _read(path)
        changed = before != text
        if changed:
            path.parent.mkdir(exist_ok=True)
            atomic_file.write(path, text.encode())
    except OSError as error:
        raise NfsError(
            f"cannot write the exports to {path}: {error.strerror or error}",
            "run it as root, on a file system that is not read-only",
        ) from error
    if backend is Backend.KERNEL:
        _export(exportfs, etab_file, etab.parse(text), etab.parse(before), tuple(roots))
    else:
        _signal_ganesha(ganesha_pid_file, ganesha_file)
    return changed


def _missing_kernel(probes: Probes) -> tuple[str, str] | None:
    if not probes.nfsd:
        return "this kernel has no nfsd", 'set backend = "ganesha", or boot a kernel with nfsd (Debian\'s own have it)'
    if not probes.exportfs:
        return "exportfs is not installed", "apt-get install nfs-kernel-server"
    return None


def _missing_ganesha(probes: Probes) -> tuple[str, str] | None:
    if not probes.ganesha:
        return "NFS-Ganesha is not installed", "apt-get install nfs-ganesha nfs-ganesha-vfs"
    if not probes.ganesha_vfs:
        return "NFS-Ganesha cannot serve local directories (no libfsalvfs.so)", "apt-get install nfs-ganesha-vfs"
    return None


def _has_nfsd() -> bool:
    with contextlib.suppress(OSError):
        if re.search(r"\bnfsd$", Path("/proc/filesystems").read_text(), re.MULTILINE):
            return True
    try:
        programs.output(("modprobe", "-n", "-q", "nfsd"), seconds=_TIMEOUT)
    except ProgramError:
        return False
    return True


def _read(path: Path) -> str:
    """The text of a file; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _export(exportfs: str, etab_file: Path, wanted: etab.Table, before: etab.Table, roots: Sequence[str]) -> None:
    """Have exportfs end what is ours and no longer wanted, and begin what is missing or has other options.

    Not `exportfs -r`, which would also end what somebody exported by hand.
    """

    def changes() -> etab.Changes:
        try:
            return etab.changes(wanted, before, etab.parse(_read(etab_file)), roots)
        except OSError as error:
            raise NfsError(f"cannot read {etab_file}: {error.strerror}", "run it as root") from error

    todo = changes()
    if todo.export and etab_file.parent.is_dir():
        # Without it exportfs does its work, and then says that it failed. Debian's package makes an empty one as well.
        etab_file.touch()
    try:
        for keys in _batches(todo.unexport):
            _run_exportfs([exportfs, "-u", *keys])
    except NfsError:
        # An NFS server that was stopped or started meanwhile has ended them itself.
        if changes().unexport:
            raise
    for options, begun in todo.export.items():
        for keys in _batches(begun):
            # -i: without it, the options that a file of /etc/exports.d has for the same export would be added.
            _run_exportfs([exportfs, "-i", "-o", ",".join(options), *keys])


def _batches(keys: Sequence[tuple[str, str]]) -> Iterator[list[str]]:
    """Arguments for exportfs, which takes a path as it is, without escapes."""
    waiting = iter(keys)
    while batch := list(islice(waiting, _AT_ONCE)):
        yield [f"{client}:{path}" for path, client in batch]


def _run_exportfs(command: list[str]) -> None:
    try:
        programs.output(command, seconds=_TIMEOUT)
    except ProgramError as error:
        raise explain(error) from error


def explain(error: ProgramError) -> NfsError:
    """Why exportfs failed, and what to do."""
    if error.missing:
        return NfsError(str(error), "apt-get install nfs-kernel-server")
    return NfsError(str(error), "run it by hand", error.paste)


def _signal_ganesha(pid_file: Path, own_file: Path) -> None:
    start = "start it: systemctl start nfs-ganesha"
    try:
        number = int(pid_file.read_text())
    except FileNotFoundError:
        raise NfsError(f"NFS-Ganesha is not running: there is no {pid_file}", start) from None
    except (OSError, ValueError) as error:
        raise NfsError(f"{pid_file} does not name NFS-Ganesha's process: {error}", start) from error
    # The descriptor holds on to this process: what is checked here is what gets the signal.
    try:
        process = os.pidfd_open(number)
    except (OSError, ValueError, OverflowError):
        raise NfsError(f"NFS-Ganesha is not running: {pid_file} names process {number}, which is gone", start) from None
    try:
        arguments = arguments_of(number)
        if not arguments or Path(arguments[0]).name != GANESHA:
            raise NfsError(f"{pid_file} names process {number}, which is not NFS-Ganesha", start)
        require_included(configuration_of(number, arguments), own_file)
        signal.pidfd_send_signal(process, signal.SIGHUP)
    except ProcessLookupError:
        raise NfsError(f"NFS-Ganesha (process {number}) ended just now", start) from None
    except PermissionError as error:
        raise NfsError(f"may not signal NFS-Ganesha (process {number}): {error.strerror}", "run it as root") from error
    finally:
        os.close(process)


def arguments_of(number: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except FileNotFoundError:
        return []


def configuration_of(number: int, arguments: list[str]) -> Path:
    """The configuration file that an NFS-Ganesha with these arguments reads."""
    name = GANESHA_CONFIGURATION
    for index, argument in enumerate(arguments):
        if argument == "-f" and index + 1 < len(arguments):
            name = arguments[index + 1]
        elif argument.startswith("-f") and len(argument) > len("-f"):
            name = argument.removeprefix("-f")
    # Only for a relative name: whose directory a process works in is told to its equals alone (CAP_SYS_PTRACE).
    return Path(name) if name.startswith("/") else Path(os.readlink(f"/proc/{number}/cwd")) / name


def require_included(configuration: Path, own_file: Path) -> None:
    """Raise NfsError, with the line to add, unless `configuration` includes `own_file`, however deeply."""
    wanted = own_file.resolve()
    waiting, seen = [configuration], set[Path]()
    while waiting and len(seen) < _INCLUDE_LIMIT:
        path = waiting.pop()
        if path.resolve() == wanted:
            return
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        with contextlib.suppress(OSError):
            for kind, quoted, bare in _INCLUDE.findall(path.read_text(errors="replace")):
                target = path.parent / (quoted or bare)
                waiting += target.iterdir() if kind == "dir" else [target]
    raise NfsError(
        f"NFS-Ganesha does not read our exports: {configuration} has no %include of {own_file}",
        f'add this line to {configuration} and restart nfs-ganesha: %include "{own_file}"',
    )
