"""`image activate --canary` and `image canary` as their user types them."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.allowlist import Entry
from appliance.errors import UserError
from appliance.images import canary_choice, notes, rollout_table
from appliance.images.notes import BootTest
from appliance.images.rollout import Canary, Ending, Fallback, Proof
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, Client
from image import release
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, BoxWithReleases
from tests.unit.image.test_release import publish

NEXT = "20261201-090000-cccccccc"
PCS = tuple(MacAddress.parse(f"52:54:00:aa:bb:0{number}") for number in range(1, 5))


class BoxWithCanary(BoxWithReleases):
    """A third release that was never active, and two rooms of two PCs, which have booted one after another."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        publish(data / "images", NEXT)
        self.path = data / "registry" / "registry.sqlite3"
        with Registry(self.path) as registry:
            registry.allow([Entry(MacRange(PCS[0], PCS[1]), "Room 12"), Entry(MacRange(PCS[2], PCS[3]), "Room 13")])
            for number, mac in enumerate(PCS, 1):
                registry.register(Client(number, mac, 1000.0, "secret"))
                registry.open_boot(BootRow(number, mac, 1000.0 + number, "token", NEW, ""))

    @property
    def canary(self) -> Canary:
        with Registry(self.path) as registry:
            found = rollout_table.latest(registry)
        assert found
        return found


@pytest.fixture
def room(tmp_path: Path) -> BoxWithCanary:
    return BoxWithCanary(tmp_path)


def test_a_range_of_pcs_gets_it_and_all_others_keep_the_active_one(room: BoxWithCanary) -> None:
    said = room.run("image", "activate", NEXT, "--canary", str(PCS[0]), "--canary", "room 13", "--within", "2h")
    assert said == (
        f"canary: {NEXT} at the next boot of {PCS[0]}, {PCS[2]}-{PCS[3]}; all others boot {NEW}\n"
        "how it does: netboot-appliance image canary\n"
    )
    assert release.active_id(room.data / "images") == NEW
    assert (room.canary.ranges, room.canary.proof) == (
        (MacRange(PCS[0], PCS[0]), MacRange(PCS[2], PCS[3])),
        Proof(7200.0),
    )
    assert [line.split()[2] for line in room.run("image", "list").splitlines()[1:]][:2] == ["canary", "active"]


def test_one_of_each_label_is_the_one_that_was_heard_last(room: BoxWithCanary) -> None:
    room.run("image", "activate", NEXT, "--canary", "1-per-label", "--prove", "tasks=2", "--share", "90")
    assert room.canary.ranges == (MacRange(PCS[1], PCS[1]), MacRange(PCS[3], PCS[3]))
    assert room.canary.proof == Proof(86400.0, 90, 2)


def test_one_of_each_label_may_be_written_as_words(room: BoxWithCanary) -> None:
    room.run("image", "activate", NEXT, "--canary", "1 per label")
    assert room.canary.ranges == (MacRange(PCS[1], PCS[1]), MacRange(PCS[3], PCS[3]))


def test_what_is_set_apart_and_tested_is_not_pruned_before_it_is_in_force(room: BoxWithCanary) -> None:
    """`image update` was stopped between its stages: its release is the newest one."""
    notes.keep_test(room.data / "images", NEXT, BootTest(1000.0, "", "uefi", "tcg", (), "/log"))
    said = json.loads(room.run("image", "prune", "--keep", "1", "--json"))
    assert {each["id"]: each["why"] for each in said["kept"]} == {
        NEXT: ["among the 1 newest"],
        NEW: ["active"],
        OLD: ["previous"],
    }
    assert notes.test_of(room.data / "images", NEXT) is not None


def test_it_is_shown_while_it_is_open_and_after_that(room: BoxWithCanary) -> None:
    room.run("image", "activate", NEXT, "--canary", "Room 12")
    said = room.run("image", "canary")
    assert f"release  {NEXT}\nstate    waiting\nfor      Room 12; all others boot {NEW}\n" in said
    assert "so far   0 booted it, 0 proven, 0 failed\njudged   by nobody" in said
    found = json.loads(room.run("image", "canary", "--json"))
    assert (found["canary"]["release"], found["canary"]["state"], found["gone_back"]) == (NEXT, "waiting", [])
    assert room.run("image", "canary", "cancel") == f"the canary {NEXT} has ended; its PCs boot {NEW}\n"
    assert (room.canary.verdict, room.canary.reason) == (Ending.CANCELLED, "by hand")
    assert room.status()["rollout"]["canary"]["state"] == "cancelled"  # type: ignore[index]


def test_by_hand_it_becomes_the_active_release_at_once(room: BoxWithCanary) -> None:
    room.run("image", "activate", NEXT, "--canary", "Room 12")
    said = room.run("image", "canary", "promote")
    assert said == f"the canary {NEXT} has ended: promoted, it was activated by hand\nactive: {NEXT}\n"
    assert release.active_id(room.data / "images") == NEXT


@pytest.mark.parametrize("arguments", [("activate", OLD), ("rollback",)])
def test_another_release_that_is_activated_ends_it(room: BoxWithCanary, arguments: tuple[str, ...]) -> None:
    room.run("image", "activate", NEXT, "--canary", "Room 12")
    said = room.run("image", *arguments)
    assert said == f"the canary {NEXT} has ended: cancelled, another release was activated: {OLD}\nactive: {OLD}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((NEW, "--canary", "Room 12"), "is the active release already"),
        (("20201201-090000-cccccccc", "--canary", "Room 12"), "there is no release"),
        ((NEXT, "--canary", "Room 14"), "is no label, and no MAC address or range"),
        ((NEXT, "--canary", "02:00:00:00:00:01"), "nobody in 02:00:00:00:00:01 may boot"),
        ((NEXT, "--canary", "Room 12", "--within", "2 hours"), "is no time from 1m to 30d"),
        ((NEXT, "--canary", "Room 12", "--within", "31d"), "is no time from 1m to 30d"),
        ((NEXT, "--canary", "Room 12", "--prove", "credit=1"), "--prove 'credit=1' is not known"),
        ((NEXT, "--within", "2h"), "--within, --share and --prove are for --canary"),
    ],
)
def test_what_cannot_be_begun_changes_nothing(room: BoxWithCanary, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        room.run("image", "activate", *arguments)
    with Registry(room.path) as registry:
        assert rollout_table.latest(registry) is None


def test_one_at_a_time(room: BoxWithCanary) -> None:
    room.run("image", "activate", NEXT, "--canary", "Room 12")
    with pytest.raises(UserError, match="is a canary already, and only one can be"):
        room.run("image", "activate", OLD, "--canary", "Room 13")
    assert room.canary.release == NEXT
    room.run("image", "canary", "cancel")
    for verb in ("cancel", "promote"):
        with pytest.raises(UserError, match="no canary is open"):
            room.run("image", "canary", verb)


def test_a_canary_is_not_pruned_nor_what_a_pc_went_back_to(room: BoxWithCanary) -> None:
    newer = [f"2026120{day}-090000-dddddddd" for day in (2, 3)]
    for each in newer:
        publish(room.data / "images", each)
    release.activate(room.data / "images", newer[1])
    release.activate(room.data / "images", newer[0])
    room.run("image", "activate", NEXT, "--canary", "Room 12")
    with Registry(room.path) as registry:
        rollout_table.go_back(registry, Fallback(PCS[0], NEW, OLD, 1000.0, "it hung"))
    said = json.loads(room.run("image", "prune", "--keep", "1", "--json"))
    why = {each["id"]: each["why"] for each in said["kept"]}
    assert why[NEXT] == why[OLD] == ["a canary, or a PC that went back, needs it"]
    assert [each["id"] for each in said["deleted"]] == [NEW]


def test_a_pc_that_went_back_is_shown_and_can_be_told_to_try_again(room: BoxWithCanary) -> None:
    with Registry(room.path) as registry:
        rollout_table.go_back(registry, Fallback(PCS[0], NEW, OLD, 1000.0, "it hung"))
    (back,) = room.status()["rollout"]["gone_back"]  # type: ignore[index]
    assert (back["mac"], back["release"], back["why"]) == (str(PCS[0]), OLD, "it hung")
    words = f"boots {OLD} since it failed twice with {NEW}: it hung"
    assert words in room.run("clients", "show", str(PCS[0]))
    assert f"BOINC (image {OLD})" in room.run("menu", "show", "--for", str(PCS[0]))
    assert f"BOINC (image {NEW})" in room.run("menu", "show", "--for", str(PCS[1]))
    assert room.run("boot", "next", str(PCS[0]), "--clear") == f"{PCS[0]} boots normally\n"
    assert f"BOINC (image {NEW})" in room.run("menu", "show", "--for", str(PCS[0]))


def test_a_canary_is_for_pcs_that_boot_its_image(room: BoxWithCanary) -> None:
    images, new = room.data / "images", "20261203-090000-eeeeeeee"
    lab = "20261202-090000-dddddddd"
    for each in (lab, new):
        publish(images, each, "lab")
    with pytest.raises(UserError, match="no release is active, so there is nothing to go back to"):
        room.run("image", "activate", new, "--canary", "Room 13")
    room.run("image", "activate", lab)
    room.run("allow", "set", f"{PCS[2]}-{PCS[3]}", "--image", "lab")
    for who, words in (("Room 12", "no PC of Room 12 boots the image lab"), (str(PCS[0]), "boots the image lab")):
        with pytest.raises(UserError, match=words):
            room.run("image", "activate", new, "--canary", who)
    said = room.run("image", "activate", new, "--canary", "1-per-label")
    assert said.startswith(f"canary: {new} at the next boot of {PCS[3]}; all others boot {lab}\n")
    # Another image has its own releases.
    assert room.run("image", "activate", OLD) == f"active: {OLD}\n"
    assert room.canary.verdict is Ending.OPEN
    said = room.run("image", "activate", lab)
    assert said == f"the canary {new} has ended: cancelled, another release was activated: {lab}\nactive: {lab}\n"


def test_two_that_begin_at_once_are_one(room: BoxWithCanary, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = canary_choice.choose

    def chosen_late(*arguments: Any) -> list[MacRange]:
        with Registry(room.path) as other, other.edit():
            rollout_table.begin(other, OLD, NEW, "at the page", [MacRange(PCS[3], PCS[3])], Proof(3600.0), 2000.0)
        return choose(*arguments)

    monkeypatch.setattr(canary_choice, "choose", chosen_late)
    with pytest.raises(UserError, match=f"{OLD} is a canary already"):
        room.run("image", "activate", NEXT, "--canary", "room 12")
    assert room.canary.release == OLD
