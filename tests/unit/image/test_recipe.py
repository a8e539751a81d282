"""Recipes: which can be built, and the errors of those that cannot."""

from collections.abc import Callable

import pytest

from image.recipe import BOINC_GID, BOINC_UID, ImageRecipe


def test_the_plain_recipe_drives_real_computers() -> None:
    assert ImageRecipe().kernel == "amd64"
    assert ImageRecipe().firmware == "network"


@pytest.mark.parametrize(("written", "meant"), [(True, "all"), (False, "none")])
def test_what_older_versions_called_firmware_is_still_read(written: bool, meant: str) -> None:
    assert ImageRecipe(firmware=written).firmware == meant
    assert ImageRecipe(firmware=written) == ImageRecipe(firmware="all" if written else "none")


def test_the_owner_of_the_state_is_pinned() -> None:
    assert (BOINC_UID, BOINC_GID) == (731, 731)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ImageRecipe(distribution="sid"), "distribution: 'sid' .* one of trixie, bookworm"),
        (lambda: ImageRecipe(firmware="wifi"), "firmware: 'wifi' is not one of network, all, none"),  # type: ignore[arg-type]
        (lambda: ImageRecipe(architecture="arm64"), "architecture: 'arm64'"),
        (lambda: ImageRecipe(kernel="686-pae"), "choose one of amd64, cloud-amd64"),
        (lambda: ImageRecipe(packages=("htop", "rm -rf /")), "'rm -rf /' is not the name"),
        (lambda: ImageRecipe(packages=("Htop",)), "'Htop' is not the name"),
        (lambda: ImageRecipe(packages=("--yes",)), "'--yes' is not the name"),
        (lambda: ImageRecipe(packages=("htop", "htop")), "packages: a package appears twice"),
    ],
)
def test_a_recipe_that_cannot_be_built_says_why(make: Callable[[], ImageRecipe], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
