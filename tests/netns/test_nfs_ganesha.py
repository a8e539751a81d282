"""The exports as the real NFS-Ganesha serves them: who reads the live root, who writes which state, and from when."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from services.nfs.apply import apply
from services.nfs.backend import Backend, NfsError
from services.nfs.exports import Export, render_ganesha
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Namespace, Network, leftovers
from tests.room.processes import RoomError, wait_until

SERVER = "10.77.0.1"
FIRST, SECOND, STRANGER = (IPv4Address(address) for address in ("10.77.0.21", "10.77.0.22", "10.77.0.5"))
BOINC = 731
NOBODY = 65534

# Mounts by NFSv3, looks up a file, prints the result, and looks it up again for every line of input.
MOUNTED_CLIENT = """
import ctypes, ctypes.util, sys
nfs = ctypes.CDLL(ctypes.util.find_library("nfs"))
nfs.nfs_init_context.restype = ctypes.c_void_p
context = ctypes.c_void_p(nfs.nfs_init_context())
if nfs.nfs_mount(context, sys.argv[1].encode(), sys.argv[2].encode()):
    sys.exit("cannot mount")
while True:
    refused = nfs.nfs_stat64(context, sys.argv[3].encode(), ctypes.create_string_buffer(256))
    print("refused" if refused else "served", flush=True)
    if not sys.stdin.readline():
        break
"""


class Office:
    """The server, two PCs and a stranger, on one network."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.directory = directory
        self.box = self._host(network, "box", IPv4Address(SERVER))
        self.pcs = {
            address: self._host(network, name, address)
            for name, address in (("first", FIRST), ("second", SECOND), ("stranger", STRANGER))
        }
        self.images = directory / "images"
        (self.images / "r1" / "live").mkdir(parents=True)
        self.squashfs = self.images / "r1" / "live" / "filesystem.squashfs"
        self.squashfs.write_bytes(bytes(range(256)) * 8192)
        self.root = Export(str(self.images), (FIRST, SECOND), False, NOBODY, NOBODY, 1)
        self.states = {address: self._state(address) for address in (FIRST, SECOND)}
        self.exports_file = directory / "ganesha" / "netboot-appliance.conf"
        self.ganesha = Ganesha(self.box.name, directory / "ganesha", self.exports_file)

    @staticmethod
    def _host(network: Network, name: str, address: IPv4Address) -> Namespace:
        data = bytes([2, 0x77, *address.packed])
        return network.host(name, f"{address}/24", MacAddress.from_bytes(data))

    def _state(self, address: IPv4Address) -> Export:
        # With a space, to show that spaces work.
        path = self.directory / "state of PCs" / f"5254000000{address.packed[3]:02x}"
        path.mkdir(parents=True)
        shutil.chown(path, BOINC, BOINC)
        path.chmod(0o700)
        return Export(str(path), (address,), True, BOINC, BOINC, address.packed[3])

    def export(self, *exports: Export) -> None:
        """Apply these exports and wait until the server has read them."""
        before = self.ganesha.reloads()
        apply(
            Backend.GANESHA,
            render_ganesha(exports),
            ganesha_file=self.exports_file,
            ganesha_pid_file=self.ganesha.pid_file,
        )
        wait_until(lambda: self.ganesha.reloads() > before, 90, "NFS-Ganesha to read its exports again")

    def export_all(self) -> None:
        self.export(self.root, *self.states.values())

    def lists(self, client: IPv4Address, path: Path | str, version: int) -> bool:
        """Whether the client may list the directory; if not, the error must be a refusal."""
        done = self.pcs[client].run(["nfs-ls", f"nfs://{SERVER}{path}?version={version}"], check=False)
        assert done.returncode == 0 or "ACCES" in done.stderr or "NOENT" in done.stderr, done.stderr
        return done.returncode == 0

    def copies(self, client: IPv4Address, source: Path | str, target: Path | str) -> bool:
        return self.pcs[client].run(["nfs-cp", str(source), str(target)], check=False).returncode == 0


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office whose NFS-Ganesha runs, without any exports."""
    directory = tmp_path_factory.mktemp("nfs")
    # pytest's directories are 0700, and the server accesses them as the squashed user.
    for path in (directory, *directory.parents[:2]):
        path.chmod(0o755)
    with Network() as network:
        office = Office(network, directory)
        office.ganesha.start()
        yield office
        office.ganesha.stop()


def test_nothing_is_exported_before_it_is_applied(office: Office) -> None:
    office.export()
    for client in office.pcs:
        assert not office.lists(client, office.images / "r1", 3)
        assert not office.lists(client, office.states[FIRST].path, 4)


def test_an_allowed_pc_reads_the_live_root_and_a_stranger_does_not(office: Office, tmp_path: Path) -> None:
    office.export_all()
    copy = tmp_path / "copy"
    url = f"nfs://{SERVER}{office.squashfs}"
    for version in (3, 4):
        assert office.copies(FIRST, f"{url}?version={version}", copy)
        assert copy.read_bytes() == office.squashfs.read_bytes()
        copy.unlink()
        assert not office.copies(STRANGER, f"{url}?version={version}", copy)
        assert not office.lists(STRANGER, office.images, version)
        assert not office.lists(STRANGER, office.images / "r1" / "live", version)


def test_nobody_writes_to_the_live_root(office: Office, tmp_path: Path) -> None:
    office.export_all()
    office.images.chmod(0o777)
    source = tmp_path / "source"
    source.write_text("x")
    for version in (3, 4):
        assert not office.copies(FIRST, source, f"nfs://{SERVER}{office.images}/intruder?version={version}")
    office.images.chmod(0o755)
    assert [path.name for path in office.images.iterdir()] == ["r1"]


def test_a_pc_writes_its_own_state_as_boinc_and_cannot_touch_anothers(office: Office, tmp_path: Path) -> None:
    office.export_all()
    source = tmp_path / "source"
    source.write_text("checkpoint\n")
    own, other = Path(office.states[FIRST].path), Path(office.states[SECOND].path)
    assert office.copies(FIRST, source, f"nfs://{SERVER}{own}/checkpoint?version=4")
    written = own / "checkpoint"
    assert (written.read_text(), written.stat().st_uid, written.stat().st_gid) == ("checkpoint\n", BOINC, BOINC)
    for client, path in ((FIRST, other), (SECOND, own), (STRANGER, own), (STRANGER, other)):
        assert not office.lists(client, path, 4)
        assert not office.copies(client, source, f"nfs://{SERVER}{path}/intruder?version=4")
    assert not list(tmp_path.parent.rglob("intruder"))
    assert not office.lists(FIRST, own, 3), "the state is for NFSv4 only"


def test_an_export_appears_and_disappears_without_a_restart(office: Office) -> None:
    office.export(office.root, office.states[FIRST])
    assert office.lists(FIRST, office.states[FIRST].path, 4)
    assert not office.lists(SECOND, office.states[SECOND].path, 4)
    office.export_all()
    assert office.lists(FIRST, office.states[FIRST].path, 4)
    assert office.lists(SECOND, office.states[SECOND].path, 4)
    office.export(office.root, office.states[SECOND])
    assert not office.lists(FIRST, office.states[FIRST].path, 4)
    assert office.lists(SECOND, office.states[SECOND].path, 4)


def test_a_changed_list_of_clients_takes_effect_without_a_restart(office: Office) -> None:
    release = office.images / "r1"
    office.export(replace(office.root, clients=(FIRST,)))
    assert [office.lists(client, release, 3) for client in (FIRST, SECOND)] == [True, False]
    office.export(replace(office.root, clients=(FIRST, SECOND)))
    assert [office.lists(client, release, 3) for client in (FIRST, SECOND)] == [True, True]
    office.export(replace(office.root, clients=(SECOND,)))
    assert [office.lists(client, release, 3) for client in (FIRST, SECOND)] == [False, True]
    # The state of a PC whose address changed.
    state = office.states[FIRST]
    office.export(replace(state, clients=(SECOND,)))
    assert [office.lists(client, state.path, 4) for client in (FIRST, SECOND)] == [False, True]
    office.export(state)
    assert [office.lists(client, state.path, 4) for client in (FIRST, SECOND)] == [True, False]


def test_an_export_may_have_hundreds_of_clients(office: Office) -> None:
    crowd = tuple(IPv4Address("10.77.1.0") + number for number in range(500))
    office.export(replace(office.root, clients=(*crowd, SECOND)))
    assert [office.lists(client, office.images / "r1", 3) for client in (FIRST, SECOND)] == [False, True]


def test_a_pc_that_has_mounted_is_cut_off_and_readmitted(office: Office) -> None:
    office.export(office.root)
    argument = [SERVER, str(office.images / "r1"), "/live/filesystem.squashfs"]
    command = office.pcs[FIRST].command([sys.executable, "-c", MOUNTED_CLIENT, *argument])
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin
        assert client.stdout

        def answer() -> str:
            assert client.stdin
            assert client.stdout
            print(file=client.stdin, flush=True)
            return client.stdout.readline().strip()

        assert client.stdout.readline().strip() == "served"
        office.export(replace(office.root, clients=(SECOND,)))
        assert answer() == "refused"
        office.export(office.root)
        assert answer() == "served"
        client.stdin.close()


def test_a_configuration_that_does_not_include_our_file_is_reported(office: Office, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.conf"
    with pytest.raises(NfsError, match="does not read our exports") as caught:
        apply(
            Backend.GANESHA,
            render_ganesha([office.root]),
            ganesha_file=elsewhere,
            ganesha_pid_file=office.ganesha.pid_file,
        )
    assert f'%include "{elsewhere}"' in caught.value.hint
    assert str(office.directory / "ganesha" / "main.conf") in caught.value.hint


def test_a_stopped_server_leaves_nothing_and_is_reported_as_gone(tmp_path: Path) -> None:
    with Network() as network:
        box = network.host("box", f"{SERVER}/24", MacAddress.parse("02:77:00:00:00:01"))
        ganesha = Ganesha(box.name, tmp_path / "ganesha", tmp_path / "exports.conf")
        ganesha.start()
        served = [line for line in leftovers(network.room) if line.startswith("process")]
        assert len(served) == 2, "NFS-Ganesha and rpcbind"
        ganesha.stop()
        assert not [line for line in leftovers(network.room) if line.startswith("process")]
        assert str(tmp_path) not in Path("/proc/mounts").read_text()
        with pytest.raises(NfsError, match="which is gone"):
            apply(
                Backend.GANESHA,
                render_ganesha([]),
                ganesha_file=tmp_path / "exports.conf",
                ganesha_pid_file=ganesha.pid_file,
            )


def test_a_server_that_cannot_start_says_so(office: Office, tmp_path: Path) -> None:
    second = Ganesha(office.box.name, tmp_path / "ganesha", tmp_path / "exports.conf")
    with pytest.raises(RoomError, match=r"ganesha\.nfsd ended with exit code"):
        second.start()
    second.stop()
    office.export(office.root)
    assert office.lists(FIRST, office.images, 3), "the first one still serves"
