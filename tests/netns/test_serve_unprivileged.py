"""The server as an ordinary user and root's helper beside it, as under systemd: what passes between them and what not.

A loop stands in for the path unit; tests/server has the real one.
"""

import json
import os
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM
from typing import Any

import pytest

from appliance.exports.request import digest
from services.ethernet import MacAddress
from services.ipv6 import no_router
from tests.fakes.dhcp_client import firmware
from tests.netns.ipv6_ear import Ipv6Ear
from tests.netns.scripted_pc import IPXE, ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Namespace
from tests.room.processes import Process, wait_until
from tests.room.room import Room, appliance_command

USER = 42731
_AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
_BINDING = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service", "--bounding-set=-all,+net_bind_service"]

_AS_OTHER = ["setpriv", f"--reuid={USER + 1}", f"--regid={USER + 1}", "--clear-groups"]
_SENDING = ["--inh-caps=+net_raw", "--ambient-caps=+net_raw", "--bounding-set=-all,+net_raw"]

# Like a path unit: it notices that the file was replaced, but not while the service that it started runs.
_PATH_UNIT = """
last=
while sleep 0.02; do
    now=$(stat -c %i "$1" 2>/dev/null) || continue
    if [ "$now" != "$last" ]; then
        "$2" -I -m appliance.exports.root_helper
        last=$(stat -c %i "$1" 2>/dev/null)
    fi
done
"""


class Unprivileged(Box):
    """`serve` as USER; its administrator's verbs run as root."""

    def __init__(self, room: Room, runtime: Path, log: Path) -> None:
        super().__init__(room.box, room.configuration, room.data, log)
        self.runtime = runtime
        self.answer_file = runtime.with_name(runtime.name + "-exports") / "result.json"

    def launch(self) -> Process:
        command = ["env", f"RUNTIME_DIRECTORY={self.runtime}", *_AS_USER, *_BINDING]
        command += [appliance_command(), "--config", str(self.configuration), "serve"]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process

    def await_told(self, backend: str, error: str) -> None:
        """Wait until `status` says that this backend has the exports in force, or shows this error."""

        def told() -> bool:
            exports = self.status()["exports"]
            if not exports or backend not in exports["backend"]:
                return False
            return error in exports["error"] if error else not exports["error"]

        wait_until(told, TIMEOUT, "status to tell of the exports")

    def take_over(self, content: bytes) -> dict[str, Any]:
        """Write a request as the server would, and return root's answer."""
        request = self.runtime / "exports.json"
        forged = request.with_name("forged")
        found: dict[str, Any] = {}

        def answered() -> bool:
            # Written again each time, as the server does: a request written while root's helper ends is missed.
            forged.write_bytes(content)
            os.chown(forged, USER, USER)
            forged.replace(request)
            time.sleep(0.5)
            found.update(json.loads(self.answer_file.read_bytes()))
            return bool(found["request"] == digest(content))

        wait_until(answered, TIMEOUT, "root's answer")
        return found


@pytest.fixture(scope="module")
def office() -> Iterator[tuple[Room, Unprivileged]]:
    """A room whose box has NFS-Ganesha, root's helper, and an unprivileged server."""
    # Not a directory of pytest's: each pytest that starts closes them to other users.
    with tempfile.TemporaryDirectory(prefix="nba-unprivileged-") as place, Room(Path(place)) as room:
        directory = room.directory
        directory.chmod(0o755)
        room.configuration.chmod(0o644)
        runtime = directory / "run" / "box"
        for own in (room.data / "registry", room.data / "boot", runtime):
            own.mkdir(parents=True)
            os.chown(own, USER, USER)
        install_release(room.data / "images")
        room.appliance("allow", "add", "52:54:00:77:00:*")
        ganesha = Ganesha(room.box.name, directory / "ganesha", directory / "ganesha" / "netboot-appliance.conf")
        ganesha.start()
        box = Unprivileged(room, runtime, room.logs / "serve.log")
        box.answer_file.parent.mkdir()
        _start_root(room.box, box, room.logs / "root.log")
        box.start()
        yield room, box
        assert box.complaints(0) == []
        ganesha.stop()


def _start_root(host: Namespace, box: Unprivileged, log: Path) -> None:
    variables = [f"RUNTIME_DIRECTORY={box.answer_file.parent}", f"NETBOOT_APPLIANCE_CONFIG={box.configuration}"]
    loop = ["sh", "-c", _PATH_UNIT, "path", str(box.runtime / "exports.json"), sys.executable]
    # What its unit leaves to root, and what the unit that mounts for it has.
    host.start(
        "root's helper",
        [
            "env",
            *variables,
            "setpriv",
            "--bounding-set=-all,+chown,+net_admin,+sys_admin,+dac_override,+fowner,+fsetid",
            *loop,
        ],
        log,
    )


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
        content = json.dumps({"version": 3, "once": "x", "clients": [good, client]}).encode()
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


async def test_how_the_server_reports_a_refusal(office: tuple[Room, Unprivileged]) -> None:
    room, box = office
    box.forgiven = ["the exports are not in force"]
    since = box.mark()
    text = room.configuration.read_text()
    try:
        # Changed on disk, but the server was not told: root reads the file itself.
        room.configuration.write_text(text.replace('networks = ["10.77.0.0/24"]', 'networks = ["10.99.0.0/24"]'))
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
    command = [*_AS_USER, *_BINDING, appliance_command(), "--config", str(box.configuration), "serve"]
    done = box.host.run(command, check=False)
    assert done.returncode == 1
    assert "error: serve is not root, and nothing applies its NFS exports" in done.stderr
    assert "systemctl start netboot-appliance" in done.stderr
