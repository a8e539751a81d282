"""The releases of all images, with what is known of them: read from the directory of images and from the registry."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.config import images
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images import notes
from appliance.images.notes import BootTest, UpdateCheck
from appliance.registry import overview
from appliance.registry.database import Registry
from image import contents, release
from image.names import DEFAULT
from image.release import Release, ReleaseError


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases, newest first. By id: `states` says which is its image's "active" one and which the "previous",
    `packages` how many packages each has, `pcs` how many PCs had it at their latest boot (None: the registry cannot be
    read). `checks` and `tests` are those that were made."""

    releases: Sequence[Release]
    states: Mapping[str, str]
    broken: Sequence[ReleaseError]
    packages: Mapping[str, int]
    pcs: Mapping[str, int] | None
    checks: Mapping[str, UpdateCheck] = field(default_factory=dict)
    tests: Mapping[str, BootTest] = field(default_factory=dict)

    def having(self, state: str, image: str = DEFAULT) -> str:
        """The id of the release of an image that has this state, or empty."""
        return next(
            (each.id for each in self.releases if each.image == image and self.states.get(each.id) == state), ""
        )


def gather_releases(config: Config) -> Releases:
    """Read the releases; broken ones are left out and returned as errors."""
    states: dict[str, str] = {}
    broken: list[ReleaseError] = []
    for image in images.known(config):
        for state, read in (("previous", release.previous), ("active", release.current)):
            try:
                found = read(config.images, image)
            except ReleaseError as error:
                broken.append(error)
                continue
            if found:
                states[found.id] = state
    listed = release.releases(config.images)
    packages: dict[str, int] = {}
    for each in listed.releases:
        with contextlib.suppress(ReleaseError):
            packages[each.id] = len(contents.packages(each))
    known = [each.id for each in listed.releases]
    return Releases(
        listed.releases,
        states,
        (*broken, *listed.broken),
        packages,
        _clients_by_release(config),
        {ident: check for ident in known if (check := notes.check_of(config.images, ident))},
        {ident: test for ident in known if (test := notes.test_of(config.images, ident))},
    )


def _clients_by_release(config: Config) -> Mapping[str, int] | None:
    if not config.registry.exists():
        return {}
    try:
        with Registry(config.registry) as registry:
            return overview.clients_by_release(registry)
    except UserError:
        return None
