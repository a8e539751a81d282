"""The images beside the default one, as `status`, `doctor` and the page tell of them: read from the disk.

The default image has its own place in each of these: without it nobody boots who names no other one.
"""

from collections.abc import Collection
from dataclasses import dataclass

from appliance.allowlist import Allowlist
from appliance.config import images
from appliance.config.file import Config
from appliance.images import notes
from appliance.images.todays_recipe import cure, outdated
from appliance.view.image_checks import UpdateCheckView, check_view
from appliance.view.words import counted
from image import release
from image.names import DEFAULT
from image.release import Release, ReleaseError


@dataclass(frozen=True, slots=True)
class ImageState:
    """An image. `release` is the id of its active one, or None; `entries` of the allowlist name it. `trouble` says why
    its PCs boot nothing, and `outdated` why the active release is not of today's recipe; both may be empty. `do` is
    what helps, or empty. `image_check`: the latest look for updates of the active one's packages."""

    name: str
    release: str | None
    entries: int
    trouble: str
    outdated: str
    do: str
    image_check: UpdateCheckView | None = None

    @property
    def words(self) -> str:
        """One line of it."""
        whom = f"for {counted(self.entries, 'entry', 'entries')} of the allowlist" if self.entries else "for no PC"
        if self.trouble and self.entries:
            return f"{self.name}: PCS BOOT NOTHING: {self.trouble}; {whom}"
        return f"{self.name}: {self.trouble or self.release}, {whom}"


def gather_image_states(config: Config, allowlist: Allowlist, now: float) -> tuple[ImageState, ...]:
    """The images that can be built, have an active release, or are named by a range; without the default one. `now` is
    in seconds since the epoch."""
    named = allowlist.images
    names = dict.fromkeys((*images.known(config), *sorted(named)))
    there = images.buildable(config)
    return tuple(_state(config, name, named[name], there, now) for name in names if name != DEFAULT)


def _state(config: Config, name: str, entries: int, there: Collection[str], now: float) -> ImageState:
    active: Release | None = None
    trouble = do = ""
    try:
        active = release.current(config.images, name)
    except ReleaseError as error:
        trouble, do = str(error), f"{error.hint}; or: netboot-appliance image rollback {name}"
    if active is None and not trouble:
        trouble = "it was never built" if name in there else "there is no such image"
        do = cure(name) if name in there else f"make the directory {images.directory(config, name)}, then: {cure(name)}"
    old = outdated(config, active)
    if old:
        do = cure(name) if name in there else "give its ranges another image, or make that directory"
    looked = notes.check_of(config.images, active.id) if active else None
    check = check_view(active.id, looked, now) if active and looked else None
    return ImageState(name, active.id if active else None, entries, trouble, old, do, check)
