"""A file handle leads nowhere outside its export, with NFS-Ganesha: what a program on a PC tries, packet by packet.

The same against the kernel's server: tests/server/test_handles.py.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.nfs_client import forged
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import Box
from tests.room.processes import wait_until
from tests.room.room import BOX, CHECKOUT, Room

SECRET = "hours of another PC's work"


def ask(pc: ScriptedPc, version: int, *request: object) -> Any:
    """What the box's NFS server answers to one request of a program on this PC."""
    command = pc.host.command([sys.executable, "-m", "tests.fakes.nfs_client", str(BOX), str(version), "--low-port"])
    text = json.dumps(request) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=CHECKOUT, check=True)
    return json.loads(done.stdout)


def root_of(pc: ScriptedPc, version: int, path: Path) -> str:
    """The handle of what is mounted from `path`, once the server exports it."""
    found: list[Any] = []

    def served() -> bool:
        found.append(ask(pc, version, "root", str(path)))
        return isinstance(found[-1], str)

    wait_until(served, 60, f"{path} to be exported", 0.5)
    return str(found[-1])


def refused(answer: object) -> bool:
    return isinstance(answer, dict) and "refused" in answer


@pytest.fixture
async def pcs(box: Box, room: Room, plug: Plug) -> tuple[ScriptedPc, ScriptedPc]:
    """The intruder and its victim, both allowed and booted; the victim has work."""
    intruder, victim = plug(), plug()
    for pc in (intruder, victim):
        await pc.run_ipxe()
    box.await_exports({intruder.mac: {intruder.address}, victim.mac: {victim.address}})
    for pc in (intruder, victim):
        work = room.state(pc.mac) / "client_state.xml"
        work.write_text(SECRET)
        os.chown(work, 731, 731)
    return intruder, victim


def assert_nothing_outside(pc: ScriptedPc, version: int, root: str, own: list[str]) -> None:
    """Nothing but `own` is found by the handle of inode 2, whatever its generation."""
    for generation in (0, 1):
        handle = forged(root, 2, generation)
        seen = ask(pc, version, "list", handle)
        assert refused(seen) or sorted(seen) == sorted(own), seen
        for names in (["etc"], ["etc", "passwd"], ["tmp"], ["..", "..", "etc"]):
            assert refused(ask(pc, version, "lookup", handle, names)), names
        assert refused(ask(pc, version, "lookup", handle, ["proc", "1"]))


async def test_the_handle_of_a_pcs_state_leads_only_into_it(room: Room, pcs: tuple[ScriptedPc, ScriptedPc]) -> None:
    intruder, _ = pcs
    root = root_of(intruder, 4, room.state(intruder.mac))
    own = ask(intruder, 4, "list", root)
    assert own == ["client_state.xml"]
    assert ask(intruder, 4, "read", ask(intruder, 4, "lookup", root, own)) == SECRET
    assert_nothing_outside(intruder, 4, root, own)


async def test_the_handle_of_the_images_leads_only_into_them(room: Room, pcs: tuple[ScriptedPc, ScriptedPc]) -> None:
    intruder, _ = pcs
    for version in (3, 4):
        root = root_of(intruder, version, room.data / "images")
        own = ask(intruder, version, "list", root)
        assert "current" in own
        assert_nothing_outside(intruder, version, root, own)
        assert refused(ask(intruder, version, "make", root, "intruder"))


async def test_no_handle_leads_to_another_pcs_work(room: Room, pcs: tuple[ScriptedPc, ScriptedPc]) -> None:
    """Even with the random id of the victim's file system, which an intruder cannot know: through its own export, and
    through the live root's."""
    intruder, victim = pcs
    own = root_of(intruder, 4, room.state(intruder.mac))
    theirs = root_of(victim, 4, room.state(victim.mac))
    work = ask(victim, 4, "lookup", theirs, ["client_state.xml"])
    images = root_of(intruder, 4, room.data / "images")
    # The first four bytes say through which export a handle is used.
    for through in (own[:8], images[:8], theirs[:8]):
        for handle in (theirs, work, forged(theirs, 2, 0)):
            assert refused(ask(intruder, 4, "list", through + handle[8:]))
            assert refused(ask(intruder, 4, "read", through + handle[8:]))
            assert refused(ask(intruder, 4, "make", through + handle[8:], "intruder"))
    assert os.listdir(room.state(victim.mac)) == ["client_state.xml"]
    # Their ids have nothing in common to guess from.
    assert own[10:42] != theirs[10:42]
    assert refused(ask(intruder, 4, "root", str(room.state(victim.mac))))


async def test_work_of_an_older_version_moves_in_when_its_pc_is_off(box: Box, room: Room, plug: Plug) -> None:
    """A plain directory that was exported when the server was upgraded: it stays so, since its PC may be computing."""
    pc = plug()
    state, image = room.state(pc.mac), room.data / "volumes" / f"{pc.mac.bare}.img"
    await pc.run_ipxe()
    box.await_exports({pc.mac: {pc.address}})
    root_of(pc, 4, state)
    # Back to how an older version left it; what holds nothing would be deleted.
    (state / "kept").write_text("")
    assert box.process
    box.process.stop()
    in_force = room.directory / "ganesha" / "netboot-appliance.conf"
    head, *blocks = in_force.read_text().split("\nEXPORT {")
    exported = "\nEXPORT {".join([head, *(block for block in blocks if f'"{state}"' in block or '/images"' in block)])
    box.verb("exports", "withdraw")
    box.verb("state", "unpack", str(pc.mac))
    assert not image.exists()
    (state / "kept").unlink()
    work = state / "client_state.xml"
    work.write_text(SECRET)
    os.chown(work, 731, 731)
    in_force.write_text(exported)
    box.start()
    box.await_exports({pc.mac: {pc.address}})
    root = root_of(pc, 4, state)
    assert ask(pc, 4, "read", ask(pc, 4, "lookup", root, ["client_state.xml"])) == SECRET
    assert not image.exists()
    doctor = box.verb("doctor", check=False).stdout
    assert f"the work of {pc.mac} is in a plain directory" in doctor
    assert "state pack" in doctor
    # The PC is on: it has a connection to the NFS server.
    connecting = f"s = socket.create_connection(('{BOX}', 2049), 30, ('', 1001))"
    listener = f"import socket, time; {connecting}; print(flush=True); time.sleep(60)"
    with subprocess.Popen(pc.host.command([sys.executable, "-c", listener]), stdout=subprocess.PIPE) as connected:
        assert connected.stdout
        connected.stdout.readline()
        refusal = box.verb("state", "pack", str(pc.mac), check=False)
        assert f"{pc.mac} is on" in refusal.stderr
        assert not image.exists()
        connected.kill()
    wait_until(lambda: box.verb("state", "pack", str(pc.mac), check=False).returncode == 0, 60, "the PC to be off", 1)
    assert image.exists()
    assert work.read_text() == SECRET
    root = root_of(pc, 4, state)
    assert_nothing_outside(pc, 4, root, ["client_state.xml"])
    assert f"the work of {pc.mac}" not in box.verb("doctor", check=False).stdout
    assert re.search(rf"^{pc.mac} +file system of its own", box.verb("state", "list").stdout, re.MULTILINE)
