"""`image update` as the timer runs it: which stages it goes through, where it stops, and how it goes on.

Archive, build and emulated PC are given; each has tests of its own.
"""

import json
import time
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from appliance.allowlist import BootSettings, Entry
from appliance.cli import image_update
from appliance.cli.main import app
from appliance.images import emulated_boot, notes, rollout_table, update_check
from appliance.images.notes import BootTest, UpdateCheck
from appliance.images.requested_build import BuildResult
from appliance.images.rollout import Ending, Proof, end
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, Client
from image import release
from image.build import Rebuild
from image.progress import BuildError, Progress
from image.release import Release
from image.updates import PackageUpdate
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, BoxWithReleases
from tests.unit.image.test_release import publish

NEXT, LATER = "20261201-090000-cccccccc", "20261208-090000-dddddddd"
LAB, LAB_NEXT = "20261120-090000-eeeeeeee", "20261202-090000-ffffffff"
PC, LAB_PC = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
UPDATE = PackageUpdate("openssl", "1", "2", security=True)


class GivenBuild:
    """What makes the archive's next release of an image, or takes it if it is there."""

    def __init__(self, archive: "Archive", image: str) -> None:
        self.archive, self.image = archive, image
        self.joins = False

    def run(self, report: Callable[[Progress], None]) -> list[BuildResult]:
        self.archive.asked.append("build")
        report(Progress("packages", 4, "installing", 1.0))
        if self.archive.build_fails or self.image in self.archive.failing:
            raise BuildError("packages", "the build failed in the stage packages: x", "see the log")
        images, ident = self.archive.data / "images", LAB_NEXT if self.image == "lab" else self.archive.next
        made = release.read(images, ident) if (images / ident).exists() else publish(images, ident, self.image)
        return [BuildResult(made, unchanged=False)]


class JoinedBuild(GivenBuild):
    """Somebody else's build, of another image or of all: it makes what it builds the active release."""

    def __init__(self, archive: "Archive", *made: str) -> None:
        super().__init__(archive, "")
        self.joins, self.made = True, made

    def run(self, report: Callable[[Progress], None]) -> list[BuildResult]:
        self.archive.asked.append("join")
        if not self.made:
            raise BuildError("packages", "somebody else's build failed", "see the log")
        return [BuildResult(release.activate(self.archive.data / "images", each), False) for each in self.made]


class Archive(BoxWithReleases):
    """A box whose releases but the newest possible one, NEXT, have updates, and what it asked of the others."""

    def __init__(self, box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = box.data
        self.asked: list[str] = []
        self.build_fails = False
        self.failing: set[str] = set()
        self.test_fails = ""
        self.current: set[str] = {NEXT, LATER, LAB_NEXT}
        self.next = NEXT
        self.joined: list[JoinedBuild] = []
        self.since: list[float] = []
        self.registry = self.data / "registry" / "registry.sqlite3"
        with Registry(self.registry) as registry:
            registry.allow([Entry(MacRange(PC, PC), "room 12")])
            registry.register(Client(1, PC, 1000.0, "secret"))
            registry.open_boot(BootRow(1, PC, 1000.0, "token", NEW, ""))
        monkeypatch.setattr(image_update, "outdated", lambda *_: "")
        monkeypatch.setattr(image_update, "request", self.request)
        monkeypatch.setattr(update_check, "check", self.check)
        monkeypatch.setattr(emulated_boot, "boot", self.boot)
        monkeypatch.setattr(emulated_boot, "has_qemu", lambda: True)

    def check(self, config: object, found: Release) -> UpdateCheck:
        self.asked.append(f"check {found.id}")
        return UpdateCheck(time.time(), () if found.id in self.current else (UPDATE,))

    def request(
        self, config: object, path: object, rebuild: Rebuild, *, inside_unit: bool, names: tuple[str, ...], since: float
    ) -> "GivenBuild":
        self.since.append(since)
        assert (rebuild, inside_unit) == (Rebuild.APART, False)
        (image,) = names
        return self.joined.pop() if self.joined else GivenBuild(self, image)

    def boot(
        self, config: object, found: Release, heard: Callable[[str, float], None]
    ) -> tuple[BootTest, tuple[str, ...]]:
        self.asked.append(f"test {found.id}")
        heard("script", 2.0)
        done = BootTest(time.time(), self.test_fails, "uefi", "tcg", (("reported", 60.0),), "/log")
        notes.keep_test(self.data / "images", found.id, done)
        return done, ("panic",)

    def update(self, *arguments: str) -> Result:
        self.asked.clear()
        return CliRunner().invoke(app, ["--config", str(self.data / "c.toml"), "image", "update", *arguments])

    @property
    def active(self) -> str | None:
        return release.active_id(self.data / "images")


@pytest.fixture
def archive(box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch) -> Archive:
    return Archive(box, monkeypatch)


def test_without_updates_nothing_is_built(archive: Archive) -> None:
    archive.current.add(NEW)
    done = archive.update()
    assert (done.exit_code, archive.asked, archive.active) == (0, [f"check {NEW}"], NEW)
    assert done.stdout.endswith("nothing to update\n")
    run = notes.latest_run(archive.data / "images")
    assert run
    assert (run.failed, run.stage) == (False, "check")


def test_an_image_of_another_recipe_is_built_without_looking(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_update, "outdated", lambda *_: "[image] kernel is another")
    assert archive.update().exit_code == 0
    assert (archive.asked, archive.active) == (["build"], NEXT)


def test_as_it_comes_updates_are_built_and_activated(archive: Archive) -> None:
    done = archive.update()
    assert (done.exit_code, archive.active) == (0, NEXT)
    assert archive.asked == [f"check {NEW}", "build"]
    said = [line.split("s  ", 1)[-1] for line in done.stdout.splitlines()]
    assert said == [
        f"check: {NEW}: 1 update, 1 of security; checked just now",
        "build: packages: installing",
        f"build: made {NEXT}",
        f"active: {NEXT}",
    ]


def test_a_release_that_fails_its_test_goes_to_no_pc_and_is_tested_again_the_next_time(archive: Archive) -> None:
    archive.configure("[image]\ntest = true\n")
    archive.test_fails = "it did not come up within 900 s"
    done = archive.update()
    assert (done.exit_code, archive.active) == (1, NEW)
    assert str(done.exception).startswith(f"stopped at the stage test: the test of {NEXT} failed: it did not come up")
    assert "panic" in done.stderr
    run = notes.latest_run(archive.data / "images")
    assert run
    assert (run.stage, run.release, run.failed) == ("test", NEXT, True)
    assert ["failed" in line for line in archive.run("image", "list").splitlines()[1:]] == [True, False, False]
    archive.test_fails = ""
    assert archive.update().exit_code == 0
    # It is there, and up to date: nothing is built again.
    assert archive.asked == [f"check {NEW}", f"check {NEXT}", f"test {NEXT}"]
    assert archive.active == NEXT


def test_without_qemu_it_goes_on_and_says_so(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.configure("[image]\ntest = true\n")
    monkeypatch.setattr(emulated_boot, "has_qemu", lambda: False)
    done = archive.update()
    assert "test: not tested: QEMU is not installed; sudo apt install qemu-system-x86 ovmf\n" in done.stdout
    assert (done.exit_code, archive.active) == (0, NEXT)


def test_some_pcs_get_it_first_and_only_a_person_tries_again_what_they_refused(archive: Archive) -> None:
    archive.configure('[image]\ntest = true\ncanary = "1 per label"\n')
    done = archive.update()
    assert (done.exit_code, archive.active) == (0, NEW)
    with Registry(archive.registry) as registry:
        canary = rollout_table.open_canary(registry)
        assert canary
        assert (canary.release, canary.ranges) == (NEXT, (MacRange(PC, PC),))
    # Stopped after that, or run again while it lasts: neither tested nor begun again.
    done = archive.update()
    assert (done.exit_code, archive.asked) == (0, [f"check {NEW}", f"check {NEXT}"])
    assert f"{NEXT} is a canary already" in done.stdout
    with Registry(archive.registry) as registry:
        rollout_table.keep(registry, end(canary, Ending.ROLLED_BACK, "1 PC failed with it", 2000.0))
    done = archive.update()
    assert (done.exit_code, archive.active) == (1, NEW)
    assert "is not tried again: its canary was rolled back: 1 PC failed with it" in str(done.exception)


@pytest.mark.parametrize("until", [None, 5000.0])
def test_a_canary_that_nobody_boots_gives_way(archive: Archive, until: float | None) -> None:
    archive.configure('[image]\ncanary = "room 12"\n')
    archive.update()
    archive.current, archive.next = {LATER}, LATER
    with Registry(archive.registry) as registry, registry.edit():
        registry.sql.execute("UPDATE canaries SET until = ?", (until,))
    done = archive.update()
    with Registry(archive.registry) as registry:
        canary = rollout_table.open_canary(registry)
    assert canary
    assert (canary.release, done.exit_code) == ((LATER, 0) if until is None else (NEXT, 1))


def test_a_canary_that_somebody_cancels_is_not_begun_again(archive: Archive) -> None:
    archive.configure('[image]\ncanary = "room 12"\n')
    archive.update()
    archive.run("image", "canary", "cancel")
    done = archive.update()
    assert (done.exit_code, archive.active) == (1, NEW)
    assert f"{NEXT} is not tried again: somebody cancelled its canary" in str(done.exception)


def test_a_canary_for_nobody_stops_it(archive: Archive) -> None:
    archive.configure('[image]\ncanary = "room 13"\n')
    done = archive.update()
    assert (done.exit_code, archive.active) == (1, NEW)
    assert "stopped at the stage canary: 'room 13' is no label" in str(done.exception)


def test_what_somebody_went_back_from_is_not_activated_again(archive: Archive) -> None:
    archive.update()
    archive.run("image", "rollback")
    done = archive.update()
    assert (done.exit_code, archive.active) == (1, NEW)
    assert f"somebody went back from it to {NEW}" in str(done.exception)
    archive.current, archive.next = {LATER}, LATER
    assert archive.update().exit_code == 0
    assert archive.active == LATER


def test_a_build_that_fails_changes_nothing(archive: Archive) -> None:
    archive.build_fails = True
    done = archive.update("--json")
    assert (done.exit_code, archive.active) == (1, NEW)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["stage"], line["result"]) for line in lines] == [("check", ""), ("build", ""), ("build", "failed")]
    assert (lines[-1]["words"], lines[-1]["hint"]) == ("the build failed in the stage packages: x", "see the log")


def test_for_scripts_each_step_is_a_line_and_nothing_else_is(archive: Archive) -> None:
    archive.configure('[image]\ntest = true\ncanary = "room 12"\n')
    lines = [json.loads(line) for line in archive.update("--json").stdout.splitlines()]
    stages = list(dict.fromkeys(line["stage"] for line in lines))
    assert (stages, lines[-1]["result"], lines[-1]["release"]) == (["check", "build", "test", "canary"], "done", NEXT)


def test_a_box_without_any_image_gets_its_first_one_for_all(archive: Archive) -> None:
    for link in ("current", "previous"):
        (archive.data / "images" / link).unlink()
    archive.configure('[image]\ncanary = "room 12"\n')
    assert archive.update().exit_code == 0
    assert archive.active == NEXT


def test_a_canary_that_somebody_else_has_begun_and_pcs_boot_is_not_ended(archive: Archive) -> None:
    publish(archive.data / "images", LATER)
    with Registry(archive.registry) as registry, registry.edit():
        rollout_table.begin(registry, OLD, NEW, "by hand", [MacRange(PC, PC)], Proof(3600.0), 1000.0)
        registry.sql.execute("UPDATE canaries SET until = 5000")
    archive.current, archive.next = {LATER}, LATER
    archive.configure('[image]\ncanary = "room 12"\n')
    done = archive.update()
    assert (done.exit_code, archive.active) == (1, NEW)
    assert "is a canary already, and only one can be" in str(done.exception)


def with_lab(archive: Archive) -> None:
    """A second image, whose active release is older than that of the default one, and a PC that boots it."""
    (archive.data / "images" / "lab").mkdir()
    publish(archive.data / "images", LAB, "lab")
    release.activate(archive.data / "images", LAB)
    with Registry(archive.registry) as registry:
        registry.allow([Entry(MacRange(LAB_PC, LAB_PC), "lab", BootSettings(image="lab"))])
    archive.configure('[image]\ncanary = "1 per label"\n')
    with Registry(archive.registry) as registry:
        registry.register(Client(2, LAB_PC, 1000.0, "secret"))
        registry.open_boot(BootRow(2, LAB_PC, 1000.0, "token", LAB, ""))


def test_what_images_have_in_common_is_renewed_once_in_a_turn(archive: Archive) -> None:
    with_lab(archive)
    before = time.time()
    archive.update()
    assert archive.asked.count("build") == 2
    boincs, labs = archive.since
    assert before <= boincs == labs <= time.time()


def test_what_somebody_else_has_renewed_counts_only_if_it_was_after_the_look(archive: Archive) -> None:
    archive.joined = [JoinedBuild(archive, OLD)]
    archive.update()
    first, second = archive.since
    assert first < second


def test_an_image_that_no_pc_has_booted_needs_no_canary(archive: Archive) -> None:
    with_lab(archive)
    with Registry(archive.registry) as registry, registry.edit():
        registry.sql.execute("DELETE FROM boots WHERE mac = ?", (LAB_PC.value,))
        registry.sql.execute("DELETE FROM clients WHERE mac = ?", (LAB_PC.value,))
    assert archive.update().exit_code == 0
    assert release.active_id(archive.data / "images", "lab") == LAB_NEXT
    assert canary_of(archive) == NEXT


def canary_of(archive: Archive) -> str:
    with Registry(archive.registry) as registry:
        found = rollout_table.open_canary(registry)
        return found.release if found else ""


def test_the_canary_of_one_image_does_not_end_that_of_another(archive: Archive) -> None:
    with_lab(archive)
    done = archive.update()
    assert (done.exit_code, canary_of(archive)) == (0, LAB_NEXT), "it had waited longest"
    assert f"{NEXT} waits: {LAB_NEXT} of the image lab is a canary, and only one can be\n" in done.stdout
    assert archive.active == NEW


def test_the_image_that_has_waited_has_its_turn_the_next_time(archive: Archive) -> None:
    with_lab(archive)
    archive.update()
    archive.run("image", "activate", LAB_NEXT)
    assert archive.update().exit_code == 0
    assert canary_of(archive) == NEXT


def test_a_canary_of_another_image_that_nobody_boots_gives_way_after_a_day(archive: Archive) -> None:
    with_lab(archive)
    archive.update()
    with Registry(archive.registry) as registry, registry.edit():
        registry.sql.execute("UPDATE canaries SET began = began - 90000")
    assert archive.update().exit_code == 0
    assert canary_of(archive) == NEXT


def test_a_build_that_fails_hides_no_other_failure_from_the_notices(archive: Archive) -> None:
    with_lab(archive)
    archive.configure("[image]\ntest = true\n")
    archive.test_fails = "it hung"
    archive.failing.add("boinc")
    done = archive.update()
    assert "image lab: stopped at the stage test" in str(done.exception)
    assert "stopped at the stage build" in str(done.exception)
    run = notes.latest_run(archive.data / "images")
    assert run
    assert (run.stage, run.words) == ("test", f"image lab: the test of {LAB_NEXT} failed: it hung")


@pytest.mark.parametrize("made", [(), (LAB,), (LAB, OLD)])
def test_somebody_elses_build_is_waited_for_and_is_not_its_own(archive: Archive, made: tuple[str, ...]) -> None:
    publish(archive.data / "images", LAB, "lab")
    archive.joined = [JoinedBuild(archive, *made)]
    done = archive.update()
    assert (done.exit_code, archive.active) == (0, NEXT)
    assert archive.asked == [f"check {NEW}", "join", "build"]


def test_what_somebody_elses_build_has_activated_is_in_force(archive: Archive) -> None:
    archive.configure('[image]\ncanary = "room 12"\n')
    publish(archive.data / "images", NEXT)
    archive.current.remove(NEXT)
    archive.joined = [JoinedBuild(archive, NEXT)]
    done = archive.update()
    assert (done.exit_code, archive.active, canary_of(archive)) == (0, NEXT, "")
