"""Looks at the NFS server without touching it: is it there, does it read our exports, what is in force.

Changes nothing and signals nobody: putting exports in force is apply.py's. Every function blocks.
"""

from pathlib import Path

from services.linux import programs
from services.linux.programs import ProgramError
from services.nfs import etab
from services.nfs.apply import GANESHA, NfsError, arguments_of, configuration_of, explain, require_included

_SECONDS = 8.0


def require_ganesha(pid_file: Path, own_file: Path) -> int:
    """Return the process id of the NFS-Ganesha that reads our exports; raises NfsError saying what is amiss."""
    start = "start it: systemctl start nfs-ganesha"
    try:
        number = int(pid_file.read_text())
        arguments = arguments_of(number)
    except FileNotFoundError:
        raise NfsError(f"NFS-Ganesha is not running: there is no {pid_file}", start) from None
    except (OSError, ValueError) as error:
        raise NfsError(f"{pid_file} does not name NFS-Ganesha's process: {error}", start) from error
    if not arguments or Path(arguments[0]).name != GANESHA:
        raise NfsError(f"NFS-Ganesha is not running: {pid_file} names process {number}, which is not it", start)
    try:
        require_included(configuration_of(number, arguments), own_file)
    except OSError as error:
        raise NfsError(f"NFS-Ganesha (process {number}) cannot be looked at: {error}", "run it as root") from error
    return number


def require_nfsd(threads: Path = Path("/proc/fs/nfsd/threads")) -> int:
    """Return the number of threads of the kernel's NFS server; raises NfsError when there is none."""
    start = "start it: systemctl start nfs-server"
    try:
        count = int(threads.read_text())
    except OSError as error:
        raise NfsError(f"the kernel's NFS server is not running: {threads}: {error.strerror}", start) from None
    if count == 0:
        raise NfsError("the kernel's NFS server has no threads", start)
    return count


def kernel_exports() -> dict[str, tuple[str, ...]]:
    """What the kernel's server exports now: each path, and to whom; raises NfsError."""
    try:
        return read_exportfs(programs.output(("exportfs", "-s"), seconds=_SECONDS))
    except ProgramError as error:
        raise explain(error) from error


def read_exportfs(text: str) -> dict[str, tuple[str, ...]]:
    """Decode what `exportfs -s` prints, in the notation of exports(5); a network of one machine as its address."""
    found: dict[str, tuple[str, ...]] = {}
    for path, client in etab.parse(text):
        found[path] = (*found.get(path, ()), client.removesuffix("/32"))
    return found
