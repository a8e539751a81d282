"""Looks in Debian's archive for newer versions of a release's packages, and keeps what it has found."""

import time
from collections.abc import Sequence

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images import notes
from appliance.images.notes import UpdateCheck
from appliance.images.recipe import wanted
from image import contents, package_index
from image.package_index import PackageIndexError
from image.release import Release, ReleaseError
from image.repositories import Repository

RENEW = "sudo netboot-appliance image update"
"""Brings the updates to the PCs."""


def check(config: Config, release: Release) -> UpdateCheck:
    """Ask the archive; takes seconds, and three minutes at most for each of apt's two steps. Raises UserError."""
    try:
        mirror, added = config.image.snapshot_mirror, _added(config, release)
        found = package_index.find_updates(contents.packages(release), release.recipe, mirror, added)
    except (PackageIndexError, ReleaseError) as error:
        raise UserError(str(error), error.hint, code=1) from error
    return UpdateCheck(time.time(), found)


def _added(config: Config, release: Release) -> Sequence[Repository]:
    """The repositories of the release's image as they are today; none, if what it is made of cannot be used, which a
    build says."""
    try:
        _, added = wanted(config, release.image)
    except UserError:
        return ()
    return added.repositories


def keep(config: Config, release: Release, found: UpdateCheck) -> None:
    """Keep the result for `status`, the doctor and the page; raises UserError if that cannot be done."""
    try:
        notes.keep_check(config.images, release.id, found)
    except OSError as error:
        raise UserError(
            f"the result cannot be kept in {config.images}: {error.strerror}", "run with sudo; check the disk", code=1
        ) from error
