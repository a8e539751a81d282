"""Builds a release: a flat list of steps. The one place that runs live-build.

The work directory keeps the result of each step (kept.py), so that a build does only what its recipe changes. A release
appears in the directory of images complete or not at all.
"""

import math
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from image import (
    activation,
    apt,
    apt_lists,
    build_logs,
    build_prerequisites,
    command,
    customization,
    disk_space,
    failures,
    livebuild,
    mirror_patience,
    publish,
    release,
    signature,
    steps,
    work_directory,
)
from image.customization import NOTHING, Customization
from image.disk_space import BuildDisk
from image.kept import KeptResult, RunProgram, StepChain
from image.mirror_patience import MirrorLostError, MirrorPatience
from image.mirrors import Mirrors
from image.names import DEFAULT
from image.progress import BuildError, Progress, Stages
from image.recipe import ImageRecipe
from image.release import Release, ReleaseError
from image.signature import KeyRing
from image.transfers import Transfers

TREE = Path(__file__).with_name("tree")

_WGETRC = "wgetrc"
"""In live-build's config tree."""

NO_KEYS = KeyRing(Path("/nonexistent"))
"""Of a build whose release nobody signs."""

_STEP = re.compile(r"(?:[PI]: )(.+)|((?:Unpacking|Setting up|update-initramfs:) .+)")


class Rebuild(Enum):
    """When a recipe that was built before is built again."""

    NEVER = "never"
    UPDATED = "updated"
    """When a package differs from the active release; finding out takes a whole build except the packing."""
    APART = "apart"
    """Like UPDATED, and what is built is not made the active release: somebody tries it first. A release that was set
    apart before, with the same packages, is taken."""
    ALWAYS = "always"


def digest_today(recipe: ImageRecipe, added: Customization = NOTHING) -> str:
    """The digest that a release of this recipe would have if it were built now, by this version. Takes some ms."""
    return livebuild.digest(recipe, read_tree(), added.digest)


def built(recipe: ImageRecipe, added: Customization, images: Path, image: str = DEFAULT) -> Release | None:
    """Return the active release of an image if it is of exactly this recipe and this live system, or else the newest
    one of that image that is, if there is one."""
    digest = digest_today(recipe, added)
    if (active := _active(images, image)) and active.digest == digest:
        return active
    of_image = (each for each in release.releases(images).releases if each.image == image)
    return next((each for each in of_image if each.digest == digest), None)


def build(
    recipe: ImageRecipe,
    work: Path,
    images: Path,
    report: Callable[[Progress], None],
    rebuild: Rebuild = Rebuild.NEVER,
    hear: Callable[[str], None] = lambda _: None,
    added: Customization = NOTHING,
    image: str = DEFAULT,
    others: Collection[str] = (),
    since: float = math.inf,
    ring: KeyRing | None = None,
    snapshot_mirror: str = "",
) -> Release:
    """Build a release of an image, or take an earlier one of the same recipe where `rebuild` says so, and make it that
    image's active one, unless it is to be set apart. `hear` gets what the programs print, line by line: foreign text.
    `others` are the names of images whose kept steps stay; steps that were done for one of them at or after `since`, in
    seconds since the epoch, are not done again. `ring`: the key that signs it and the ones that are trusted; without,
    it is not signed. `snapshot_mirror`: where snapshots are (apt.mirrors_for).

    Raises BuildError, and ReleaseError if an earlier one cannot be activated. KeyboardInterrupt and SIGTERM end the
    build cleanly and are raised again, SIGTERM as SystemExit.
    """
    if rebuild is Rebuild.NEVER and (done := built(recipe, added, images, image)):
        if done == _active(images, image):
            return done
        return activation.activate(images, done.id, ring or NO_KEYS).release
    work, images = work.absolute(), images.absolute()
    stages = Stages(report, hear)

    stages.begin("checks", "checking what a build needs")
    _check(work, images)
    work_directory.claim(work)
    mirrors = apt.mirrors_for(recipe, snapshot_mirror)
    _check_names(recipe, added, mirrors, work, stages)
    tree = read_tree()
    digest = livebuild.digest(recipe, tree, added.digest)
    created = release.moment(images, digest, image)
    live = work / "live"
    log_path = work / build_logs.DIRECTORY / f"{release.name(created, digest, image)}.log"
    variables = {"SOURCE_DATE_EPOCH": f"{steps.EARLY}", "WGETRC": str(live / "config" / _WGETRC)}
    variables |= {"http_proxy": mirrors.proxy} if mirrors.proxy else {}

    with (
        failures.explained(stages, log_path, (work, images)),
        work_directory.locked(work) as lock,
        _sigterm_raises(),
        build_logs.written(log_path) as log,
    ):

        def run(words: str, arguments: Sequence[str]) -> None:
            stages.tell(words)
            patience, transfers = MirrorPatience(), Transfers()
            command.run(
                arguments,
                cwd=live,
                log=log,
                on_line=lambda line: _tell_step(line, stages, patience, transfers),
                keep_open=(lock,),
                variables=variables,
            )

        build_logs.compress(log_path)
        publish.remove_unfinished(images)
        stages.took |= work_directory.durations(work)
        stages.begin("config", "writing live-build's configuration")
        work_directory.empty(live)
        limits = {_WGETRC: mirror_patience.WGET.encode(), steps.APT_LIMITS: mirror_patience.APT.encode()}
        work_directory.write_files(live / "config", livebuild.config_tree(recipe, tree) | limits)
        run("lb config", ("lb", "config", *livebuild.arguments(recipe, mirrors)))

        coming = [
            name for name, wanted in zip(steps.NAMES, (1, 1, recipe.packages, 1, added.layer), strict=True) if wanted
        ]

        def begin(name: str, words: str, /, *, kept: bool) -> None:
            stages.begin(name, words, kept=kept)
            if not kept:
                needed = disk_space.work_bytes(coming[coming.index(name) :], chain.sizes())
                _check_space(stages, work, needed, images, disk_space.release_bytes(_latest_bytes(images, image)))

        tools = build_prerequisites.versions(steps.TOOLS)
        chain, again = StepChain(work / "steps", live, run, begin, tools, image, since), rebuild is not Rebuild.NEVER
        chain.add(steps.bootstrap(recipe, mirrors))
        base = top = chain.add(steps.packages(recipe, tree, mirrors), _versions, again=again)
        if recipe.packages:
            own = steps.own_files(recipe, added.repositories, added.answers)
            work_directory.write_files(live / steps.OWN, own)
            top = chain.add(steps.extras(recipe, update=base.old, own=own), _versions, again=again)
        listed = work_directory.packages(top.beside, base.beside)
        if rebuild in (Rebuild.UPDATED, Rebuild.APART) and (same := _same(images, image, digest, listed, rebuild)):
            stages.tell("no package has changed")
            work_directory.empty(live)
            return same
        archives = work_directory.archives(chain.trees)
        variables["SOURCE_DATE_EPOCH"] = f"{work_directory.newest(chain.trees)}"
        system = top = chain.add(steps.system(recipe, tree), again=rebuild is Rebuild.ALWAYS)
        if added.layer:
            customization.stage(added, live / steps.CUSTOM)
            top = chain.add(
                steps.files(added.layer_digest, tree), partial(_pack, chain, run, live), again=rebuild is Rebuild.ALWAYS
            )
        chain.forget_others(others)

        stages.begin("publish", "copying the files and computing their checksums")
        (live / release.PACKAGES).write_bytes(listed)
        kernel, files = work_directory.built_files(list(dict.fromkeys((system.beside, top.beside))), base.beside)
        files[release.PACKAGES] = live / release.PACKAGES
        if release.RECIPE in files:
            files[release.MODULE] = live / "module"
            files[release.MODULE].write_text(f"{Path(release.SQUASHFS).name}\n{Path(release.RECIPE).name}\n")
        _check_space(stages, work, 0, images, sum(file.stat().st_size for file in files.values()))
        sign = partial(_sign, ring) if ring and signature.own(ring) else None
        final = images / release.name(created, digest, image)
        made = Release(final, created, recipe, digest, kernel, {}, added.digest, image, archives)
        done = publish.publish(made, files, sign, stages.tell_bytes)
        if rebuild is not Rebuild.APART:
            activation.activate(images, done.id, ring or NO_KEYS)
        work_directory.empty(live)
        stages.end()
        of_this = (*chain.names, stages.current)
        work_directory.note_durations(work, {name: took for name, took in stages.took.items() if name in of_this})
    stages.tell("done")
    return done


def read_tree() -> dict[str, bytes]:
    """Return the files of image/tree by relative path."""
    return {str(path.relative_to(TREE)): path.read_bytes() for path in sorted(TREE.rglob("*")) if path.is_file()}


def _check(work: Path, images: Path) -> None:
    if problems := build_prerequisites.problems(work, images, user=os.geteuid()):
        raise BuildError("checks", "; ".join(what for what, _ in problems), "; ".join(hint for _, hint in problems))


def _check_names(recipe: ImageRecipe, added: Customization, mirrors: Mirrors, work: Path, stages: Stages) -> None:
    if recipe.packages:
        stages.tell("looking whether the mirror has the recipe's packages")
    found = apt_lists.check(recipe, added.repositories, mirrors, work)
    if found.trouble:
        # What is kept may do for this build.
        said = f"the names of packages were not checked: {found.trouble}"
        stages.hear(f"W: {said}")
        stages.tell(said)
    if found.unknown:
        raise BuildError("checks", *customization.unknown_names(found.unknown, added.places))


def _check_space(stages: Stages, work: Path, in_work: int, images: Path, in_images: int) -> None:
    work_disk, images_disk = (_disk(each) for each in (work, images))
    if missing := disk_space.shortage(work_disk, in_work, images_disk, in_images):
        raise BuildError(
            stages.current,
            f"there is too little room for an image: {missing}",
            "make room (netboot-appliance image prune deletes old releases), or set [server] data to a larger disk",
        )


def _disk(directory: Path) -> BuildDisk:
    where = build_prerequisites.existing(directory)
    return BuildDisk(str(directory), where.stat().st_dev, shutil.disk_usage(where).free)


def _latest_bytes(images: Path, image: str) -> int | None:
    """The bytes of an image's newest release; before it has one, of the newest of all."""
    found = release.releases(images).releases
    return next((each.size for each in (*(each for each in found if each.image == image), *found)), None)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_step(line: str, stages: Stages, patience: MirrorPatience, transfers: Transfers) -> None:
    stages.hear(line)
    if transfers.hear(line) and transfers.amount:
        stages.tell_bytes(transfers.amount.done, transfers.amount.total)
    if match := _STEP.match(line):
        stages.tell(match[1] or match[2])
    if patience.lost(line, time.monotonic()):
        raise MirrorLostError


def _pack(chain: StepChain, run: RunProgram, live: Path, made: KeptResult) -> str:
    """Pack what the administrator's files and hooks have changed, or without overlays the whole tree."""
    if chain.overlays:
        chain.settle(made)
    packed = made.beside / Path(release.RECIPE if chain.overlays else release.SQUASHFS).name
    run("packing them", ("mksquashfs", str(made.tree), str(packed), *steps.PACKED, "-ef", str(live / steps.EXCLUDES)))
    return ""


def _versions(made: KeptResult) -> str:
    """What tells two results apart that are of one step, but were not made on one day."""
    return work_directory.packages(made.beside, made.beside).decode()


def _sign(ring: KeyRing, manifest: bytes) -> bytes:
    return signature.sign_as(ring, manifest)[0]


def _active(images: Path, image: str) -> Release | None:
    try:
        return release.current(images, image)
    except ReleaseError:
        return None


def _same(images: Path, image: str, digest: str, packages: bytes, rebuild: Rebuild) -> Release | None:
    """Return the image's active release, or if one is to be set apart any other of the image, if it has this recipe and
    these packages, and is still what was built."""
    others = release.releases(images).releases if rebuild is Rebuild.APART else ()
    for each in (_active(images, image), *others):
        if each is None or each.image != image or each.digest != digest:
            continue
        if (each.path / release.PACKAGES).read_bytes() == packages and not release.verify(each):
            return each
    return None
