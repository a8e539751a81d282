"""Applies rendered exports: writes the box's own file, then runs exportfs or signals NFS-Ganesha.

Only that one file is written; /etc/exports, ganesha.conf and other files beside ours are never touched, nor what
somebody exported by hand with `exportfs -o`.
"""

from collections.abc import Iterable
from pathlib import Path

from services.linux import atomic_file
from services.nfs import etab, ganesha, kernel
from services.nfs.backend import Backend, NfsError

KERNEL_FILE = Path("/etc/exports.d/netboot-appliance.exports")
GANESHA_FILE = Path("/etc/ganesha/netboot-appliance.conf")
GANESHA_PID_FILE = Path("/run/ganesha/ganesha.pid")


def apply(
    backend: Backend,
    text: str,
    *,
    roots: Iterable[str] = (),
    kernel_file: Path = KERNEL_FILE,
    exportfs: str = "exportfs",
    etab_file: Path = kernel.ETAB,
    ganesha_file: Path = GANESHA_FILE,
    ganesha_pid_file: Path = GANESHA_PID_FILE,
) -> bool:
    """Write `text`, as rendered for that backend, and have the server serve it; returns whether the file changed.

    A call also completes what an earlier call could not finish. Raises NfsError; the file is then still written if
    possible, and a server that starts later reads it. With the kernel's server, exports to one machine at `roots` or
    directly below are ours, and end when `text` does not have them (services.nfs.etab). NFS-Ganesha is signalled in any
    case. Blocks: call it in a thread.
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
        kernel.export(etab.parse(text), etab.parse(before), tuple(roots), exportfs, etab_file)
    else:
        ganesha.reload(ganesha_pid_file, ganesha_file)
    return changed


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
