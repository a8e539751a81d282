"""A server whose NFS server is NFS-Ganesha, as Debian packages and starts it: a PC gets its exports, and only its own.

How Ganesha treats each kind of export is tested in tests/netns, with one that the tests start.
"""

import json
from pathlib import Path

from services.ethernet import MacAddress
from tests.room.namespaces import Namespace
from tests.room.nfs import nfs_list
from tests.room.processes import wait_until
from tests.server.container import Container
from tests.server.program import DATA, active, add_loop_devices
from tests.server.rootfs import GANESHA
from tests.server.server_room import PACKAGE
from tests.server.suites import ON_DEBIAN_13
from tests.server.test_exports import ask

pytestmark = ON_DEBIAN_13
# As docs/operations.md says, for a container; minor version 0 of NFSv4 is for the tests' own client.
CONFIGURATION = """\
NFS_CORE_PARAM { Mount_Path_Pseudo = true; Allow_Set_Io_Flusher_Fail = true; }
NFSv4 { Graceless = true; Minor_Versions = 0, 1, 2; }
%include "/etc/ganesha/netboot-appliance.conf"
"""


def pc(server: Container, number: int) -> Namespace:
    return server.network.host(f"pc{number}", f"10.77.0.{number}/24", MacAddress(number))


def judged(server: Container) -> dict[str, str]:
    """How severe the doctor's worst finding about each part of NFS is."""
    report = json.loads(server.run("netboot-appliance doctor --json", check=False).stdout)
    return {each["check"]: each["severity"] for each in report["findings"] if each["check"].startswith("nfs")}


def test_a_server_without_the_kernels_nfs_server_exports_by_ganesha(container: Container) -> None:
    add_loop_devices(container)
    container.run("apt-get purge -y nfs-kernel-server")
    container.run(f"apt-get install -y {GANESHA}/*.deb")
    container.run(f"apt-get install -y {PACKAGE}", timeout=600)
    container.run("systemctl stop netboot-appliance")  # the test makes the requests
    assert judged(container)["nfs"] == "error", "Ganesha does not read our file"
    container.path("/etc/ganesha/ganesha.conf").write_text(CONFIGURATION)
    container.run(f"touch /etc/ganesha/netboot-appliance.conf; mkdir -p {DATA}/images/r1")
    container.run("systemctl restart nfs-ganesha")
    container.wait("ss -Hltn | grep -q :2049", 120)

    first, second = pc(container, 2), pc(container, 3)
    assert ask(container, 3) == "ganesha 4"
    work, images = Path(f"{DATA}/state/000000000002"), Path(f"{DATA}/images")
    container.run(f"echo work >{work}/work")
    wait_until(lambda: "work" in nfs_list(first, work), 120, "the first PC's work")
    assert nfs_list(first, images).count("r1") == 2, "by NFS 3 and by NFS 4"
    assert nfs_list(second, work) == ""
    assert set(judged(container).values()) == {"ok"}

    container.run("apt-get purge -y netboot-appliance", timeout=300)
    assert nfs_list(first, images) == ""
    assert active(container, "nfs-ganesha") == "active"
    assert container.path("/etc/ganesha/netboot-appliance.conf").exists(), "Ganesha would not start without it"
