"""Which release each PC boots, by what its boots came to: real registry, journal and scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.boot.choices import release_of_loaders
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.images import rollout_table
from appliance.images.release_choice import ReleaseChoice
from appliance.images.rollout import Ending, Proof, end
from image import release
from services.decision import Ignore, Reason
from services.dhcp.plan import BootPlan
from services.dhcp.pxe_rules import BootRequest
from services.ethernet import MacAddress, MacRange
from services.events import Discovered, Reported, TransferServed
from services.menus.menu import Dialect
from tests.unit.appliance.server.test_boot_scripts import ADDRESS, NEW, OLD, PC, PEER, Running
from tests.unit.image.test_release import publish

OTHER = MacAddress.parse("52:54:00:aa:bb:02")
NEXT = "20261201-090000-cccccccc"


class Room(Running):
    """The box of the boot scripts' tests, with a second PC and a third release, which is not active."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.registry.allow([Entry(MacRange(OTHER, OTHER), "room 12")])
        publish(data / "images", NEXT)
        self.releases: tuple[str, ...] = (OLD, NEW, NEXT)
        self.see()

    def see(self) -> None:
        """What the server does after somebody's edit."""
        self.box.refresh_release()
        self.box.refresh_allowlist()

    def canary(self, *macs: MacAddress) -> None:
        ranges = [MacRange(mac, mac) for mac in macs]
        with self.registry.edit():
            rollout_table.begin(self.registry, NEXT, NEW, "some", ranges, Proof(3600.0), self.now)
        self.see()

    def boots(self, mac: MacAddress = PC) -> str:
        """A power-on until the kernel is loaded: the release of it."""
        self.now += 300
        self.box.emit(Discovered(mac, 0, ipxe=False, xid=int(self.now), secs=0))
        script = self.scripts.ipxe(ADDRESS, mac, PEER)
        assert isinstance(script, str)
        (found,) = {each for each in self.releases if f"image/{each}/vmlinuz" in script}
        self.box.emit(TransferServed(mac, "http", f"image/{found}/vmlinuz", 8_000_000, 1.0))
        self.journal.flush()
        return found

    def computes(self, mac: MacAddress = PC) -> str:
        found = self.boots(mac)
        for stage in ("initrd", "root-mounted", "reported", "attached", "computing"):
            self.box.emit(Reported(mac, stage))
        self.journal.flush()
        return found

    def fails(self, mac: MacAddress = PC) -> str:
        found = self.boots(mac)
        self.box.emit(Reported(mac, "failed", {"reason": "no live system"}))
        self.journal.flush()
        return found

    def hear(self, mac: MacAddress, state_directory: str = "ok") -> None:
        with self.registry.transaction():
            beat = StoredHeartbeat(mac, 1, self.now, {"state_directory": state_directory}, "{}")
            store.write(self.registry, [beat])


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    running = Room(tmp_path)
    yield running
    running.registry.close()


def test_the_pcs_of_a_canary_get_it_and_the_others_the_active_one(room: Room) -> None:
    room.canary(PC)
    assert (room.boots(PC), room.boots(OTHER)) == (NEXT, NEW)
    boot = room.journal.boot(PC)
    assert boot
    assert boot.release == NEXT


def test_grub_and_pxelinux_get_it_too(room: Room) -> None:
    room.canary(PC)
    room.boots()
    for dialect in (Dialect.GRUB, Dialect.PXELINUX):
        script = room.scripts.loader(ADDRESS, dialect, PC, PEER)
        assert isinstance(script, str)
        assert (NEXT in script, NEW in script) == (True, False)


def test_the_entry_previous_of_such_a_pc_is_the_active_release(room: Room) -> None:
    room.configure('[menu]\nentries = ["boinc", "previous"]\ntimeout = 5\n')
    room.canary(PC)
    script = room.power_on()
    assert f"previous image {NEW}" in script
    assert f"(image {NEXT})" in script
    assert OLD not in script


def test_with_the_end_of_the_canary_its_pcs_get_the_active_one_and_the_one_that_decided_it_says_so(room: Room) -> None:
    room.canary(PC)
    room.boots()
    canary = rollout_table.open_canary(room.registry)
    assert canary
    rollout_table.keep(room.registry, end(canary, Ending.ROLLED_BACK, "it failed", room.now, PC))
    room.see()
    room.journal.flush()
    boot = room.journal.boot(PC)
    assert boot
    assert [kind for _, kind, _ in room.registry.events(boot.id)][-1] == "CanaryEnded"
    assert room.boots() == NEW


def test_a_canary_is_over_in_the_moment_in_which_another_release_is_activated(room: Room) -> None:
    room.canary(PC)
    release.activate(room.data / "images", OLD)
    room.box.refresh_release()
    assert room.boots() == OLD


def test_a_broken_canary_is_given_to_nobody(room: Room) -> None:
    room.canary(PC)
    kernel = room.data / "images" / NEXT / "vmlinuz"
    content = kernel.read_bytes()
    kernel.write_bytes(content[:-1])
    room.box.follow_release(1e6)
    assert room.boots() == NEW
    kernel.write_bytes(content)
    room.box.follow_release(2e6)
    assert room.boots() == NEXT


def test_a_server_that_was_restarted_knows_the_canary(room: Room) -> None:
    room.canary(PC)
    images = room.data / "images"
    assert ReleaseChoice(room.registry, images).of(PC, NEW) == NEXT


def activate_next(room: Room) -> None:
    assert room.computes() == NEW
    release.activate(room.data / "images", NEXT)
    room.see()


def test_a_pc_that_failed_twice_gets_the_previous_release(room: Room) -> None:
    activate_next(room)
    assert [room.fails(), room.fails(), room.boots()] == [NEXT, NEXT, NEW]
    boot = room.journal.boot(PC)
    assert boot
    assert boot.release == NEW
    assert "WentBack" in [kind for _, kind, _ in room.registry.events(boot.id)]
    (fallback,) = rollout_table.fallbacks(room.registry).values()
    assert (fallback.failed, fallback.release, fallback.why) == (NEXT, NEW, "no live system")
    # And it keeps it, but the others get what is active.
    assert (room.computes(), room.computes(), room.boots(OTHER)) == (NEW, NEW, NEXT)


def test_it_gets_the_next_release_that_is_activated_and_the_same_one_if_that_is_activated_again(room: Room) -> None:
    activate_next(room)
    assert [room.fails(), room.fails(), room.computes()] == [NEXT, NEXT, NEW]
    rollout_table.activated(room.registry, NEXT, room.now, ends=True)
    room.see()
    assert room.computes() == NEXT


def test_a_pc_of_a_canary_goes_back_to_the_active_release(room: Room) -> None:
    assert room.computes() == NEW
    room.canary(PC)
    assert [room.fails(), room.fails(), room.boots()] == [NEXT, NEXT, NEW]


def test_it_stays_with_the_new_one_if_the_one_before_is_gone(room: Room) -> None:
    activate_next(room)
    (room.data / "images" / NEW / "initrd.img").unlink()
    assert [room.fails(), room.fails(), room.boots()] == [NEXT, NEXT, NEXT]


def test_where_nobody_is_well_one_pc_tries_the_release_before_and_the_others_wait_for_it(room: Room) -> None:
    assert room.computes(OTHER) == NEW
    activate_next(room)
    assert [room.fails(), room.fails(), room.fails()] == [NEXT, NEXT, NEW]
    assert [room.fails(OTHER), room.fails(OTHER), room.fails(OTHER)] == [NEXT, NEXT, NEXT]
    room.hear(PC)
    assert room.boots(OTHER) == NEW


def test_it_is_not_the_release_if_a_pc_fails_with_the_one_before_as_well(room: Room) -> None:
    activate_next(room)
    assert [room.fails(), room.fails(), room.fails(), room.fails(), room.boots()] == [NEXT, NEXT, NEW, NEW, NEXT]
    assert rollout_table.fallbacks(room.registry) == {}


def test_pcs_whose_state_directory_stalls_do_not_show_that_the_box_is_well(room: Room) -> None:
    assert room.computes(OTHER) == NEW
    activate_next(room)
    assert [room.fails(), room.fails(), room.fails()] == [NEXT, NEXT, NEW]
    assert [room.fails(OTHER), room.fails(OTHER)] == [NEXT, NEXT]
    room.hear(PC, "stalled")
    assert room.fails(OTHER) == NEXT


def test_while_the_exports_are_not_in_force_nobody_goes_back(room: Room) -> None:
    activate_next(room)
    room.registry.set_server("exports", {"error": "no nfs-server", "backend": "", "why": ""})
    room.hear(OTHER)
    assert [room.fails(), room.fails(), room.boots()] == [NEXT, NEXT, NEXT]


def test_a_script_that_is_fetched_again_and_again_is_thought_about_once(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate_next(room)
    room.fails()
    room.fails()
    asked: list[float] = []
    monkeypatch.setattr(room.box.releases, "reconsider", lambda _boot, _active, now, _image: asked.append(now))
    room.boots()
    for _ in range(100):
        room.script()
    assert len(asked) == 1


LAB, LABS_NEXT = "20261202-090000-dddddddd", "20261203-090000-eeeeeeee"


def give_image(room: Room, *releases: str) -> None:
    """The second PC's range names the image lab, which has these releases; the last of them is active."""
    room.registry.change_allowed(
        MacRange(OTHER, OTHER), lambda known: Entry(known.range, known.label, BootSettings(image="lab"))
    )
    for each in releases:
        if not (room.data / "images" / each).exists():
            publish(room.data / "images", each, "lab")
        release.activate(room.data / "images", each)
    room.see()


def scripts_of(room: Room, mac: MacAddress) -> list[object]:
    """What the loaders of this PC get."""
    return [
        room.scripts.ipxe(ADDRESS, mac, PEER),
        room.scripts.autoexec(ADDRESS, mac),
        *(room.scripts.loader(ADDRESS, dialect, mac, PEER) for dialect in (Dialect.GRUB, Dialect.PXELINUX)),
    ]


def test_a_pc_whose_range_names_an_image_boots_that_one_or_nothing(room: Room) -> None:
    room.configure('[menu]\nentries = ["boinc", "previous"]\ntimeout = 5\n')
    give_image(room)
    assert scripts_of(room, OTHER) == [Ignore(Reason.NO_IMAGE_OF_RANGE)] * 4
    request = BootRequest(OTHER, (0,), ipxe=True)
    assert room.box.plan(ADDRESS, request) == Ignore(Reason.NO_IMAGE_OF_RANGE)
    assert all(isinstance(script, str) for script in scripts_of(room, PC))
    before = room.box.answer_inputs()
    give_image(room, LAB)
    assert room.box.answer_inputs() != before
    assert isinstance(room.box.plan(ADDRESS, request), BootPlan)
    script = room.scripts.ipxe(ADDRESS, OTHER, PEER)
    assert isinstance(script, str)
    assert f"(image {LAB})" in script
    assert "previous image" not in script, "the default image's previous release is not its own"
    give_image(room, LAB, LABS_NEXT)
    script = room.scripts.ipxe(ADDRESS, OTHER, PEER)
    assert isinstance(script, str)
    assert (f"(image {LABS_NEXT})" in script, f"previous image {LAB}" in script) == (True, True)
    assert NEW in room.power_on()


def test_a_broken_image_is_booted_by_nobody_and_the_others_boot(room: Room) -> None:
    give_image(room, LAB)
    (room.data / "images" / LAB / "vmlinuz").write_bytes(b"half")
    room.box.follow_release(1e6)
    assert scripts_of(room, OTHER) == [Ignore(Reason.NO_IMAGE_OF_RANGE)] * 4
    assert NEW in room.power_on()


def test_without_the_default_image_pcs_of_others_boot(room: Room) -> None:
    give_image(room, LAB)
    (room.data / "images" / "current").unlink()
    room.box.follow_release(1e6)
    assert scripts_of(room, PC) == [Ignore(Reason.NO_IMAGE)] * 4
    assert all(isinstance(script, str) for script in scripts_of(room, OTHER))
    assert release_of_loaders(room.box.active) == LAB


def test_a_canary_of_an_image_is_given_to_its_pcs_only(room: Room) -> None:
    give_image(room, LAB)
    publish(room.data / "images", LABS_NEXT, "lab")
    ranges = [MacRange(PC, OTHER)] if PC.value < OTHER.value else [MacRange(OTHER, PC)]
    with room.registry.edit():
        rollout_table.begin(room.registry, LABS_NEXT, LAB, "some", ranges, Proof(3600.0), room.now)
    room.see()
    assert (room.box.release_of(OTHER), room.box.release_of(PC)) == (LABS_NEXT, NEW)


def test_a_pc_goes_back_to_the_release_before_of_its_own_image(room: Room) -> None:
    give_image(room, LAB)
    room.releases = (*room.releases, LAB, LABS_NEXT)
    assert room.computes(OTHER) == LAB
    give_image(room, LAB, LABS_NEXT)
    room.fails(OTHER)
    room.fails(OTHER)
    assert room.boots(OTHER) == LAB
    allowlist = room.registry.allowlist()
    assert [each.mac for each in room.box.releases.gone_back(room.box.active, allowlist)] == [OTHER]
