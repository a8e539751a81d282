"""Which release each PC boots, by what its boots came to: real registry, journal and scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.images import rollout_table
from appliance.images.release_choice import ReleaseChoice
from appliance.images.rollout import Ending, Proof, end
from image import release
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
        (found,) = {each for each in (OLD, NEW, NEXT) if f"image/{each}/vmlinuz" in script}
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
    monkeypatch.setattr(room.box.releases, "reconsider", lambda _boot, _active, now: asked.append(now))
    room.boots()
    for _ in range(100):
        room.script()
    assert len(asked) == 1
