"""A PC is forgotten with its work, on the page: `serve`, `control` and root's helpers, each with its unit's privileges.

Then the page is taken over. Each test goes on from the one before.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.exports.quietness import MOST_KEPT
from appliance.exports.work_desk import encode
from appliance.registry.database import Registry
from appliance.root_requests.answer import RootAnswer, digest
from appliance.root_requests.desk import desk
from services.ethernet import MacAddress
from services.linux import volumes
from tests.netns.page_visitor import Visitor
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import TIMEOUT
from tests.netns.unprivileged_box import AS_USER, USER, Unprivileged, open_office, start_root
from tests.netns.walled_box import knock
from tests.room.processes import wait_until
from tests.room.room import Room, appliance_command

PASSWORD = "correct horse"
WORK = "hours of work"
LONG_AGO = time.time() - 3600.0


@pytest.fixture(scope="module")
def office() -> Iterator[tuple[Room, Unprivileged]]:
    with open_office("52:54:00:79:00:*") as (room, box):
        control, root = (box.runtime.with_name(f"box-{name}") for name in ("control", "work-request"))
        control.mkdir()
        os.chown(control, USER, USER)
        root.mkdir()
        room.set_page_password(PASSWORD)
        text = room.configuration.read_text()
        room.configuration.write_text(text.replace("[control]\nenabled = false", "[control]\nenabled = true"))
        own = [f"RUNTIME_DIRECTORY={control}", f"NETBOOT_APPLIANCE_CONFIG={room.configuration}"]
        start_root(room.box, own, control / "work.json", "appliance.exports.work_root_helper", room.logs / "work.log")
        page = ["env", *own, *AS_USER, appliance_command(), "control"]
        started = room.box.start("control", page, room.logs / "control.log")
        started.wait_for_log("the page is open", TIMEOUT)
        yield room, box


@pytest.fixture(scope="module")
def administrator(office: tuple[Room, Unprivileged]) -> Visitor:
    visitor = Visitor(office[0].management)
    assert visitor.log_in(PASSWORD).status == 303
    return visitor


class TakenOver:
    """Whoever has taken over the page writes requests as he likes."""

    def __init__(self, box: Unprivileged) -> None:
        self.desk = desk("work", "work-request", {"RUNTIME_DIRECTORY": str(box.runtime.with_name("box-control"))})

    def asks(self, content: bytes) -> RootAnswer:
        """Root's last answer to this."""
        forged = self.desk.request.with_name("forged")
        found: list[RootAnswer] = []

        def answered() -> bool:
            forged.write_bytes(content)
            os.chown(forged, USER, USER)
            forged.replace(self.desk.request)
            time.sleep(0.5)
            found.append(self.desk.read_answer() or RootAnswer(""))
            return found[-1].request == digest(content) and found[-1].final

        wait_until(answered, TIMEOUT, "root's answer")
        return found[-1]

    def wants(self, mac: MacAddress) -> RootAnswer:
        return self.asks(encode(mac, secrets.token_hex(8)))


def plug(room: Room, number: int) -> ScriptedPc:
    return ScriptedPc(room.network, MacAddress.parse(f"52:54:00:79:00:{number:02x}"), f"work{number}")


async def boot(room: Room, box: Unprivileged, pc: ScriptedPc, work: str = WORK) -> None:
    """Give the PC an export, and leave work in it that was written long ago."""
    await pc.run_ipxe()
    box.await_exports({pc.mac: {pc.address}})
    state = room.state(pc.mac)
    wait_until(lambda: str(state) in volumes.mounts(), TIMEOUT, "its file system")
    (state / "client_state.xml").write_text(work)
    os.utime(state, (LONG_AGO, LONG_AGO))


def age(room: Room, box: Unprivileged, mac: MacAddress) -> None:
    """Let an hour have passed since the PC was heard, as far as the server and its registry know."""
    assert box.process
    box.process.stop()
    with Registry(room.data / "registry" / "registry.sqlite3") as registry, registry.transaction():
        (number,) = registry.sql.execute("SELECT id FROM boots WHERE mac = ? AND latest", (mac.value,)).fetchone()
        registry.sql.execute("UPDATE events SET at = at - 3600 WHERE boot = ?", (number,))
        registry.sql.execute(
            "UPDATE boots SET started = started - 3600, last_at = last_at - 3600, state = '' WHERE id = ?", (number,)
        )
    box.start()


def kept(room: Room) -> list[str]:
    return sorted(path.name for place in ("state", "volumes") for path in (room.data / place).glob(".kept-*"))


def forget(visitor: Visitor, mac: MacAddress, **fields: str) -> tuple[int, str]:
    """Press a button of the PC's page; the status, and what the answer says."""
    secret = re.search(r'name="csrf" value="([^"]+)"', visitor.ask("GET", f"/pcs/{mac}").text)
    assert secret
    answer = visitor.ask("POST", f"/pcs/{mac}/forget", {"csrf": secret[1], **fields})
    return answer.status, " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


async def test_a_pc_that_may_be_on_keeps_its_work_and_is_not_forgotten(
    office: tuple[Room, Unprivileged], administrator: Visitor
) -> None:
    room, box = office
    pc = plug(room, 1)
    await boot(room, box, pc)
    assert forget(administrator, pc.mac, work="yes")[0] == 409
    # The registry says that it is off, and its packets say that it is on.
    age(room, box, pc.mac)
    knock(pc.host, address=pc.address)
    answer_file = box.answer_file
    wait_until(lambda: pc.address in json.loads(answer_file.read_bytes())["heard"], TIMEOUT, "its packets to be heard")
    status, said = forget(administrator, pc.mac, work="yes")
    assert status == 409
    assert f"the work of {pc.mac} was used" in said
    assert "if the PC is off: try again in five minutes" in said
    assert administrator.ask("GET", f"/pcs/{pc.mac}").status == 200
    assert (room.state(pc.mac) / "client_state.xml").read_text() == WORK
    assert kept(room) == []
    pc.switch_off()


async def test_it_is_forgotten_with_its_work_and_root_gives_that_back(
    office: tuple[Room, Unprivileged], administrator: Visitor
) -> None:
    room, box = office
    pc = plug(room, 2)
    await boot(room, box, pc)
    age(room, box, pc.mac)
    assert "Forget it and set its work aside" in administrator.ask("GET", f"/pcs/{pc.mac}").text
    status, said = forget(administrator, pc.mac, work="yes")
    assert status == 200, said
    assert re.search(r"The PC is forgotten, and its work is kept until \d{4}-\d\d-\d\d\.", said), said
    assert f"sudo netboot-appliance clients restore {pc.mac}" in said
    assert administrator.ask("GET", f"/pcs/{pc.mac}").status == 404
    assert not room.state(pc.mac).exists()
    assert not (room.data / "volumes" / f"{pc.mac.bare}.img").exists()
    (listed,) = json.loads(box.verb("clients", "kept", "--json").stdout)
    assert listed["mac"] == str(pc.mac)

    # It is switched on again, and begins anew.
    await boot(room, box, pc, "new work")
    assert "has its work again" in box.verb("clients", "restore", str(pc.mac)).stdout
    box.await_exports({pc.mac: {pc.address}})
    wait_until(lambda: str(room.state(pc.mac)) in volumes.mounts(), TIMEOUT, "its file system")
    assert (room.state(pc.mac) / "client_state.xml").read_text() == WORK
    assert len(kept(room)) == 1
    assert "for good" in box.verb("clients", "purge", str(pc.mac), "--yes").stdout
    assert kept(room) == []
    pc.switch_off()


def test_a_page_that_is_taken_over_can_ask_for_nothing_else(office: tuple[Room, Unprivileged]) -> None:
    room, box = office
    attacker = TakenOver(box)
    before = sorted(os.listdir(room.data / "state")), sorted(os.listdir(room.data / "volumes"))
    for content in (
        b"[[[[",
        b'{"version": 1, "mac": "../images", "once": ""}',
        b'{"version": 1, "mac": "52-54-00-79-00-01", "once": ""}',
        b'{"version": 1, "mac": "52:54:00:79:00:01", "once": "", "path": "/etc"}',
        b'{"version": 1, "mac": ["52:54:00:79:00:01"], "once": ""}',
    ):
        assert "the page's request is refused" in attacker.asks(content).error
    assert (sorted(os.listdir(room.data / "state")), sorted(os.listdir(room.data / "volumes"))) == before


async def test_nor_move_the_work_of_a_pc_that_runs_though_it_has_the_server_forget_it(
    office: tuple[Room, Unprivileged],
) -> None:
    room, box = office
    pc = plug(room, 3)
    await boot(room, box, pc)
    # He writes into the registry what he likes. The server keeps a PC that it has heard, unless that is not allowed any
    # more: then the export ends, and with it what is known of the PC's packets.
    with Registry(room.data / "registry" / "registry.sqlite3") as registry, registry.edit():
        registry.set_server("forget", [pc.mac.value])
        registry.sql.execute("DELETE FROM allowed")
    wait_until(lambda: str(room.state(pc.mac)) not in volumes.mounts(), TIMEOUT, "the end of its export")
    answer = TakenOver(box).wants(pc.mac)
    assert f"the work of {pc.mac} was used" in answer.error
    assert (room.data / "volumes" / f"{pc.mac.bare}.img").exists()
    pc.switch_off()


def test_nor_move_the_work_of_a_whole_room_nor_delete_any(office: tuple[Room, Unprivileged]) -> None:
    room, box = office
    attacker = TakenOver(box)
    macs = [MacAddress(0x525400790100 + number) for number in range(MOST_KEPT + 3)]
    for mac in macs:
        room.state(mac).mkdir()
        (room.state(mac) / "client_state.xml").write_text(WORK)
        os.utime(room.state(mac), (LONG_AGO, LONG_AGO))
        os.chown(room.state(mac), 731, 731)
    answers = [attacker.wants(mac) for mac in macs]
    assert [bool(each.done) for each in answers] == [True] * MOST_KEPT + [False] * 3
    assert f"work of {MOST_KEPT} PCs is set aside already" in answers[-1].error
    everywhere = (room.data / "state").glob("*/client_state.xml")
    found = [path for path in everywhere if "5254007901" in str(path)]
    assert len(found) == len(macs)
    assert {path.read_text() for path in found} == {WORK}
    assert "no work was kept for 7 days" in box.verb("clients", "purge").stdout
    # Root's journal names each.
    log = Path(room.logs / "work.log").read_text()
    assert all(f"the page had the work of {mac} set aside" in log for mac in macs[:MOST_KEPT])
