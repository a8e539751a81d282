"""What the ramdisk does when something is missing: it says so, tries again with growing pauses, and restarts at last.

The functions of image/tree that replace live-boot's, with stand-ins for the kernel's and klibc's programs.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.debian import need
from tests.unit.image.agent_room import LIVE, Pc

FIRMWARES = "52:54:00:aa:bb:cc"
"""The MAC address on the command line."""

# live-boot's own, as far as it matters here.
DEVICE_FROM_BOOTIF = """
Device_from_bootif ()
{
	wanted=$(printf '%s' "${BOOTIF#01-}" | tr - :)
	for device in ROOT/class/net/*; do
		[ "$(cat "$device/address")" != "$wanted" ] || DEVICE=${device##*/}
	done
}
"""


class Ramdisk(Pc):
    """A PC before its root is mounted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        (root / "class/net/eth9/operstate").write_text("up\n")
        self.program("udevadm", "exit 0\n")
        self.program("modprobe", "exit 0\n")
        self.program("mount", "exit 0\n")
        self.program("reboot", "echo reboot >> ROOT/rebooted\nkill $PPID\n")
        self.program("sleep", 'echo "$1" >> ROOT/slept\n')
        self.program(
            "ip",
            """case "$*" in "link set "*" address "*) echo "$5" > ROOT/class/net/$3/address ;; esac\n""",
        )
        # A DHCP server answers the cards whose names are in the file `answers`, if it is there.
        self.program(
            "ipconfig",
            'echo "$3" >> ROOT/asked\n! grep -qx "$3" ROOT/answers 2> /dev/null || echo x > "ROOT/run/net-$3.conf"\n',
        )
        text = (LIVE / "usr/lib/live/boot/9999-netboot-appliance").read_text()
        for real, here in (
            ("/usr/lib/netboot-appliance", root / "scripts"),
            ("/sys/class/net/", f"{root}/class/net/"),
            ("/run/net", f"{root}/run/net"),
            ("/conf/param.conf", f"{root}/param.conf"),
        ):
            text = text.replace(real, str(here))
        (root / "functions").write_text(DEVICE_FROM_BOOTIF.replace("ROOT", str(root)) + text)

    def call(self, line: str, bootif: str = FIRMWARES) -> "subprocess.CompletedProcess[str]":
        """Run a line of live-boot; the text of what it printed."""
        variables = f"BOOTIF=01-{bootif.replace(':', '-')}" if bootif else "BOOTIF="
        return subprocess.run(
            ["sh", "-c", f"{variables}; . {self.root}/functions; {line}"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def replace_card(self, address: str) -> None:
        (self.root / "class/net/eth9/address").write_text(f"{address}\n")

    @property
    def screen(self) -> str:
        return (self.root / "dev/tty0").read_text().replace("\r", "")

    @property
    def pauses(self) -> list[int]:
        return [int(pause) for pause in self.told("slept") if "." not in pause and int(pause) > 1]


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Ramdisk]:
    need("curl")
    made = Ramdisk(tmp_path)
    yield made
    made.close()


def test_the_firmwares_card_is_taken_by_its_address(pc: Ramdisk) -> None:
    done = pc.call('Select_eth_device; echo "$DEVICE"')
    assert (done.stdout, done.stderr) == ("eth9\n", "")
    assert (pc.root / "param.conf").read_text() == "DEVICE=eth9\n"
    assert pc.told("asked") == []
    assert pc.box.reports == []


@pytest.mark.parametrize(("state", "waits"), [("up", 0), ("unknown", 20), ("down", 300)])
def test_a_card_that_says_nothing_of_its_link_is_not_waited_for(pc: Ramdisk, state: str, waits: int) -> None:
    """As cdc_ether in QEMU."""
    (pc.root / "class/net/eth9/operstate").write_text(f"{state}\n")
    pc.call("DEVICE=eth9; Bring_up 300")
    assert pc.told("slept").count("0.1") == waits


def test_a_dock_gets_the_address_that_the_firmware_booted_with(pc: Ramdisk) -> None:
    """MAC pass-through: the server knows this PC by the address that the firmware showed."""
    pc.replace_card("00:e0:4c:11:22:33")
    (pc.root / "answers").write_text("eth9\n")
    done = pc.call('Select_eth_device; echo "$DEVICE"')
    assert done.stdout == "eth9\n"
    assert (pc.root / "class/net/eth9/address").read_text() == f"{FIRMWARES}\n"
    (report,) = pc.box.reports
    reason = f"No card has the MAC address {FIRMWARES}: found 00:e0:4c:11:22:33 (e1000e). eth9 takes it."
    assert (report["stage"], report["reason"]) == ("initrd", reason.replace("(", " ").replace(")", " "))
    assert pc.screen.index("Waiting for the driver of the network card 01-52-54-00-aa-bb-cc.") < pc.screen.index(reason)
    assert (pc.root / "run/netboot-borrowed").read_text() == (
        "instead of the firmware's, its own address is 00:e0:4c:11:22:33\n"
    )


def test_without_any_card_that_gets_an_address_it_says_which_it_has(pc: Ramdisk) -> None:
    pc.replace_card("00:e0:4c:11:22:33")
    pc.call("Select_eth_device; echo never")
    assert pc.told("rebooted") == ["reboot"]
    assert pc.pauses == [10, 20, 40, 80, 160, 300, 60]
    assert (pc.root / "class/net/eth9/address").read_text() == "00:e0:4c:11:22:33\n", "it has its own again"
    assert f"No card has the MAC address {FIRMWARES}: found 00:e0:4c:11:22:33 (e1000e)" in pc.screen
    assert [report["stage"] for report in pc.box.reports] == ["failed"]


def test_without_any_card_no_dhcp_server_is_blamed(pc: Ramdisk) -> None:
    pc.replace_card("02:00:00:00:00:01")
    (pc.root / "class/net/eth9/device").rename(pc.root / "device")
    pc.call("Select_eth_device; echo never")
    assert f"No card has the MAC address {FIRMWARES}: found none. Trying again in 10 s." in pc.screen
    assert f"{FIRMWARES}: found none: no driver, or no firmware, for it; or no cable." in pc.screen


def test_a_loader_that_names_no_card_gets_the_one_that_dhcp_answers(pc: Ramdisk) -> None:
    command_line = pc.root / "proc/cmdline"
    command_line.write_text(command_line.read_text().replace("BOOTIF=01-52-54-00-aa-bb-cc ", ""))
    (pc.root / "answers").write_text("eth9\n")
    assert pc.call('Select_eth_device; echo "$DEVICE"', bootif="").stdout == "eth9\n"
    assert "The boot loader named no network card" in pc.screen
    pc.call("DEVICE=eth9; do_netsetup", bootif="")
    assert pc.box.stages() == ["initrd"], "its reports have the right path"


def test_without_a_dhcp_server_it_tries_again_then_restarts(pc: Ramdisk) -> None:
    pc.call("DEVICE=eth9; do_netsetup; echo never")
    assert pc.pauses == [10, 30, 90, 60]
    assert pc.told("rebooted") == ["reboot"]
    assert "No DHCP server answered eth9 (01-52-54-00-aa-bb-cc): check the cable. Trying again in 10 s." in pc.screen
    assert "The power button switches it off" in pc.screen


def test_a_refused_root_is_tried_again_and_reported_in_the_words_of_nfs(pc: Ramdisk) -> None:
    pc.program("nfsmount", "echo nfsmount: access denied >&2\nexit 1\n")
    line = "NFSROOT=10.77.0.1:/images/r; NFSOPTS=timeo=600; mountpoint=/m; do_nfsmount"
    pc.call(f'{line} || panic "Unable to find a live file system on the network"')
    assert pc.told("rebooted") == ["reboot"]
    assert pc.pauses[-7:] == [10, 20, 40, 80, 160, 300, 60]
    assert [report["stage"] for report in pc.box.reports] == ["failed", "failed"]
    for report in pc.box.reports:
        assert "the server refuses 10.77.0.1:/images/r over NFS: access denied" in report["reason"]


def test_a_root_that_is_there_at_the_third_try_is_mounted(pc: Ramdisk) -> None:
    pc.program("nfsmount", 'echo "$*" >> ROOT/tried\n[ "$(wc -l < ROOT/tried)" -ge 3 ]\n')
    done = pc.call("NFSROOT=10.77.0.1:/images/r; NFSOPTS=timeo=600; mountpoint=/m; do_nfsmount")
    assert done.returncode == 0
    assert pc.told("tried") == ["-o nolock -o ro -o timeo=600 10.77.0.1:/images/r /m"] * 3
    assert pc.box.reports == []


def test_why_an_http_root_failed_is_not_told_a_second_time_in_other_words(pc: Ramdisk) -> None:
    pc.call('panic "Unable to find a live file system on the network"')
    assert pc.box.reports == []
    assert pc.screen.startswith("\nboinc-525400aabbcc: It starts again in a minute.")
    assert pc.told("rebooted") == ["reboot"]


def test_whatever_else_goes_wrong_is_told_in_plain_words(pc: Ramdisk) -> None:
    pc.call('panic "Can not mount /dev/loop0"')
    assert "This PC cannot start: Can not mount /dev/loop0" in pc.screen
    assert "It starts again in a minute. The power button switches it off; its disks were not touched." in pc.screen
    assert [(report["stage"], report["reason"]) for report in pc.box.reports] == [
        ("failed", "This PC cannot start: Can not mount /dev/loop0")
    ]
    assert pc.told("rebooted") == ["reboot"]
