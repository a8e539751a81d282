"""A spare server in production, as one story: each test continues where the previous one left the room.

Debian 12 in QEMU with the kernel's NFS server; the package is installed by apt, the configuration written, two PCs boot
from it and compute. Meanwhile its service is killed, its configuration is broken, and finally its power is cut.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from tests.fakes.boinc_project import read_status
from tests.room.demo import check_prerequisites
from tests.room.live_image import give_image, only_one
from tests.room.namespaces import assert_nothing_left
from tests.room.nfs import nfs_list
from tests.room.pc import Pc
from tests.room.room import BOX
from tests.room.tasks import reported, the_host, unfinished
from tests.server.conftest import DIRECTORY, LOGS
from tests.server.server_room import CONFIGURATION, CONFIGURATION_FILE, DATA, PACKAGE, SERVICE, ServerRoom

FIRST = MacAddress.parse("52:54:00:aa:bb:cc")
SECOND = MacAddress.parse("52:54:00:dd:ee:ff")
PCS = (FIRST, SECOND)
JOB_SECONDS = 40
BOOT_SECONDS = 900
CAP_NET_BIND_SERVICE = 1 << 10
INTEGRITY = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone())"
REGISTRY = f"{DATA}/registry/registry.sqlite3"


@pytest.fixture(scope="module")
def room(root: Path, deb: Path) -> Iterator[ServerRoom]:
    """The room with the server up, and the project. Its logs stay in .room/logs/server/story."""
    check_prerequisites()
    own = DIRECTORY / "room"
    with only_one(own):
        images = give_image(own / "data")
        with ServerRoom(own, LOGS / "story", root=root, package=deb, images=images, job_seconds=JOB_SECONDS) as room:
            room.start_project()
            room.server.wait_up()
            yield room
    assert_nothing_left(room.network.room)


@pytest.fixture(scope="module")
def first(room: ServerRoom) -> Pc:
    """A UEFI PC; off."""
    return room.pc(FIRST, "uefi")


@pytest.fixture(scope="module")
def second(room: ServerRoom) -> Pc:
    """A BIOS PC; off."""
    return room.pc(SECOND, "bios")


# The story


def test_apt_installs_the_package_and_the_service_starts(room: ServerRoom) -> None:
    said = room.server.run(["apt-get", "install", "--yes", PACKAGE], timeout=1200).stdout
    assert "0 not upgraded" in said
    assert room.service("ActiveState", "UnitFileState") == {"ActiveState": "active", "UnitFileState": "enabled"}
    room.follow()


def test_without_a_configuration_it_serves_nobody_and_says_what_is_next(room: ServerRoom) -> None:
    status = room.appliance("status").stdout
    assert f"http {BOX}:80" in status
    assert "netboot-appliance allow add" in status
    assert room.exports() == []


def test_the_service_has_one_privilege_only(room: ServerRoom) -> None:
    pid = room.service("MainPID")["MainPID"]
    status = dict(line.split(":", 1) for line in room.server.run(["cat", f"/proc/{pid}/status"]).stdout.splitlines())
    assert "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status[kind], 16) == CAP_NET_BIND_SERVICE
    figure = room.server.run(["systemd-analyze", "security", "--no-pager", SERVICE]).stdout.splitlines()[-1]
    print(figure)
    found = re.search(r"exposure level for netboot-appliance.service: (\d+\.\d+)", figure)
    assert found
    assert float(found[1]) <= 2.0


def test_a_pc_is_allowed_and_a_configuration_comes_into_force_by_a_reload(room: ServerRoom, first: Pc) -> None:
    room.appliance("allow", "add", str(FIRST), "--label", "the first")
    room.server.write(CONFIGURATION_FILE, CONFIGURATION)
    room.server.run(["systemctl", "reload", SERVICE])
    first.power_on()
    room.appliance("allow", "add", str(SECOND), "--label", "the second")


@pytest.mark.usefixtures("first")
def test_a_broken_configuration_is_refused_where_the_administrator_looks(room: ServerRoom) -> None:
    pid = room.service("MainPID")
    room.server.write(CONFIGURATION_FILE, CONFIGURATION.replace("account_key", "acount_key"))
    refused = room.server.run(["systemctl", "reload", SERVICE], check=False)
    assert refused.returncode != 0
    shown = room.server.run(["systemctl", "status", "--no-pager", "--full", SERVICE], check=False).stdout
    assert "acount_key" in shown
    assert room.service("MainPID") == pid
    assert room.service("ActiveState")["ActiveState"] == "active"
    # It stays broken while the first PC boots under the previous one.


def test_the_kernels_exports_follow_a_pc_that_boots(room: ServerRoom, first: Pc) -> None:
    first.wait_for("Linux version", BOOT_SECONDS)
    address = room.leased(FIRST)
    exports = sorted([f"{DATA}/images\t{address}", f"{room.state(FIRST)}\t{address}"])
    room.wait_until(lambda: room.exports() == exports, 180, "the first PC's exports, and no others")


def test_a_good_configuration_clears_the_error(room: ServerRoom) -> None:
    room.server.write(CONFIGURATION_FILE, CONFIGURATION)
    room.server.run(["systemctl", "reload", SERVICE])
    assert "acount_key" not in room.appliance("status").stdout


def test_a_pc_still_boots_when_the_service_is_killed_meanwhile(room: ServerRoom, second: Pc) -> None:
    before = room.service("MainPID", "NRestarts")
    second.power_on()
    room.wait_until(lambda: room.said("script served", str(SECOND)), BOOT_SECONDS, "the second PC to fetch its script")
    room.server.run(["systemctl", "kill", "--signal=KILL", SERVICE])
    # systemd calls it active until it notices that it died.
    room.wait_until(
        lambda: room.service("NRestarts") != {"NRestarts": before["NRestarts"]}, 180, "systemd to start it again"
    )
    room.server.wait(f"systemctl is-active {SERVICE}", 180)
    after = room.service("MainPID", "NRestarts")
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1
    assert after["MainPID"] != before["MainPID"]
    assert room.server.run(["python3", "-c", INTEGRITY, REGISTRY]).stdout.strip() == "ok"
    second.wait_for("Linux version", BOOT_SECONDS)
    # It was in the middle of a transfer, and went on by itself.
    assert "that failed; trying again" in second.text()


@pytest.mark.usefixtures("first", "second")
def test_both_pcs_compute_and_report(room: ServerRoom) -> None:
    room.wait_until(lambda: all(reported(room, mac) for mac in PCS), BOOT_SECONDS, "both PCs to report a task")
    room.wait_until(lambda: all(room.boot(mac)["stage"] == "computing" for mac in PCS), 180, "both to say so")
    for mac in PCS:
        assert room.boot(mac)["host_id"] == str(the_host(room, mac).id)


def test_a_stranger_sees_no_export(room: ServerRoom) -> None:
    assert {line.split("\t")[1] for line in room.exports()} == {str(room.leased(mac)) for mac in PCS}
    for path in (Path(DATA) / "images", room.state(FIRST)):
        assert nfs_list(room.other, path) == ""


def test_a_power_cut_of_the_server_costs_the_pcs_nothing(room: ServerRoom, first: Pc, second: Pc) -> None:
    exports = room.exports()
    hosts = read_status(room.project_directory).hosts.keys()
    room.server.keep_journal()
    under_way: dict[MacAddress, str] = {}

    def at_work() -> bool:
        found = {mac: unfinished(room, mac) for mac in PCS}
        under_way.update({mac: tasks[0].name for mac, tasks in found.items() if tasks})
        return all(found.values())

    room.wait_until(at_work, BOOT_SECONDS, "both PCs to have a task under way")
    room.server.power_cut()
    room.server.power_on()
    room.server.wait_up()
    room.follow()
    assert room.service("ActiveState")["ActiveState"] == "active"
    room.wait_until(lambda: room.exports() == exports, 180, "the exports of before")
    room.wait_until(
        lambda: all(under_way[mac] in {task.name for task in reported(room, mac)} for mac in PCS),
        BOOT_SECONDS,
        "both PCs to report the task that the power cut interrupted",
    )
    for mac in PCS:
        (task,) = (task for task in reported(room, mac) if task.name == under_way[mac])
        # Not even the PC's client had to restart: its files were only slow.
        assert task.output == {"total": JOB_SECONDS, "starts": 1, "resumed_from": 0}
        assert "client_state.xml" in room.server.run(["ls", str(room.state(mac))]).stdout
    assert len(first.serial_logs) == len(second.serial_logs) == 1
    status = read_status(room.project_directory)
    assert status.hosts.keys() == hosts
    assert {result.state for result in status.results.values()} <= {"sent", "uploaded", "reported"}
    assert room.server.run(["python3", "-c", INTEGRITY, REGISTRY]).stdout.strip() == "ok"
