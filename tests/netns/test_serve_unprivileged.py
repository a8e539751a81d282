"""The server as an ordinary user and root's helper beside it: what passes between them and what not.

A loop stands in for the path unit; tests/server has the real one.
"""

import json
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM
from typing import Any

import pytest

from services.ethernet import MacAddress
from services.ipv6 import no_router
from tests.fakes.dhcp_client import firmware
from tests.netns.ipv6_ear import Ipv6Ear
from tests.netns.scripted_pc import IPXE, ScriptedPc
from tests.netns.served import TIMEOUT
from tests.netns.unprivileged_box import AS_USER, BINDING, USER, Unprivileged, open_office
from tests.room.processes import wait_until
from tests.room.room import Room, appliance_command

_AS_OTHER = ["setpriv", f"--reuid={USER + 1}", f"--regid={USER + 1}", "--clear-groups"]
_SENDING = ["--inh-caps=+net_raw", "--ambient-caps=+net_raw", "--bounding-set=-all,+net_raw"]


@pytest.fixture(scope="module")
def office() -> Iterator[tuple[Room, Unprivileged]]:
    """A room whose box has NFS-Ganesha, root's helper, and an unprivileged server."""
    with open_office("52:54:00:77:00:*") as found:
        yield found


def plug(room: Room, number: int) -> ScriptedPc:
    return ScriptedPc(room.network, MacAddress.parse(f"52:54:00:77:00:{number:02x}"), f"pc{number}")


async def test_pcs_boot_and_get_their_exports(office: tuple[Room, Unprivileged]) -> None:
    room, box = office
    first, second = plug(room, 1), plug(room, 2)
    await first.run_ipxe()
    await second.run_ipxe()
    box.await_exports({first.mac: {first.address}, second.mac: {second.address}})
    identity = Path(f"/proc/{box.pid}/status").read_text()
    assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in identity
    assert "CapEff:\t0000000000000400\n" in identity, "ports below 1024, and nothing else"
    for pc in (first, second):
        state = room.state(pc.mac).stat()
        assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (731, 731, 0o700)
    assert (room.data / "state").stat().st_uid == 0
    assert box.verb("exports", "show").stdout == (room.directory / "ganesha" / "netboot-appliance.conf").read_text()
    box.await_told("ganesha", "")
    box.verb("allow", "remove", str(first.mac), check=False)
    first.switch_off()
    second.switch_off()


async def test_a_program_that_can_do_nothing_else_tells_ipxe_that_there_is_no_router(
    office: tuple[Room, Unprivileged],
) -> None:
    """systemd-socket-activate stands in for the socket unit."""
    room, box = office
    asked = box.runtime.with_name(f"{box.runtime.name}-no-router")
    sender = [*_AS_OTHER, *_SENDING, sys.executable, "-I", "-m", "services.ipv6.sending"]
    listen = ["systemd-socket-activate", "--datagram", f"--listen={asked}", *sender]
    room.box.start("the program", listen, room.logs / "no-router.log")
    wait_until(asked.exists, TIMEOUT, "the socket")
    asked.chmod(0o666)
    pc, other = plug(room, 6), plug(room, 7)
    with Ipv6Ear(pc.host) as ear, Ipv6Ear(other.host) as others, socket.socket(AF_UNIX, SOCK_DGRAM) as taken_over:
        await pc.power_on(firmware(0, *IPXE))
        assert ear.await_frame()[14:] == no_router.advertisement(pc.mac)
        for junk in (b"", b"\xff" * 6 + b"lan0", b"\x33\x33\0\0\0\1lan0", bytes(2000), bytes(pc.mac) + b"no-such"):
            taken_over.sendto(junk, str(asked))
        await pc.power_on(firmware(0, *IPXE))
        assert ear.await_frame()[14:] == no_router.advertisement(pc.mac)
        assert others.heard() == []
    pc.switch_off()
    other.switch_off()


async def test_a_compromised_server_gets_nothing_beyond_its_clients(office: tuple[Room, Unprivileged]) -> None:
    room, box = office
    pc = plug(room, 3)
    await pc.run_ipxe()
    box.await_exports({pc.mac: {pc.address}})
    in_force = room.directory / "ganesha" / "netboot-appliance.conf"
    before = in_force.read_text(), sorted(os.listdir(room.data / "state"))
    good: dict[str, Any] = {"mac": str(pc.mac), "number": 3, "addresses": [pc.address], "live": True}
    good["pinned"] = False
    for client, said in (
        (good | {"addresses": ["10.77.0.9", "8.8.8.8"]}, "has the address 8.8.8.8"),
        (good | {"addresses": ["10.77.0.255"]}, "has the address 10.77.0.255"),
        (good | {"addresses": ["*"]}, "'*'"),
        (good | {"mac": "../../../../etc"}, "is not a MAC address"),
        (good | {"path": "/etc"}, "is not an object of mac, number, addresses, live"),
        (good | {"number": 0}, "number 0"),
    ):
        content = json.dumps({"version": 4, "once": "x", "configuration": "", "clients": [good, client]}).encode()
        answer = box.take_over(content)
        assert said in answer["error"]
        assert (answer["backend"], answer["directories"]) == ("", 0)
    assert (in_force.read_text(), sorted(os.listdir(room.data / "state"))) == before
    # The next honest request succeeds.
    other = plug(room, 4)
    await other.run_ipxe()
    box.await_exports({pc.mac: {pc.address}, other.mac: {other.address}})
    pc.switch_off()
    other.switch_off()


async def test_an_edit_that_the_server_was_not_told_of_breaks_no_exports(office: tuple[Room, Unprivileged]) -> None:
    room, box = office
    text = room.configuration.read_text()
    try:
        room.configuration.write_text(text.replace('networks = ["10.77.0.0/24"]', 'networks = ["10.99.0.0/24"]'))
        pc = plug(room, 8)
        await pc.run_ipxe()
        box.await_exports({pc.mac: {pc.address}})
    finally:
        room.configuration.write_text(text)
    pc.switch_off()


async def test_how_the_server_reports_a_refusal(office: tuple[Room, Unprivileged]) -> None:
    room, box = office
    box.forgiven = ["the exports are not in force"]
    since = box.mark()
    text = room.configuration.read_text()
    try:
        # Changed on disk, the server was not told, and root has lost what the server had accepted.
        room.configuration.write_text(text.replace('networks = ["10.77.0.0/24"]', 'networks = ["10.99.0.0/24"]'))
        box.answer_file.with_name("config.toml").unlink()
        pc = plug(room, 5)
        await pc.run_ipxe()
        said = box.wait_for("the exports are not in force; trying again", since)
        assert "which cannot belong to a machine in 10.99.0.0/24" in said["error"]
        assert "netboot-appliance reload" in said["hint"]
        box.await_told("", "cannot belong to a machine")
        assert "NOT in force" in box.verb("status").stdout
        assert "netboot-appliance reload" in box.verb("status").stdout
    finally:
        room.configuration.write_text(text)
    box.await_exports({pc.mac: {pc.address}})
    pc.switch_off()


def test_without_a_way_to_root_it_does_not_start(office: tuple[Room, Unprivileged]) -> None:
    _, box = office
    command = [*AS_USER, *BINDING, appliance_command(), "--config", str(box.configuration), "serve"]
    done = box.host.run(command, check=False)
    assert done.returncode == 1
    assert "error: serve is not root, and nothing applies its NFS exports" in done.stderr
    assert "systemctl start netboot-appliance" in done.stderr
