"""`image update`: Debian's updates, from the archive to the PCs. The weekly timer runs it."""

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli import image_canary
from appliance.cli.arguments import JSON
from appliance.cli.image_build import show_failure
from appliance.cli.output import say, show_json_line
from appliance.config import images
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.exports.volumes import mount_images
from appliance.images import emulated_boot, notes, rollout_table, update_check
from appliance.images.emulated_pc import PACKAGE
from appliance.images.notes import UpdateRun
from appliance.images.renewal import RenewalStage, given_up, needs_test, stands_aside
from appliance.images.requested_build import request
from appliance.images.rollout import Ending, end
from appliance.images.todays_recipe import outdated
from appliance.registry.database import Registry
from appliance.view.image_checks import boot_test_words, check_words
from image import release
from image.build import Rebuild
from image.names import DEFAULT
from image.progress import BuildError, Progress
from image.release import Release, ReleaseError


@dataclass(frozen=True, slots=True)
class UpdateStep:
    """A step that was taken: its stage, the release (empty before there is one) and the image it is about, and what
    happened, in words. `seconds` since the beginning. `result` is "" while it goes on; in the last line "done",
    "unchanged" or "failed", with a `hint`."""

    stage: str
    release: str
    words: str
    seconds: float
    result: str = ""
    hint: str = ""
    image: str = DEFAULT


def update(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Bring Debian's updates to the PCs: look for them, build, test, try on a few PCs, activate. The timer runs it.

    Without updates, and with an image of today's recipe, nothing is done. With `[image] test = true` a new release
    boots in an emulated PC first, if QEMU is installed. With `[image] canary` some PCs get it first, and the box makes
    it the active one when they compute with it: see `image canary`. Else it becomes the active one at once. Stopped
    anywhere, it goes on from there the next time. With --json it prints a line for each step.

    Exit code: 0 if the release is in force, on trial, or not needed; 1 if a stage failed, and the active one stays.
    """
    config = load(context.obj)
    # Without systemd nothing has mounted them since the machine started.
    mount_images(config)
    failed: list[tuple[_Update, UserError]] = []
    for image in images.buildable(config):
        run = _Update(config, context.obj, image, as_json=as_json)
        try:
            run.go()
        except UserError as error:
            failed.append((run, error))
    # Last: a notice tells of what was kept last.
    for run, why in failed:
        run.end("failed", why.message, why.hint)
    if failed:
        words = "; ".join(f"{run.named}stopped at the stage {run.stage}: {why.message}" for run, why in failed)
        hint = "; ".join(dict.fromkeys(why.hint for _, why in failed))
        raise UserError(words, f"{hint}; the active release is unchanged", code=1)


class _Update:
    """One run, for one image. `stage` is the one it is at, `release` the release that it is about."""

    def __init__(self, config: Config, path: Path, image: str, *, as_json: bool) -> None:
        self.stage = RenewalStage.CHECK
        self.release = ""
        self.named = "" if image == DEFAULT else f"image {image}: "
        self._image = image
        self._config = config
        self._path = path
        self._as_json = as_json
        self._began = time.monotonic()

    def go(self) -> None:
        """All stages; raises UserError."""
        try:
            active = release.current(self._config.images, self._image)
            found = self._new_release(active)
            if found is None or (active and found.id == active.id):
                self.end("unchanged", "nothing to update", "")
                return
            self.release = found.id
            self._refuse_given_up(found, active)
            self._test(found)
            done = self._canary(found) if self._config.image.canary and active else self._activate(found)
        except BuildError as error:
            show_failure(error)
            raise UserError(str(error), error.hint, code=1) from error
        except ReleaseError as error:
            raise UserError(str(error), error.hint, code=1) from error
        self.end("done", done, "")

    def end(self, result: str, words: str, hint: str) -> None:
        """Keep how it ended, for the notices, and say so."""
        run = UpdateRun(time.time(), self.stage, self.release, result == "failed", words, hint)
        # Who may not write there is told by what has failed.
        with suppress(OSError):
            notes.keep_run(self._config.images, run)
        if self._as_json:
            self._show(words, result, hint)
        elif result != "failed":
            say(f"{self.named}{words}")

    def _new_release(self, active: Release | None) -> Release | None:
        """The release to bring to the PCs, built if need be; None if there is none."""
        wanted = outdated(self._config, active)
        if active and not wanted and not self._look(active):
            return None
        waiting = (each for each in release.releases(self._config.images).releases if each.image == self._image)
        newest = next(waiting, None)
        if (
            newest
            and active
            and newest.id > active.id
            and not outdated(self._config, newest)
            and not self._look(newest)
        ):
            self._tell(f"{newest.id} is up to date already, and not in force yet")
            return newest
        self.stage = RenewalStage.BUILD
        shown = ""

        def report(progress: Progress) -> None:
            nonlocal shown
            if progress.stage != shown:
                shown = progress.stage
                self._tell(f"{progress.stage}: {progress.step}")

        wanted_build = request(self._config, self._path, Rebuild.APART, inside_unit=False, names=(self._image,))
        (result,) = wanted_build.run(report)
        self._tell("no package has changed" if result.unchanged else f"made {result.release.id}")
        return result.release

    def _look(self, found: Release) -> bool:
        """Whether Debian has updates for this release."""
        self.release = found.id
        check = update_check.check(found)
        update_check.keep(self._config, found, check)
        self._tell(f"{found.id}: {check_words(check, time.time())}")
        return bool(check.updates)

    def _refuse_given_up(self, found: Release, active: Release | None) -> None:
        before = release.previous(self._config.images, self._image)
        with Registry(self._config.registry) as registry:
            canaries = rollout_table.kept(registry)
        if why := given_up(found.id, active.id if active else None, before.id if before else None, canaries):
            self.stage = RenewalStage.CANARY
            raise UserError(
                f"{found.id} is not tried again: {why}",
                f"to try it all the same: netboot-appliance image activate {found.id}",
                code=1,
            )

    def _test(self, found: Release) -> None:
        self.stage = RenewalStage.TEST
        if not needs_test(self._config.image.test, notes.test_of(self._config.images, found.id)):
            return
        if not emulated_boot.has_qemu():
            self._tell(f"not tested: QEMU is not installed; sudo apt install {PACKAGE} ovmf")
            return
        done, console = emulated_boot.boot(
            self._config, found, lambda stage, seconds: self._tell(f"{stage} after {seconds:.1f} s")
        )
        self._tell(boot_test_words(done, time.time()))
        if not done.passed:
            for line in console:
                say(f"  | {line}", err=True)
            raise UserError(f"the test of {found.id} failed: {done.why}", f"the console's log: {done.log}", code=1)

    def _canary(self, found: Release) -> str:
        self.stage = RenewalStage.CANARY
        config = self._config
        with Registry(config.registry) as registry:
            open_one = rollout_table.open_canary(registry)
            if open_one and open_one.release == found.id:
                return f"{found.id} is a canary already: see netboot-appliance image canary"
            if open_one and stands_aside(open_one, found.id):
                reason = f"no PC has booted it, and {found.id} is newer"
                rollout_table.keep(registry, end(open_one, Ending.CANCELLED, reason, time.time()))
                self._tell(f"the canary {open_one.release} has ended: {reason}")
        image_canary.begin(config, found.id, [config.image.canary], "", 100, "", self._tell)
        return f"{found.id} is a canary now: it becomes the active release when its PCs compute with it"

    def _activate(self, found: Release) -> str:
        self.stage = RenewalStage.ACTIVATE
        image_canary.activate(self._config, found.id, self._tell)
        return f"active: {found.id}"

    def _tell(self, words: str) -> None:
        if self._as_json:
            self._show(words)
        else:
            say(f"{time.monotonic() - self._began:5.0f} s  {self.named}{self.stage}: {words}")

    def _show(self, words: str, result: str = "", hint: str = "") -> None:
        seconds = round(time.monotonic() - self._began, 1)
        show_json_line(asdict(UpdateStep(self.stage, self.release, words, seconds, result, hint, self._image)))
