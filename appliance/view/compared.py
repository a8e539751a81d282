"""Reads two releases and says what differs between them. What people are shown of it is in image_diff.py."""

from appliance.view.image_diff import ReleaseDiff, release_diff
from image import contents
from image.comparison import file_changes, package_changes
from image.release import Release


def compare(old: Release, new: Release, *, with_files: bool) -> ReleaseDiff:
    """All differences; those of the files in the live systems, which take seconds, only `with_files`. Raises
    ReleaseError."""
    packages = package_changes(contents.packages(old), contents.packages(new))
    if not with_files:
        return release_diff(old, new, packages)
    with contents.opened(old) as before, contents.opened(new) as after:
        return release_diff(old, new, packages, file_changes(before, after))
