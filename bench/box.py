"""The real box on a network with a crowd of PCs: `netboot-appliance serve`, NFS-Ganesha, and an image of real size.

It runs under the limits that systemd gives a service, on a core of its own.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.crowd import ALLOWED, BOX, PREFIX_LENGTH, Crowd
from bench.site import LOAD_CORE, SERVER_CORE, set_up_tcp
from image import release
from services.linux import volumes
from tests.netns.served import Box, install_release
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Network
from tests.room.processes import Process
from tests.room.room import appliance_command, host_mac, write_configuration

SOFT_FILE_LIMIT = 1024
"""Open files that systemd allows a service by default."""

MB = 1_000_000


class BenchBox(Box):
    """The box on SERVER_CORE, with soft limits as under systemd."""

    def launch(self) -> Process:
        """Start `serve` and return at once."""
        limits = ["taskset", "--cpu-list", str(SERVER_CORE), "prlimit", f"--nofile={SOFT_FILE_LIMIT}:", "--"]
        command = [*limits, appliance_command(), "--config", str(self.configuration), "serve"]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process


@contextlib.contextmanager
def box_and_crowd(
    directory: Path, pcs: int, *, kernel: int, initrd: int
) -> Iterator[tuple[BenchBox, Crowd, release.Release]]:
    """The box, serving an image whose kernel and initrd have these sizes in bytes, and `pcs` PCs that may boot."""
    with Network() as network:
        host = network.host("box", f"{BOX}/{PREFIX_LENGTH}", host_mac(BOX))
        set_up_tcp(host)
        crowd = Crowd(network, pcs)
        box = BenchBox(host, _configure(directory), directory / "data", directory / "serve.log")
        image = install_image(box.data / "images", kernel=kernel, initrd=initrd)
        box.verb("allow", "add", ALLOWED)
        ganesha = Ganesha(host.name, directory / "ganesha", directory / "ganesha" / "netboot-appliance.conf")
        try:
            ganesha.start()
            box.start()
            os.sched_setaffinity(0, {LOAD_CORE})
            yield box, crowd, image
        finally:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            if box.process is not None:
                box.process.stop()
            ganesha.stop()
            crowd.close()
            for mounted in sorted(volumes.mounts(), reverse=True):
                if directory in Path(mounted).parents:
                    volumes.unmount(Path(mounted))


def install_image(images: Path, *, kernel: int, initrd: int, squashfs: int = 4096) -> release.Release:
    """Make and activate a release of random bytes with a kernel, an initrd and a root of these sizes."""
    sizes = {release.KERNEL: kernel, release.INITRD: initrd, release.SQUASHFS: squashfs, release.PACKAGES: 100}
    return install_release(images, sizes)


def _configure(directory: Path) -> Path:
    configuration = write_configuration(directory)
    (directory / "ganesha").mkdir(exist_ok=True)
    text = configuration.read_text().replace('networks = ["10.77.0.0/24"]\n', "")
    configuration.write_text(text)
    return configuration
