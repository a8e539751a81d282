"""A file handle leads nowhere outside its export, with the kernel's NFS server: what a program on a PC tries.

The same against NFS-Ganesha: tests/netns/test_nfs_handles.py.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from services.ethernet import MacAddress
from tests.fakes.nfs_client import forged
from tests.room.namespaces import Namespace, Network, assert_nothing_left
from tests.room.processes import wait_until
from tests.room.room import BOX, CHECKOUT, MANAGEMENT, NETWORK, host_mac
from tests.server.conftest import DIRECTORY, LOGS
from tests.server.disk import DiskTree
from tests.server.guest import Guest
from tests.server.program import DATA, HOME
from tests.server.suites import ON_DEBIAN_13

pytestmark = ON_DEBIAN_13

INTRUDER, VICTIM = IPv4Address("10.77.0.21"), IPv4Address("10.77.0.22")
NAMES = {INTRUDER: "525400000021", VICTIM: "525400000022"}
KEPT = "/var/lib/netboot-appliance-exports"
SECRET = "hours of another PC's work"

# Puts the exports of both PCs in force, as root's helper does.
INSTALL = f"""
from ipaddress import IPv4Address, IPv4Network
from appliance.config.file import load
from pathlib import Path
from appliance.exports.grants import ExportGrant
from appliance.exports.install import install
from services.ethernet import MacAddress
pcs = {{{INTRUDER.packed[3]}: "{INTRUDER}", {VICTIM.packed[3]}: "{VICTIM}"}}
grants = [ExportGrant(MacAddress.parse(f"5254000000{{n}}"), n, (IPv4Address(pcs[n]),)) for n in pcs]
done = install(load(Path("/etc/netboot-appliance/config.toml")), [IPv4Network("{NETWORK}")], grants)
print(done.backend, done.directories)
"""


class Office:
    """A server in QEMU with the package installed, two PCs, and their exports in force."""

    def __init__(self, network: Network, root: Path, deb: Path) -> None:
        manager = network.host("manager", f"{MANAGEMENT}/24", host_mac(MANAGEMENT))
        self.pcs = {
            address: network.host(name, f"{address}/24", MacAddress.parse(NAMES[address]))
            for name, address in (("intruder", INTRUDER), ("victim", VICTIM))
        }
        self.server = Guest(
            network,
            manager,
            root=root,
            address=BOX,
            mac=host_mac(BOX),
            directory=DIRECTORY / "handles",
            logs=LOGS / "handles",
        )
        self.server.install(lambda tree: self._furnish(tree, deb))
        self.server.power_on()
        self.server.wait_up()
        self.server.run(f"mkdir -p {DATA}/images/r1/live; echo image >{DATA}/images/r1/live/filesystem.squashfs")

    def _furnish(self, tree: DiskTree, deb: Path) -> None:
        tree.install(deb)
        # They would ask for the exports of the PCs that they know: none.
        for unit in ("netboot-appliance.service", "netboot-appliance-exports.path"):
            tree.link(f"/etc/systemd/system/{unit}", "/dev/null")

    def export(self) -> None:
        # As systemd would: there the wall is kept for the next boot.
        self.server.run(["install", "-d", "-m", "700", KEPT])
        install = ["env", f"STATE_DIRECTORY={KEPT}", f"{HOME}/bin/python3", "-I", "-c", INSTALL]
        assert self.server.run(install).stdout == "kernel 3\n"
        for name in NAMES.values():
            self.server.run(f"printf %s {json.dumps(SECRET)} >{DATA}/state/{name}/client_state.xml")

    def ask(self, pc: IPv4Address, version: int, *request: object, low_port: bool = True) -> Any:
        """What the server answers to one request of a program on this PC."""
        return _ask(self.pcs[pc], version, request, low_port)

    def tails(self) -> str:
        return self.server.tails()


def _ask(pc: Namespace, version: int, request: object, low_port: bool) -> Any:
    program = [sys.executable, "-m", "tests.fakes.nfs_client", str(BOX), str(version)]
    command = pc.command([*program, *(["--low-port"] if low_port else [])])
    text = json.dumps(request) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def office(root: Path, deb: Path) -> Iterator[Office]:
    """The office, its exports in force."""
    with Network() as network:
        office = Office(network, root, deb)
        office.export()
        yield office
        office.server.power_cut()
    assert_nothing_left(network.room)


def refused(answer: object) -> bool:
    return isinstance(answer, dict) and "refused" in answer


def test_the_attack_works_on_a_plain_directory_without_a_check(office: Office) -> None:
    """As every version before this one exported: inode 2 is the server's own root."""
    office.server.run(
        f"mkdir -p /srv/plain; exportfs -i -o rw,sync,all_squash,anonuid=731,no_subtree_check {INTRUDER}/32:/srv/plain"
    )
    root = office.ask(INTRUDER, 4, "root", "/srv/plain")
    passwd = office.ask(INTRUDER, 4, "lookup", forged(root, 2, 0), ["etc", "passwd"])
    assert office.ask(INTRUDER, 4, "read", passwd).startswith("root:x:0:0")
    office.server.run(f"exportfs -u {INTRUDER}/32:/srv/plain")


def test_the_handle_of_a_pcs_state_leads_only_into_it(office: Office) -> None:
    root = office.ask(INTRUDER, 4, "root", f"{DATA}/state/{NAMES[INTRUDER]}")
    own = office.ask(INTRUDER, 4, "list", root)
    assert own == ["client_state.xml"]
    assert office.ask(INTRUDER, 4, "read", office.ask(INTRUDER, 4, "lookup", root, own)) == SECRET
    for generation in (0, 1):
        handle = forged(root, 2, generation)
        seen = office.ask(INTRUDER, 4, "list", handle)
        assert refused(seen) or seen == own
        for names in (["etc"], ["etc", "passwd"], ["tmp"], ["..", "..", "etc"]):
            assert refused(office.ask(INTRUDER, 4, "lookup", handle, names)), names


@pytest.mark.parametrize("version", [3, 4])
def test_the_handle_of_the_images_leads_only_into_them(office: Office, version: int) -> None:
    root = office.ask(INTRUDER, version, "root", f"{DATA}/images")
    assert isinstance(root, str), root
    file = office.ask(INTRUDER, version, "lookup", root, ["r1", "live", "filesystem.squashfs"])
    assert isinstance(file, str), file
    assert office.ask(INTRUDER, version, "read", file) == "image\n"
    # Also when the server has forgotten how it came there.
    office.server.run("echo 3 >/proc/sys/vm/drop_caches")
    assert office.ask(INTRUDER, version, "read", file) == "image\n"
    passwd = int(office.server.run("stat -c %i /etc/passwd").stdout)
    for known in (root, office.ask(INTRUDER, version, "lookup", root, ["r1"]), file):
        for inode in (2, passwd):
            handle = forged(known, inode, 0)
            assert refused(office.ask(INTRUDER, version, "list", handle))
            assert refused(office.ask(INTRUDER, version, "read", handle))
            assert refused(office.ask(INTRUDER, version, "lookup", handle, ["etc"]))
    assert refused(office.ask(INTRUDER, version, "make", root, "intruder"))


def test_no_handle_leads_to_another_pcs_work(office: Office) -> None:
    theirs = office.ask(VICTIM, 4, "root", f"{DATA}/state/{NAMES[VICTIM]}")
    work = office.ask(VICTIM, 4, "lookup", theirs, ["client_state.xml"])
    assert office.ask(VICTIM, 4, "read", work) == SECRET
    for handle in (theirs, work, forged(theirs, 2, 0)):
        for version in (3, 4):
            assert refused(office.ask(INTRUDER, version, "list", handle))
            assert refused(office.ask(INTRUDER, version, "read", handle))
            assert refused(office.ask(INTRUDER, version, "make", handle, "intruder"))


def test_a_program_without_privileges_on_the_pc_is_refused(office: Office) -> None:
    root = office.ask(INTRUDER, 4, "root", f"{DATA}/state/{NAMES[INTRUDER]}")
    assert refused(office.ask(INTRUDER, 4, "list", root, low_port=False))
    assert refused(office.ask(INTRUDER, 3, "root", f"{DATA}/images", low_port=False))


def test_after_a_power_cut_a_handle_from_before_leads_to_the_same_work(office: Office) -> None:
    root = office.ask(INTRUDER, 4, "root", f"{DATA}/state/{NAMES[INTRUDER]}")
    work = office.ask(INTRUDER, 4, "lookup", root, ["client_state.xml"])
    office.server.run("sync")
    office.server.power_cut()
    office.server.power_on()
    office.server.wait_up()
    # Nobody has asked for exports since: the unit mounted them, and the NFS server read its own file.
    wait_until(lambda: office.ask(INTRUDER, 4, "read", work) == SECRET, 180, "the NFS server to answer again", 1)
    office.server.run(f"grep -q ' {DATA}/state/{NAMES[INTRUDER]} ext4 ' /proc/mounts")
    assert refused(office.ask(INTRUDER, 4, "lookup", forged(root, 2, 0), ["etc"]))
