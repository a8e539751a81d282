"""Which release each PC boots: the active one, a canary, or, for a PC that failed twice, the one before.

Asked for each boot script, so all is in memory: `refresh` reads the registry after each edit, and `look` the files.
appliance/images/rollout.py decides; the control process judges canaries.
"""

from collections.abc import Mapping
from pathlib import Path

import structlog

from appliance.allowlist import Allowlist, Entry
from appliance.images import rollout, rollout_table
from appliance.images.rollout import Canary, Fallback
from appliance.journal import history
from appliance.journal.timeline import Boot
from appliance.registry.database import Registry
from image.names import DEFAULT
from image.release import ReleaseError, previous, read
from services.ethernet import MacAddress
from services.events import CanaryEnded, WentBack

_LOOKED_AT = 12
"""Boots of a PC among which there must be one that computed."""

log = structlog.get_logger("box")


def image_of(images: Path, canary: Canary) -> str:
    """The image of which this canary is a release; `images` is the directory of the releases. The default one, if
    nothing of it can be read any more."""
    for release in (canary.release, canary.base):
        try:
            return read(images, release).image
        except ReleaseError:
            continue
    return DEFAULT


class ReleaseChoice:
    """`images` is the directory of the releases."""

    def __init__(self, registry: Registry, images: Path) -> None:
        self._registry = registry
        self._images = images
        self._canary: Canary | None = None
        self._pcs = Allowlist.of([])
        self._fallbacks: dict[MacAddress, Fallback] = {}
        self._whole: dict[str, bool] = {}
        self.refresh()

    def refresh(self) -> CanaryEnded | None:
        """Read what is in force; returns the end of a canary that was open until now, if a PC decided it. Raises
        UserError, or an error of SQLite."""
        before, found = self._canary, rollout_table.latest(self._registry)
        self._canary = found if found and not found.verdict else None
        if self._canary is None or before is None or before.id != self._canary.id:
            self._pcs = Allowlist.of([Entry(span) for span in self._canary.ranges] if self._canary else [])
        self._fallbacks = rollout_table.fallbacks(self._registry)
        self.look()
        if before and found and found.id == before.id and found.verdict and found.mac is not None:
            return CanaryEnded(found.mac, found.release, str(found.verdict), found.reason)
        return None

    def look(self) -> None:
        """See which of the releases in question can be booted: their files may vanish."""
        wanted = {each.release for each in self._fallbacks.values()} | (
            {self._canary.release} if self._canary else set()
        )
        whole = {release: self._is_whole(release) for release in wanted}
        for release, good in whole.items():
            if not good and self._whole.get(release, True):
                log.error("a release that some PCs should boot is broken; they boot the active one", release=release)
        self._whole = whole

    def of(self, mac: MacAddress, active: str | None) -> str | None:
        """The release that this PC boots, where `active` is the active one of its image; None without one."""
        if active is None:
            return None
        wanted = self._wanted(mac, active)
        fallback = self._fallbacks.get(mac)
        return fallback.release if fallback and self._applies(fallback, wanted) else wanted

    def gone_back(self, active: Mapping[str, str], allowlist: Allowlist) -> list[Fallback]:
        """The PCs that boot the release before, where `active` has the active one of each image."""
        meant = ((each, active.get(allowlist.image_of(mac))) for mac, each in self._fallbacks.items())
        return [each for each, own in meant if own and self._applies(each, self._wanted(each.mac, own))]

    def reconsider(self, boot: Boot, active: str, now: float, image: str = DEFAULT) -> WentBack | None:
        """Whether a PC, of which the boots before this one came to nothing, goes back from now on. If it does, or did
        and that did not help, the registry is told. `active` is the active release of the PC's `image`, `now` in
        seconds since the epoch. Raises UserError, or an error of SQLite."""
        wanted = self._wanted(boot.mac, active)
        fallback = self._fallbacks.get(boot.mac)
        boots = [*history.history(self._registry, boot.mac, _LOOKED_AT, boot.id), boot]
        if fallback and self._applies(fallback, wanted):
            if rollout.has_failed(boots[:-1], fallback.release, now):
                rollout_table.stay(self._registry, boot.mac)
                del self._fallbacks[boot.mac]
                log.warning("it failed with the release before, too: not the image", mac=str(boot.mac))
            return None
        before = active if wanted != active else self._previous(image)
        why = rollout.goes_back(boots, wanted, before, now) if before else ""
        if not why or not self._is_whole(before) or not self._others_are_well(boots, wanted):
            return None
        fallback = Fallback(boot.mac, wanted, before, now, why)
        rollout_table.go_back(self._registry, fallback)
        self._fallbacks[boot.mac] = fallback
        self._whole[before] = True
        return WentBack(boot.mac, before, wanted, why)

    def _wanted(self, mac: MacAddress, active: str) -> str:
        """The release that is meant for this PC. As soon as another one is activated, no canary is in force; and PCs of
        other images have other active releases."""
        canary = self._canary
        tries = canary and canary.base == active and mac in self._pcs and self._whole.get(canary.release)
        return canary.release if canary and tries else active

    def _previous(self, image: str) -> str:
        try:
            before = previous(self._images, image)
        except ReleaseError:
            return ""
        return before.id if before else ""

    def _applies(self, fallback: Fallback, wanted: str) -> bool:
        return fallback.failed == wanted and self._whole.get(fallback.release, False)

    def _others_are_well(self, boots: list[Boot], wanted: str) -> bool:
        """Whether the cause can be the release. Where no other PC has been heard since the first failure, all may fail
        for another cause, such as NFS: then one PC may try the release before, and the others wait for it."""
        exports = self._registry.server().get("exports") or {}
        if exports.get("error"):
            return False
        since = boots[-1 - rollout.FAILURES].started
        if rollout_table.well_since(self._registry, since, boots[-1].mac):
            return True
        return not any(each.failed == wanted for each in self._fallbacks.values())

    def _is_whole(self, release: str) -> bool:
        try:
            read(self._images, release)
        except ReleaseError:
            return False
        return True
