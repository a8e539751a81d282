"""The files that TFTP serves: boot loaders, kernels and ramdisks from the disk, and boot scripts made on request.

A Raspberry Pi uses none of those: it asks for its own file names at the top of the server and below its serial number,
and claims no MAC address (Raspberry Pi documentation, "Network booting").
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from services.decision import Ignore
from services.dhcp.quirks import is_raspberry_pi
from services.ethernet import MacAddress
from services.linux.open_beneath import OpenFile, open_beneath
from services.menus.menu import Dialect
from services.tftp.paths import AutoexecPath, BootFile, BootPath, ImagePath, ScriptPath


@dataclass(frozen=True, slots=True)
class Files:
    """`root` holds the boot loaders, `images` the releases; `script(dialect, mac, address)` makes a boot script, and
    `autoexec(mac)` the one with which iPXE begins; both return at once. `raspberry_pi` holds the files for Raspberry
    Pis, if there are any."""

    root: Path
    images: Path
    script: Callable[[Dialect, MacAddress, IPv4Address], str | Ignore]
    autoexec: Callable[[MacAddress], str | Ignore]
    raspberry_pi: Path | None = None

    def open(self, path: BootPath, mac: MacAddress, address: IPv4Address) -> OpenFile | bytes | Ignore:
        """The file that `path` means for the client `mac` at `address`."""
        if path.as_sent is not None:
            found = self.open(BootPath(path.claimed, path.as_sent), mac, address)
            if not isinstance(found, Ignore):
                return found
        match path.target:
            case ScriptPath(dialect):
                return _encoded(self.script(dialect, mac, address))
            case AutoexecPath():
                return _encoded(self.autoexec(mac))
            case ImagePath(release, file):
                return open_beneath(self.images, (release, file))
            case BootFile(parts) if self.raspberry_pi and path.claimed is None and is_raspberry_pi(mac):
                return open_beneath(self.raspberry_pi, parts)
            case BootFile(parts):
                return open_beneath(self.root, parts)


def _encoded(script: str | Ignore) -> bytes | Ignore:
    return script if isinstance(script, Ignore) else script.encode()
