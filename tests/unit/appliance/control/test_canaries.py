"""The judge of canaries, with a real registry and real releases: promoted, rolled back, and what gets in its way."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.config.file import Config, load
from appliance.control.canaries import CanaryJudge
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.images import rollout_table
from appliance.images.rollout import Canary, Ending, Proof, end
from appliance.journal.recorder import Journal
from appliance.registry.database import Registry
from appliance.view import trials
from appliance.view.trials import gather_rollout
from image import activation, release
from image.release import ReleaseError
from services.boinc.condition import Condition, Doing, ProjectCondition, to_json
from services.ethernet import MacAddress, MacRange
from services.events import Discovered, Event, Reported, ScriptServed, TransferServed
from tests.unit.image.test_release import publish

A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
OLD, NEW, OTHER = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d", "20261124-150102-1a2b3c4d"
BEGAN = 1_000_000.0


class JudgedRoom:
    """Two PCs, and a canary for them: `now` is the clock of all. The server runs."""

    def __init__(self, data: Path, proof: Proof) -> None:
        (data / "c.toml").write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{data}"\n')
        self.config: Config = load(data / "c.toml")
        for each in (OLD, NEW):
            publish(self.config.images, each)
        release.activate(self.config.images, OLD)
        self.now = BEGAN
        self.judge = CanaryJudge(lambda: self.config, lambda: self.now)
        self.registry = Registry(self.config.registry)
        self.registry.allow([Entry(MacRange(A, B), "room 12")])
        self.journal = Journal(self.registry, lambda: self.now, lambda *_: None)
        for mac in (A, B):
            self.boot(mac, release=OLD)
        with self.registry.edit():
            rollout_table.begin(self.registry, NEW, OLD, "room 12", [MacRange(A, B)], proof, self.now)

    def boot(self, mac: MacAddress, *stages: str, release: str = NEW) -> int:
        self.now += 60
        boot = self.journal.open_or_continue(Discovered(mac, 0, ipxe=False, xid=int(self.now), secs=0), release)
        events: list[Event] = [
            ScriptServed(mac),
            TransferServed(mac, "http", f"image/{release}/vmlinuz", 8_000_000, 1.0),
            *(Reported(mac, stage, {"reason": "no live system"} if stage == "failed" else {}) for stage in stages),
        ]
        for event in events:
            self.journal.record(event)
        self.journal.flush()
        return boot.id

    def heartbeat(self, mac: MacAddress, boot: int, succeeded: int) -> None:
        project = ProjectCondition("http://p/", "p", 7, 0.0, 0.0, succeeded, 0, False, False, 0, 0, 0.0)
        boinc = to_json(replace(Condition(), doing=Doing.COMPUTING, projects=(project,)))
        with self.registry.transaction():
            store.write(self.registry, [StoredHeartbeat(mac, boot, self.now, {}, boinc)])

    def looks(self, seconds: float = 5.0) -> Canary:
        """What is known of the canary after looks for so many seconds."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 60, until)
            self.judge.step()
        found = rollout_table.latest(self.registry)
        assert found
        return found

    @property
    def active(self) -> str | None:
        return release.active_id(self.config.images)


@pytest.fixture
def proof() -> Proof:
    return Proof(3600.0)


@pytest.fixture
def room(tmp_path: Path, proof: Proof, monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgedRoom]:
    # A process does not see its own lock.
    monkeypatch.setattr(trials, "holder", lambda _, name="server": 1 if name == "server" else None)
    made = JudgedRoom(tmp_path, proof)
    yield made
    made.registry.close()


def test_one_of_another_image_that_is_active_there_is_not_activated_again(
    room: JudgedRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, tried = "20261120-090000-eeeeeeee", "20261202-090000-ffffffff"
    for each in (before, tried):
        publish(room.config.images, each, "lab")
    release.activate(room.config.images, before)
    room.registry.allow([Entry(MacRange(A, B), "room 12", BootSettings(image="lab"))])
    canary = rollout_table.open_canary(room.registry)
    assert canary
    rollout_table.keep(room.registry, end(canary, Ending.CANCELLED, "by hand", room.now))
    with room.registry.edit():
        rollout_table.begin(room.registry, tried, before, "room 12", [MacRange(A, B)], Proof(3600.0), room.now)
    activated: list[str] = []

    def activate(images: Path, ident: str, ring: object) -> None:
        activated.append(ident)
        release.activate(images, ident)
        # The registry could not be written: the next look finds the canary still open.
        if len(activated) == 1:
            raise ReleaseError("the disk is full", "make room")

    monkeypatch.setattr(activation, "activate", activate)
    for mac in (A, B):
        room.boot(mac, "initrd", "root-mounted", "reported", "attached", "computing", release=tried)
    room.looks()
    assert room.looks().verdict is Ending.PROMOTED
    assert activated == [tried]
    assert release.active_ids(room.config.images) == {"boinc": OLD, "lab": tried}


def test_it_becomes_the_active_release_when_its_pcs_compute(room: JudgedRoom) -> None:
    assert room.looks(300).until is None
    room.boot(A, "initrd", "root-mounted", "reported", "attached", "computing")
    began = room.now
    assert (room.looks().until, room.active) == (began + 3600, OLD)
    boot = room.boot(B, "initrd", "root-mounted", "reported")
    room.heartbeat(B, boot, succeeded=0)
    promoted = room.looks()
    assert (promoted.verdict, promoted.reason) == (Ending.PROMOTED, "2 of 2 PCs that booted it came to computing")
    assert room.active == NEW
    assert release.previous(room.config.images) == release.read(room.config.images, OLD)


def test_it_is_taken_back_when_a_pc_failed_twice_and_the_disk_is_as_it_was(room: JudgedRoom) -> None:
    room.boot(A, "initrd", "failed")
    assert room.looks().verdict is Ending.OPEN
    room.boot(A, "initrd", "failed")
    edits = room.registry.changed()
    back = room.looks()
    assert (back.verdict, back.mac) == (Ending.ROLLED_BACK, A)
    assert back.reason == f"1 PC failed with it: room 12 ({A}): no live system"
    assert (edits, room.registry.changed()) == (True, True)
    assert (room.active, release.previous(room.config.images)) == (OLD, None)


def test_a_pc_that_came_back_to_the_active_release_has_failed(room: JudgedRoom) -> None:
    room.boot(A, "initrd")
    room.boot(A, "initrd")
    assert room.looks().verdict is Ending.OPEN
    room.boot(A, release=OLD)
    assert room.looks().verdict is Ending.ROLLED_BACK


def test_a_pc_that_hangs_is_explained_at_the_end_of_its_time(room: JudgedRoom) -> None:
    room.boot(A, "initrd", "root-mounted")
    room.boot(B, "initrd", "root-mounted", "reported", "attached", "computing")
    back = room.looks(3600 + 60)
    assert back.verdict is Ending.ROLLED_BACK
    assert "only 1 of 2 PCs that booted it came to computing within 60 min" in back.reason
    assert "mounted its root, and its live system never came up" in back.reason


@pytest.mark.parametrize("proof", [Proof(86400.0, tasks=1)])
def test_tasks_count_from_when_the_pc_was_first_heard_with_it(room: JudgedRoom) -> None:
    for mac in (A, B):
        boot = room.boot(mac, "initrd", "root-mounted", "reported", "attached", "computing")
        room.heartbeat(mac, boot, succeeded=41)
        assert room.looks(60).verdict is Ending.OPEN
        room.heartbeat(mac, boot, succeeded=42)
    done = room.looks(60)
    assert (done.verdict, room.active) == (Ending.PROMOTED, NEW)
    assert done.reason == "2 of 2 PCs that booted it came to computing, and returned 1 task"


def test_a_release_whose_files_are_damaged_is_taken_back(room: JudgedRoom) -> None:
    (room.config.images / NEW / "vmlinuz").unlink()
    back = room.looks()
    assert (back.verdict, room.active) == (Ending.ROLLED_BACK, OLD)
    assert f"the release {NEW} is broken: vmlinuz is missing" in back.reason


def test_another_release_that_is_activated_cancels_it(room: JudgedRoom) -> None:
    publish(room.config.images, OTHER)
    release.activate(room.config.images, OTHER)
    ended = room.looks()
    assert (ended.verdict, ended.reason) == (Ending.CANCELLED, f"another release was activated: {OTHER}")
    assert room.active == OTHER


def test_pcs_that_may_not_boot_any_more_do_not_count(room: JudgedRoom) -> None:
    room.boot(A, "initrd", "failed")
    room.boot(A, "initrd", "failed")
    room.registry.allow([Entry(MacRange(B, B), "room 12")])
    room.registry.disallow(MacRange(A, B))
    room.boot(B, "initrd", "root-mounted", "reported", "attached", "computing")
    assert room.looks().verdict is Ending.PROMOTED


def test_without_any_pc_that_may_boot_it_is_cancelled(room: JudgedRoom) -> None:
    room.registry.disallow(MacRange(A, B))
    ended = room.looks()
    assert (ended.verdict, ended.reason) == (Ending.CANCELLED, "none of its PCs may boot any more")


def test_while_the_exports_are_not_in_force_its_time_stands_still(room: JudgedRoom) -> None:
    room.boot(A, "initrd")
    until = room.looks().until
    assert until
    room.registry.set_server("exports", {"error": "no nfs-server", "backend": "", "why": ""})
    later = room.looks(7200)
    assert (later.verdict, later.until) == (Ending.OPEN, until + 7200)


def test_a_promotion_that_fails_is_tried_again_and_says_what_to_do(
    room: JudgedRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise release.ReleaseError("permission denied", "run as root (sudo)")

    for mac in (A, B):
        room.boot(mac, "initrd", "root-mounted", "reported", "attached", "computing")
    with monkeypatch.context() as patched:
        patched.setattr(release, "activate", refuse)
        waits = room.looks()
    assert (waits.verdict, room.active) == (Ending.OPEN, OLD)
    assert waits.reason.endswith("permission denied; do: sudo netboot-appliance image canary promote")
    assert (room.looks().verdict, room.active) == (Ending.PROMOTED, NEW)


def test_what_is_shown_meanwhile(room: JudgedRoom) -> None:
    room.boot(A, "initrd", "failed")
    room.boot(A, "initrd", "failed")
    room.boot(B, "initrd", "root-mounted", "reported", "attached", "computing")
    shown = gather_rollout(room.config, room.registry, room.now).canary
    assert shown
    assert [(pc.mac, pc.state, pc.boots) for pc in shown.pcs] == [(str(A), "failed", 2), (str(B), "proven", 1)]
    assert (shown.booted, shown.proven, shown.failed, shown.judged) == (2, 1, 1, False)
    assert shown.words(room.now) == (
        "for room 12: 2 booted it, 1 proven, 1 failed, its time has not begun; nobody judges it:"
        " netboot-appliance control does not run"
    )
