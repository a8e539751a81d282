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
from appliance.images.canary_choice import can_be_tried
from appliance.images.emulated_pc import PACKAGE
from appliance.images.notes import UpdateRun
from appliance.images.release_choice import image_of
from appliance.images.renewal import RenewalStage, given_up, needs_test, stands_aside
from appliance.images.requested_build import RequestedBuild, request
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

    Only one image can be on trial at a time; a release of another one waits for the next time.

    Exit code: 0 if the release is in force, on trial, waiting for that, or not needed; 1 if a stage failed, and the
    active one stays.
    """
    config = load(context.obj)
    # Without systemd nothing has mounted them since the machine started.
    mount_images(config)
    failed: list[tuple[_Update, UserError]] = []
    began = time.time()
    for image in _in_turn(config):
        run = _Update(config, context.obj, image, began, as_json=as_json)
        try:
            run.go()
        except UserError as error:
            failed.append((run, error))
    # Last: a notice tells of what was kept last, and one about a build that fails is sent already.
    for run, why in sorted(failed, key=lambda each: each[0].stage != RenewalStage.BUILD):
        run.end("failed", why.message, why.hint)
    if failed:
        words = "; ".join(f"{run.named}stopped at the stage {run.stage}: {why.message}" for run, why in failed)
        hint = "; ".join(dict.fromkeys(why.hint for _, why in failed))
        raise UserError(words, f"{hint}; the active release is unchanged", code=1)


def _in_turn(config: Config) -> list[str]:
    """The images, those first that have waited longest, and the one on trial last: only one can be on trial."""
    try:
        active = release.active_ids(config.images)
        with Registry(config.registry) as registry:
            canary = rollout_table.open_canary(registry)
    except (ReleaseError, UserError):
        return list(images.buildable(config))
    on_trial = image_of(config.images, canary) if canary else ""
    return sorted(images.buildable(config), key=lambda image: (image == on_trial, active.get(image, "")))


class _Update:
    """One run, for one image. `stage` is the one it is at, `release` the release that it is about. `since`: when the
    turn of all images began, in seconds since the epoch."""

    def __init__(self, config: Config, path: Path, image: str, since: float, *, as_json: bool) -> None:
        self.stage = RenewalStage.CHECK
        self.release = ""
        self.named = "" if image == DEFAULT else f"image {image}: "
        self._image = image
        self._config = config
        self._path = path
        self._since = since
        self._as_json = as_json
        self._began = time.monotonic()

    def go(self) -> None:
        """All stages; raises UserError."""
        try:
            found = self._new_release(release.current(self._config.images, self._image))
            # A build that it has waited for may have activated it.
            active = release.current(self._config.images, self._image)
            if found is None or (active and found.id == active.id):
                self.end("unchanged", "nothing to update", "")
                return
            self.release = found.id
            self._refuse_given_up(found, active)
            self._test(found)
            tried = self._config.image.canary and active and self._has_pcs()
            done = self._canary(found) if tried else self._activate(found)
        except BuildError as error:
            show_failure(error)
            raise UserError(str(error), error.hint, code=1) from error
        except ReleaseError as error:
            raise UserError(str(error), error.hint, code=1) from error
        self.end("done", done, "")

    def end(self, result: str, words: str, hint: str) -> None:
        """Keep how it ended, for the notices, and say so."""
        run = UpdateRun(time.time(), self.stage, self.release, result == "failed", f"{self.named}{words}", hint)
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

        wanted_build = self._request()
        if wanted_build.joins:
            # It may be of other images, and what it makes is not set apart.
            self._tell("somebody else's build is under way: waiting for its end")
            with suppress(BuildError, ReleaseError):
                wanted_build.run(report)
            # It may have asked the mirror before the look for updates did.
            self._since = time.time()
            wanted_build = self._request()
        result = next((each for each in wanted_build.run(report) if each.release.image == self._image), None)
        if result is None:
            raise BuildError(
                "checks", f"the build that was followed did not make {self._image}", "try again: image update"
            )
        self._tell("no package has changed" if result.unchanged else f"made {result.release.id}")
        return result.release

    def _request(self) -> RequestedBuild:
        # What the images have in common is renewed once for all of them.
        return request(
            self._config, self._path, Rebuild.APART, inside_unit=False, names=(self._image,), since=self._since
        )

    def _look(self, found: Release) -> bool:
        """Whether Debian has updates for this release."""
        self.release = found.id
        check = update_check.check(self._config, found)
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

    def _has_pcs(self) -> bool:
        with Registry(self._config.registry) as registry:
            return can_be_tried(self._image, registry.allowlist(), rollout_table.heard_last(registry))

    def _canary(self, found: Release) -> str:
        self.stage = RenewalStage.CANARY
        config = self._config
        with Registry(config.registry) as registry:
            open_one = rollout_table.open_canary(registry)
            if open_one and open_one.release == found.id:
                return f"{found.id} is a canary already: see netboot-appliance image canary"
            of = image_of(config.images, open_one) if open_one else self._image
            if open_one and stands_aside(open_one, found.id, time.time(), same_image=of == self._image):
                reason = f"no PC has booted it, and {found.id} {'is newer' if of == self._image else 'waits'}"
                rollout_table.keep(registry, end(open_one, Ending.CANCELLED, reason, time.time()))
                self._tell(f"the canary {open_one.release} has ended: {reason}")
            elif open_one and of != self._image:
                return f"{found.id} waits: {open_one.release} of the image {of} is a canary, and only one can be"
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
