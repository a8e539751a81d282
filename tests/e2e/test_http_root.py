"""Root over HTTP: a PC with the live system in its own memory computes without an NFS export of it; one with too little
memory is refused, and `status` says why. On the one that computes, somebody has become root and looks for its disk. The
project is away when it comes up, its screen says what it does, and at last its power button is pressed.
"""

import base64
import errno
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from tests.e2e import root_probe
from tests.e2e.hardware import nvme_disk
from tests.e2e.rooms import assert_ramdisks, furnished_room
from tests.e2e.rooted_image import add_probe
from tests.fakes import boinc_control
from tests.fakes.boinc_control import Weather
from tests.room.live_image import CUSTOMIZED
from tests.room.pc import Pc
from tests.room.room import BOX, PROJECT, Room
from tests.room.tasks import the_host

RANGE = "52:54:00:48:00:*"
LARGE = MacAddress.parse("52:54:00:48:00:01")
SMALL = MacAddress.parse("52:54:00:48:00:02")
BOOT_SECONDS = 900
SHUT_LID = (
    "U1NEVE8AAAACuUhCVUdTAExJRFNIVVQAAQAAAElOVEwlCSAgECpcX1NCX1uCIkxJRDAIX0hJRAxB0AwNFAhfTElEAKQAFAlfU1RBAKQKDw=="
)
"""An ACPI table with a lid, a device PNP0C0D, whose _LID returns 0: shut."""
ON_DISK = b"what an office keeps there, " * 65536
ATTACKS = {
    # The disk and the chipset's controller are in sight, and that is all.
    "storage_devices": 2,
    "block_devices": 0,
    "allow_modules": errno.EINVAL,
    **dict.fromkeys(("load_module", "map_registers", "write_configuration", "iopl", "ioperm", "kexec"), errno.EPERM),
    **dict.fromkeys(("memory", "ports"), errno.EPERM),
    "processor_registers": errno.ENXIO,
    **dict.fromkeys(("vfio", "disk_file_system", "firmware_variables"), errno.ENODEV),
    # The limit is 0.
    "user_namespace": errno.ENOSPC,
    "ldisc_autoload": 0,
    "bpf_disabled": 1,
    "token_mode": 0o600,
    "old_token": 403,
    # The clock of the PC was a year slow, and nobody answers NTP.
    "clock_error": 0,
    "minutes_from_utc": 330,
    "sleep_refused": 1,
    # It is as the owner's system left it.
    "kernel_writes_the_clock_chip": 0,
}
"""What tests/e2e/root_probe.py says of each attempt in a PC that holds it."""


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    """A room in India, with a range of PCs that have an HTTP root; both PCs are on."""
    # The configuration of a room ends in its section [image].
    with furnished_room("http-root", settings='[live]\ntime_zone = "Asia/Kolkata"\n') as room:
        for release in {path.resolve() for path in (room.data / "images").glob("*/manifest.json")}:
            add_probe(release.parent, Path(root_probe.__file__))
        room.start_project()
        boinc_control.change(room.project_directory, weather=Weather.REFUSING)
        room.start_box()
        room.appliance("allow", "add", RANGE, "--root", "http", "--label", "room 12")
        yield room


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PC's disk."""
    disk = tmp_path_factory.mktemp("disk") / "disk"
    disk.write_bytes(ON_DISK)
    return disk


@pytest.fixture(scope="module")
def large(room: Room, disk: Path) -> Pc:
    """A laptop with enough memory, its lid shut and its clock a year slow; on."""
    lid = disk.with_name("lid.aml")
    lid.write_bytes(base64.b64decode(SHUT_LID))
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 366 * 86400))
    extra = (*nvme_disk(disk), "-acpitable", f"file={lid}", "-rtc", f"base={clock}")
    pc = room.pc(LARGE, "bios", card="vmxnet3", extra=extra)
    pc.power_on()
    return pc


@pytest.fixture(scope="module")
def small(room: Room) -> Pc:
    """A PC with less memory than an HTTP root needs; on."""
    pc = room.pc(SMALL, "bios", memory=384)
    pc.power_on()
    return pc


@pytest.mark.usefixtures("large")
def test_a_pc_with_too_little_memory_is_refused_with_the_reason(room: Room, small: Pc) -> None:
    room.wait_until(lambda: bool(room.boot(SMALL) and room.boot(SMALL)["failure"]), BOOT_SECONDS, "a refusal")
    boot = room.boot(SMALL)
    assert re.fullmatch(
        r"3\d\d MB of usable memory; an HTTP root needs [34]\d\d MB: give this PC root=nfs", boot["failure"]
    )
    assert not [transfer for transfer in boot["transfers"] if transfer["path"].endswith("squashfs")]
    assert f"failed: {boot['failure']}" in room.appliance("status").stdout
    small.wait_for(boot["failure"], 180)  # for whoever stands in front of it
    small.power_off()


def test_a_project_that_was_away_at_the_first_boot_costs_minutes(room: Room, large: Pc) -> None:
    """Left alone, BOINC asks again after a day (reported by others, and read in its code: min_rpc_time)."""
    large.wait_for(f"idle: the project http://{PROJECT}/fake/ does not answer", BOOT_SECONDS)
    boinc_control.change(room.project_directory, weather=Weather.UP)
    large.wait_for("attached to the BOINC project", 300)


def test_a_pc_with_its_root_in_memory_computes(room: Room, large: Pc) -> None:
    room.wait_until(lambda: room.boot(LARGE)["stage"] == "computing", BOOT_SECONDS, "the PC to compute")
    boot = room.boot(LARGE)
    fetched = {t["path"]: (t["sent"], t["size"]) for t in boot["transfers"]}
    for layer in ("live/filesystem.squashfs", "live/recipe.squashfs"):
        size = (room.data / "images" / boot["release"] / layer).stat().st_size
        assert fetched[f"image/{boot['release']}/{layer}"] == (size, size)
    assert CUSTOMIZED in large.text()
    assert [reached["stage"] for reached in boot["stages"]][-5:] == [
        *("initrd", "root mounted", "reported", "attached", "computing"),
    ]
    large.wait_for("the live system is in memory", 180)
    assert_ramdisks(room, large)


def test_root_on_a_pc_reaches_no_disk(large: Pc, disk: Path) -> None:
    large.wait_for("probe: end", BOOT_SECONDS)
    said = {name: int(number) for name, number in re.findall(r"probe: (\w+)=(-?\d+)", large.text())}
    assert said == ATTACKS, [line for line in large.lines() if "probe:" in line]
    assert disk.read_bytes() == ON_DISK


def test_the_screen_says_what_the_pc_does(room: Room, large: Pc) -> None:
    screen = large.text().replace("\r", "").partition("probe: screen\n")[2].partition("probe: end")[0]
    for line in (
        f"  boinc-{LARGE.bare}\n",
        "  Label      room 12\n",
        f"  Address    {room.leased(LARGE)}\n",
        f"  Server     {BOX}\n",
        f"  Project    Fake, computer {the_host(room, LARGE).id}\n",
        "  Tasks      1 run, ",
        " %  count_",
        "\n  Computing\n",
        "\n  The power button shuts this PC down cleanly. Its work is kept on the server.\n",
    ):
        assert line in screen, screen


def test_the_live_system_is_not_exported_to_pcs_with_an_http_root(room: Room, large: Pc) -> None:
    exports = room.appliance("exports", "show").stdout
    assert str(room.state(LARGE)) in exports
    assert str(room.data / "images") not in exports
    large.require_on()


def test_the_power_button_switches_the_pc_off_cleanly_and_the_box_knows_it(room: Room, large: Pc) -> None:
    large.press_power()
    large.wait_until_off(180)
    now = room.boot(LARGE)["now"]
    assert (now["kind"], now["words"]) == ("off", "switched off at the PC")
    assert "0 compute; 1 failed, 1 off\n" in room.appliance("status").stdout
