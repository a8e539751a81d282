"""A build as somebody asks for it: by systemd's unit where there is one, else in this process. Shows nothing.

`image.build` builds, `build_unit` has the two ends of the unit; this module chooses between them.
"""

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images import build_unit
from appliance.images.recipe import wanted
from image import release
from image.build import Rebuild, build, built
from image.progress import BuildError
from image.release import Release, ReleaseError


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
    """The release, which is the active one now unless it was to be set apart, and whether an update found no package
    changed."""

    release: Release
    unchanged: bool


@dataclass(frozen=True)
class RequestedBuild:
    """What a request for a build comes to. `joins`: the unit is building already, for somebody else. `existing`: the
    release that was built from this recipe before and makes a build unnecessary."""

    config: Config
    rebuild: Rebuild
    builder: Builder
    joins: bool = False
    existing: Release | None = None

    def run(self, report: build_unit.Report) -> BuildResult:
        """Build, telling `report` of the progress; raises BuildError or ReleaseError.

        KeyboardInterrupt ends a build in this process; a build of the unit goes on.
        """
        before = _active(self.config.images)
        made = self._build(report)
        unchanged = self.rebuild in (Rebuild.UPDATED, Rebuild.APART) and before == made.id
        return BuildResult(made, unchanged)

    def _build(self, report: build_unit.Report) -> Release:
        match self.builder:
            case Builder.UNIT:
                return build_unit.follow(self.config.images, self.rebuild, report)
            case Builder.INSIDE_UNIT:
                return build_unit.record(self._build_here, report)
            case Builder.PROCESS:
                return self._build_here(self.rebuild, report, lambda _: None)

    def _build_here(self, rebuild: Rebuild, report: build_unit.Report, hear: build_unit.Hear) -> Release:
        config = self.config
        try:
            recipe, added = wanted(config)
        except UserError as error:
            raise BuildError("checks", error.message, error.hint) from error
        return build(recipe, config.server.data / "build", config.images, report, rebuild, hear, added)


def request(config: Config, path: Path, rebuild: Rebuild, *, inside_unit: bool) -> RequestedBuild:
    """Decide who builds; `path` is that of the configuration file. Builds nothing yet. Raises UserError."""
    if inside_unit:
        # What is wanted of the unit is not on its command line: build_unit.record reads it.
        return RequestedBuild(config, rebuild, Builder.INSIDE_UNIT)
    builder = Builder.UNIT if build_unit.available(path) else Builder.PROCESS
    if builder is Builder.UNIT and build_unit.running():
        return RequestedBuild(config, rebuild, builder, joins=True)
    if rebuild is Rebuild.NEVER and (existing := built(*wanted(config), config.images)):
        return RequestedBuild(config, rebuild, Builder.PROCESS, existing=existing)
    return RequestedBuild(config, rebuild, builder)


def _active(images: Path) -> str | None:
    try:
        active = release.current(images)
    except ReleaseError:
        return None
    return active.id if active else None
