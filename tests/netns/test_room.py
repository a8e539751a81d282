"""The virtual room itself: it comes up, its DHCP server gives leases, and it leaves nothing behind however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from tests.room.interruption import UNIGNORED
from tests.room.namespaces import assert_nothing_left, leftovers, sweep
from tests.room.processes import RoomError
from tests.room.room import CHECKOUT, SITE, Room

CLIENT = MacAddress.parse("02:77:00:00:01:01")

# Prints the room's name once a PC is on, and stays until a signal.
STAY = """
import signal, sys
from pathlib import Path
from services.ethernet import MacAddress
from tests.room.interruption import interrupt_once
from tests.room.room import Room
interrupt_once()
with Room(Path(sys.argv[1])) as room:
    room.pc(MacAddress.parse("02:77:00:00:01:02"), "bios", memory=128).power_on()
    print(room.network.room, flush=True)
    signal.pause()
"""


# Prints what udhcpc got as one line; udhcpc's own script would write /etc/resolv.conf.
SHOW = """#!/bin/sh
[ "$1" = bound ] && echo "$ip $router $siaddr ${boot_file:-none} ${tftp:-none}"
exit 0
"""


@pytest.fixture
def other_room(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A room with a PC on, in another process; that process and the room's name."""
    command = [*UNIGNORED, sys.executable, "-c", STAY, str(tmp_path / "other")]
    with subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, start_new_session=True) as holder:
        assert holder.stdout
        yield holder, holder.stdout.readline().strip()
        holder.terminate()


def test_the_sites_server_leases_an_address_and_names_no_boot_server(tmp_path: Path) -> None:
    script = tmp_path / "show"
    script.write_text(SHOW)
    script.chmod(0o755)
    with Room(tmp_path / "room") as room:
        client = room.network.host("client", "", CLIENT)
        said = client.run(["udhcpc", "-i", "lan0", "-f", "-q", "-n", "-t", "30", "-T", "1", "-s", str(script)]).stdout
        address, router, server, boot_file, tftp = said.split()
        assert room.leased(CLIENT) == IPv4Address(address)
        assert IPv4Address(router) == SITE
        assert (server, boot_file, tftp) == (str(SITE), "none", "none")


def test_a_room_that_ends_leaves_nothing(tmp_path: Path) -> None:
    with Room(tmp_path) as room:
        pc = room.pc(CLIENT, "bios", memory=128)
        pc.power_on()
        pc.wait_for("iPXE", 240)
        name = room.network.room
        assert len(leftovers(name)) >= 6 + 2 + 6, "the check sees namespaces, processes and mounts while there are some"
    assert_nothing_left(name)


def test_a_room_that_fails_leaves_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)

    def fail() -> None:
        with room:
            room.pc(CLIENT, "bios", memory=128).power_on()
            room.other.run(["no-such-program"])

    with pytest.raises(RoomError, match="no-such-program"):
        fail()
    assert_nothing_left(room.network.room)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_room_that_is_interrupted_twice_leaves_nothing(
    other_room: tuple["subprocess.Popen[str]", str], number: signal.Signals
) -> None:
    holder, name = other_room
    assert leftovers(name)
    holder.send_signal(number)
    holder.send_signal(number)
    assert holder.wait(60) != 0
    assert_nothing_left(name)


def test_the_next_room_removes_what_a_killed_one_left_and_spares_live_rooms(
    other_room: tuple["subprocess.Popen[str]", str], tmp_path: Path
) -> None:
    holder, name = other_room
    with Room(tmp_path / "living") as living:
        before = leftovers(living.network.room)
        holder.kill()
        # Until it is waited for it counts as living: no room of another test cleans up after it.
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        assert leftovers(name)
        holder.wait(10)
        sweep()
        assert_nothing_left(name)
        assert leftovers(living.network.room) == before
