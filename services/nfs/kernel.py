"""The kernel's NFS server: changes what it exports with exportfs(8), and says whether it runs and what it exports.

Exports that are not ours stay as they are (services.nfs.etab says which are). Every function blocks.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from services.linux import programs
from services.linux.programs import ProgramError
from services.nfs import etab
from services.nfs.backend import NfsError

ETAB = Path("/var/lib/nfs/etab")
"""Where exportfs keeps what is in force; the NFS server reads its own files into it when it starts."""

_CHANGE_SECONDS = 60
_LOOK_SECONDS = 8.0
# A command line may have 2 MB; each of these arguments is a path and an address.
_MOST_ARGUMENTS = 1000


def export(wanted: etab.Table, before: etab.Table, roots: Sequence[str], exportfs: str, etab_file: Path) -> None:
    """Have exportfs end those of our exports that are no longer wanted, and start those that are missing or have other
    options; raises NfsError. `before` is what our file said until now, `roots` as in etab.changes.

    Not `exportfs -r`, which would also end what somebody exported by hand.
    """

    def changes() -> etab.Changes:
        return etab.changes(wanted, before, etab.parse(_read(etab_file)), roots)

    todo = changes()
    if todo.export and etab_file.parent.is_dir():
        # Without this file exportfs does its work and then reports failure. Debian's package creates an empty one too.
        etab_file.touch()
    try:
        for keys in _batches(todo.unexport):
            _run([exportfs, "-u", *keys])
    except NfsError:
        # An NFS server that was stopped or started meanwhile has ended them itself.
        if changes().unexport:
            raise
    for options, added in todo.export.items():
        for keys in _batches(added):
            # -i: without it, exportfs would add the options that a file in /etc/exports.d has for the same export.
            _run([exportfs, "-i", "-o", ",".join(options), *keys])


def require_nfsd(threads: Path = Path("/proc/fs/nfsd/threads")) -> int:
    """Return the number of threads of the kernel's NFS server; raises NfsError when there are none."""
    start = "start it: systemctl start nfs-server"
    try:
        count = int(threads.read_text())
    except OSError as error:
        raise NfsError(f"the kernel's NFS server is not running: {threads}: {error.strerror}", start) from None
    if count == 0:
        raise NfsError("the kernel's NFS server has no threads", start)
    return count


def exported() -> dict[str, tuple[str, ...]]:
    """What the kernel's server exports now: each path, and to whom; raises NfsError."""
    try:
        return read_exportfs(programs.output(("exportfs", "-s"), seconds=_LOOK_SECONDS))
    except ProgramError as error:
        raise _explain(error) from error


def read_exportfs(text: str) -> dict[str, tuple[str, ...]]:
    """Decode what `exportfs -s` prints, in the notation of exports(5); a network of one machine as its address."""
    found: dict[str, tuple[str, ...]] = {}
    for path, client in etab.parse(text):
        found[path] = (*found.get(path, ()), client.removesuffix("/32"))
    return found


def _read(etab_file: Path) -> str:
    try:
        return etab_file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise NfsError(f"cannot read {etab_file}: {error.strerror}", "run it as root") from error


def _batches(keys: Sequence[tuple[str, str]]) -> Iterator[list[str]]:
    """Arguments for exportfs, which takes paths without escapes."""
    waiting = iter(keys)
    while batch := list(islice(waiting, _MOST_ARGUMENTS)):
        yield [f"{client}:{path}" for path, client in batch]


def _run(command: list[str]) -> None:
    try:
        programs.output(command, seconds=_CHANGE_SECONDS)
    except ProgramError as error:
        raise _explain(error) from error


def _explain(error: ProgramError) -> NfsError:
    if error.missing:
        return NfsError(str(error), "apt-get install nfs-kernel-server")
    return NfsError(str(error), "run it by hand", error.paste)
