"""Canaries as a story: `serve`, the control process that judges, and two scripted PCs. Each test goes on from there."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.registry.database import Registry
from image.release import active_id
from services.decision import Reason
from services.ethernet import MacAddress
from services.linux import volumes
from tests.fakes.dhcp_client import firmware
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.processes import wait_until
from tests.room.room import Room

# Nobody answers there: what counts is that it was told.
NOTIFY = '[notify]\naddresses = ["json://10.77.0.250/"]\n'
TO_COMPUTING = ("initrd", "root-mounted", "reported", "attached", "computing")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("canary"), settings=NOTIFY, page=True) as room:
        install_release(room.data / "images")
        room.appliance("allow", "add", "52:54:00:78:00:*", "--label", "room 12")
        room.start_box()
        yield room


@pytest.fixture
def box(room: Room) -> Iterator[Box]:
    box = Box(room.box, room.configuration, room.data, room.logs / "serve.log")
    box.process = room.serve
    since = box.mark()
    yield box
    assert box.complaints(since) == []


@pytest.fixture(scope="module")
def canary(room: Room) -> Iterator[ScriptedPc]:
    with ScriptedPc(room.network, MacAddress.parse("52:54:00:78:00:01"), "canary1") as pc:
        yield pc


@pytest.fixture(scope="module")
def other(room: Room) -> Iterator[ScriptedPc]:
    with ScriptedPc(room.network, MacAddress.parse("52:54:00:78:00:02"), "canary2") as pc:
        yield pc


async def boot(pc: ScriptedPc, *stages: str) -> str:
    """Boot until the live system has reported these stages: the release that the PC loaded."""
    await pc.power_on(firmware(7))
    script = await pc.run_ipxe(7)
    pc.load_image(script)
    for stage in stages:
        details = {"reason": "no live system"} if stage == "failed" else {}
        assert pc.report(script.token, stage, **details) == 204
    return script.kernel.split("/")[-2]


def shown(box: Box) -> Any:
    """What `image canary --json` says of the canary."""
    return json.loads(box.verb("image", "canary", "--json", check=False).stdout)["canary"]


def await_end(box: Box, state: str) -> Any:
    wait_until(lambda: shown(box)["state"] not in ("waiting", "on trial"), TIMEOUT, "the canary to end", 0.5)
    found = shown(box)
    assert found["state"] == state
    return found


def told(box: Box) -> list[str]:
    """The titles of the notices of canaries."""
    with Registry(box.data / "registry" / "registry.sqlite3") as registry:
        rows = registry.sql.execute("SELECT title FROM notices WHERE rule = 'canary' ORDER BY id")
        return [title for (title,) in rows]


def inactive_release(box: Box) -> str:
    """Another release, which is not active."""
    # When the first PC may mount them, the releases move into a file system of their own.
    wait_until(lambda: str(box.data / "images") in volumes.mounts(), TIMEOUT, "the releases to have moved", 0.2)
    made = install_release(box.data / "images")
    box.verb("image", "rollback")
    return made.id


def active(box: Box) -> str:
    found = active_id(box.data / "images")
    assert found
    return found


async def refusal(box: Box, pc: ScriptedPc) -> str:
    """Why the box does not answer this PC, which asks until it is refused: an edit is seen within a second."""
    pc.use("")
    for _ in range(int(TIMEOUT)):
        with pc.nic() as nic:
            await pc.discover(nic, firmware(7), alone=True)
        with Registry(box.data / "registry" / "registry.sqlite3") as registry:
            found = [row.reason for row in registry.ignored() if row.client == str(pc.mac)]
        if found:
            return found[0]
        await asyncio.sleep(1.0)
    raise AssertionError("it was not refused")


async def test_a_canary_that_fails_is_taken_back_by_itself(box: Box, canary: ScriptedPc, other: ScriptedPc) -> None:
    good = active(box)
    for pc in (canary, other):
        assert await boot(pc, *TO_COMPUTING) == good
    bad = inactive_release(box)
    # What the rules see first is known, and never told.
    with Registry(box.data / "registry" / "registry.sqlite3") as registry:
        looked = "SELECT 1 FROM notice_rules WHERE rule = 'canary'"
        wait_until(lambda: bool(registry.sql.execute(looked).fetchone()), TIMEOUT, "the first look of the rules", 0.2)
    box.verb("image", "activate", bad, "--canary", str(canary.mac))
    wait_until(lambda: box.verb("menu", "show", "--for", str(canary.mac)).stdout.count(bad) > 0, TIMEOUT, "the menu")
    assert (await boot(canary, "initrd", "failed"), await boot(other, *TO_COMPUTING)) == (bad, good)
    assert await boot(canary, "initrd", "failed") == bad
    found = await_end(box, "rolled back")
    assert found["reason"] == f"1 PC failed with it: room 12 ({canary.mac}): no live system"
    assert await boot(canary, *TO_COMPUTING) == good
    assert active(box) == good
    (event,) = json.loads(box.verb("events", "--kind", "CanaryEnded", "--json").stdout)
    assert (event["mac"], event["details"]["verdict"]) == (str(canary.mac), "rolled back")
    wait_until(lambda: len(told(box)) == 1, TIMEOUT, "the notice", 0.2)
    assert told(box)[0].endswith(f"Canary image {bad} was rolled back: its PCs boot the active one again")
    assert f"canary    {bad} rolled back" in box.verb("status").stdout


async def test_a_canary_that_computes_becomes_the_active_release(
    box: Box, canary: ScriptedPc, other: ScriptedPc
) -> None:
    before, new = active(box), inactive_release(box)
    box.verb("image", "activate", new, "--canary", str(canary.mac), "--within", "30m")
    # A restart of the server changes nothing.
    assert box.process
    box.process.stop(TIMEOUT)
    box.start()
    assert (await boot(canary, "initrd"), await boot(other, *TO_COMPUTING)) == (new, before)
    assert await boot(canary, *TO_COMPUTING) == new
    found = await_end(box, "promoted")
    assert (found["reason"], active(box)) == ("1 of 1 PC that booted it came to computing", new)
    assert await boot(other, "initrd", "failed") == new
    wait_until(lambda: len(told(box)) == 2, TIMEOUT, "the notice", 0.2)
    assert told(box)[1].endswith(f"Canary image {new} was promoted: all PCs of its image boot it now")


async def test_a_pc_that_failed_twice_with_what_others_compute_with_goes_back(
    box: Box, canary: ScriptedPc, other: ScriptedPc
) -> None:
    new = active(box)
    assert await boot(other, "initrd", "failed") == new
    before = await boot(other, *TO_COMPUTING)
    assert before != new
    assert f"went back {other.mac} boots {before} since it failed twice with {new}" in box.verb("status").stdout
    assert (await boot(other, *TO_COMPUTING), await boot(canary, *TO_COMPUTING)) == (before, new)
    box.verb("boot", "next", str(other.mac), "--clear")
    wait_until(lambda: new in box.verb("menu", "show", "--for", str(other.mac)).stdout, TIMEOUT, "the menu")
    assert await boot(other, *TO_COMPUTING) == new


async def test_a_pc_boots_the_image_of_its_range_or_nothing(box: Box, canary: ScriptedPc, other: ScriptedPc) -> None:
    default, mac = active(box), str(other.mac)
    # Nobody has built it: the directory makes it an image.
    (box.configuration.parent / "images" / "lab").mkdir(parents=True, exist_ok=True)
    warned = box.verb("allow", "add", mac, "--image", "lab")
    assert "warning: the image lab has no active release, so its PCs boot nothing" in warned.stderr
    assert await refusal(box, other) == Reason.NO_IMAGE_OF_RANGE.value
    assert "lab: PCS BOOT NOTHING: it was never built; for 1 entry of the allowlist" in box.verb("status").stdout
    assert await boot(canary, *TO_COMPUTING) == default
    lab = install_release(box.data / "images", image="lab").id
    wait_until(lambda: lab in box.verb("menu", "show", "--for", mac).stdout, TIMEOUT, "the menu")
    assert (await boot(other, *TO_COMPUTING), await boot(canary, *TO_COMPUTING)) == (lab, default)
    assert active(box) == default
    box.verb("allow", "set", mac, "--image", "")
    wait_until(lambda: default in box.verb("menu", "show", "--for", mac).stdout, TIMEOUT, "the menu")
    assert await boot(other, *TO_COMPUTING) == default
    # It may still be running the other one.
    assert f"{lab} " in box.verb("image", "prune", "--dry-run").stdout
