"""What two releases were built from, in a sentence."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.view.image_diff import release_diff
from image.recipe import ImageRecipe
from image.release import Release

USUAL = ImageRecipe()


def made(digest: str, added: str = "", recipe: ImageRecipe = USUAL) -> Release:
    return Release(Path("/i/x"), datetime(2026, 11, 23, tzinfo=UTC), recipe, digest, "6.1", {}, added=added)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (made("a"), ""),
        (made("b"), "The recipes are the same, but not the versions of netboot-appliance that built them."),
        (made("b", recipe=ImageRecipe(backports=True)), ""),
        (made("b", added="x"), "The administrator's own files or hooks are not the same."),
    ],
)
def test_why_two_releases_differ(new: Release, words: str) -> None:
    assert release_diff(made("a"), new, ()).cause == words
