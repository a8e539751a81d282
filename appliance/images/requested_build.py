"""A build as somebody asks for it: by systemd's unit where there is one, else in this process. Shows nothing.

`image.build` builds one image, `build_unit` has the two ends of the unit; this module chooses between them, and builds
one image after another.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from appliance.config import images
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images import build_unit
from appliance.images.build_order import BuildOrder
from appliance.images.recipe import wanted
from image import release, signature
from image.build import Rebuild, build, built
from image.names import DEFAULT
from image.progress import BuildError, Progress
from image.release import Release, ReleaseError

log = logging.getLogger("image")


class Builder(Enum):
    """Who builds."""

    UNIT = auto()
    """systemd's unit: this process starts it, or joins the build it is at, and follows."""
    INSIDE_UNIT = auto()
    """This process, which the unit has started."""
    PROCESS = auto()
    """This process."""


@dataclass(frozen=True)
class BuildResult:
    """A release, which is its image's active one now unless it was to be set apart, and whether an update found no
    package changed."""

    release: Release
    unchanged: bool


@dataclass(frozen=True)
class RequestedBuild:
    """What a request for a build comes to. `joins`: the unit is building already, for somebody else. `existing`: the
    releases that were built from these recipes before and make a build unnecessary."""

    config: Config
    order: BuildOrder
    builder: Builder
    joins: bool = False
    existing: tuple[Release, ...] = ()

    def run(self, report: build_unit.Report) -> list[BuildResult]:
        """Build, telling `report` of the progress; raises BuildError or ReleaseError.

        KeyboardInterrupt ends a build in this process; a build of the unit goes on.
        """
        before = _active(self.config.images)
        _ensure_key(self.config, self.builder)
        updated = self.order.rebuild in (Rebuild.UPDATED, Rebuild.APART)
        return [BuildResult(each, updated and before.get(each.image) == each.id) for each in self._build(report)]

    def _build(self, report: build_unit.Report) -> Sequence[Release]:
        match self.builder:
            case Builder.UNIT:
                return build_unit.follow(self.config.images, self.order, report)
            case Builder.INSIDE_UNIT:
                return build_unit.record(self._build_here, report)
            case Builder.PROCESS:
                return self._build_here(self.order, report, lambda _: None)

    def _build_here(self, order: BuildOrder, report: build_unit.Report, hear: build_unit.Hear) -> list[Release]:
        """Build one image after another. One that fails does not keep the others from being built: the security updates
        of a room must not wait for somebody's experiment."""
        there = images.buildable(self.config)
        chosen = order.names or there
        made: list[Release] = []
        failures: list[tuple[str, BuildError]] = []
        began, since = time.monotonic(), order.since or time.time()
        for name in chosen:
            tell = _Named(name, time.monotonic() - began, report) if len(chosen) > 1 else report
            try:
                made.append(self._build_one(name, order.rebuild, tell, hear, there, since))
            except BuildError as error:
                failures.append((name, error))
            except ReleaseError as error:
                failures.append((name, BuildError("publish", str(error), error.hint)))
        if failures:
            raise _first(failures, made) if len(chosen) > 1 else failures[0][1]
        return made

    def _build_one(
        self,
        name: str,
        rebuild: Rebuild,
        report: build_unit.Report,
        hear: build_unit.Hear,
        there: Sequence[str],
        since: float,
    ) -> Release:
        config = self.config
        try:
            images.check(config, name, to_build=True)
            recipe, added = wanted(config, name)
        except UserError as error:
            raise BuildError("checks", error.message, error.hint) from error
        work = config.server.data / "build"
        ring, mirror = config.key_ring, config.image.snapshot_mirror
        return build(recipe, work, config.images, report, rebuild, hear, added, name, there, since, ring, mirror)


@dataclass(frozen=True)
class _Named:
    """Passes on the progress of one of several images, which began `since` seconds after the first."""

    image: str
    since: float
    report: build_unit.Report

    def __call__(self, progress: Progress) -> None:
        self.report(replace(progress, image=self.image, elapsed=self.since + progress.elapsed))


def _first(failures: Sequence[tuple[str, BuildError]], made: Sequence[Release]) -> BuildError:
    """The first failure, with what became of the other images."""
    (name, error), *others = failures
    words = [f"the image {name}: {error}", *(f"the image {other}: {why}" for other, why in others)]
    words += [f"the image {each.image} was built: {each.id}" for each in made]
    return BuildError(error.stage, "; ".join(words), error.hint, log=error.log, tail=error.tail, paste=error.paste)


def request(
    config: Config, path: Path, rebuild: Rebuild, *, inside_unit: bool, names: Sequence[str] = (), since: float = 0.0
) -> RequestedBuild:
    """Decide who builds; `path` is that of the configuration file, `names` are the images, all if it is empty, and
    `since` is that of BuildOrder. Builds nothing yet. Raises UserError."""
    if inside_unit:
        # What is wanted of the unit is not on its command line: build_unit.record reads it.
        return RequestedBuild(config, BuildOrder(rebuild), Builder.INSIDE_UNIT)
    for name in names:
        images.check(config, name, to_build=True)
    order = BuildOrder(rebuild, tuple(dict.fromkeys(names)), since)
    builder = Builder.UNIT if build_unit.available(path) else Builder.PROCESS
    if builder is Builder.UNIT and build_unit.running():
        return RequestedBuild(config, order, builder, joins=True)
    if rebuild is Rebuild.NEVER and (existing := _existing(config, order.names or images.buildable(config))):
        return RequestedBuild(config, order, Builder.PROCESS, existing=existing)
    return RequestedBuild(config, order, builder)


def _existing(config: Config, names: Sequence[str]) -> tuple[Release, ...]:
    """The releases of all these images that are of today's recipe, or nothing if any has none."""
    found = [built(*wanted(config, name), config.images, name) for name in names]
    there = tuple(each for each in found if each is not None)
    return there if len(there) == len(found) else ()


def _ensure_key(config: Config, builder: Builder) -> None:
    """The first build makes the key that signs it and all later ones."""
    try:
        signature.ensure(config.key_ring)
    except ReleaseError as error:
        # Such as a unit that may not write there. The release is not signed then, which its activation says. The one
        # that builds may write there, whoever asks it to.
        if builder is not Builder.UNIT:
            log.warning("no key to sign releases with: %s; %s", error, error.hint)


def _active(directory: Path) -> Mapping[str, str]:
    """The active releases that can be used."""
    found = {}
    try:
        for image in (DEFAULT, *release.active_ids(directory)):
            if (active := _whole(directory, image)) is not None:
                found[image] = active.id
    except ReleaseError:
        return {}
    return found


def _whole(directory: Path, image: str) -> Release | None:
    try:
        return release.current(directory, image)
    except ReleaseError:
        return None
