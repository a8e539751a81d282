"""What a host of a room gets from the box by NFS, asked with libnfs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.room.namespaces import Namespace
from tests.room.room import BOX

_SECONDS = 10


def nfs_list(where: Namespace, path: Path) -> str:
    """The names in a directory of the box by NFS 3 and by NFS 4, from a host of the room. Empty when refused, or when
    nothing answers at all: the wall drops the packets of hosts that have no exports."""

    def names(version: int) -> str:
        command = ["timeout", str(_SECONDS), "nfs-ls", f"nfs://{BOX}{path}?version={version}"]
        return where.run(command, check=False).stdout

    with ThreadPoolExecutor() as both:
        return "".join(both.map(names, (3, 4)))
