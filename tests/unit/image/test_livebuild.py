"""The input of live-build."""

import re
from pathlib import Path

import pytest

from image import build, livebuild
from image.mirrors import Mirrors
from image.recipe import ImageRecipe

GOLDEN = Path(__file__).parent / "golden" / "lb-config"
MIRRORS = Mirrors("http://mirror.example.org/debian", "http://security.example.org/debian-security", updates=True)
TREE = {"package-lists/a.list.chroot": b"boinc-client\n", "hooks/live/x.hook.chroot": b"#!/bin/sh\n"}


def test_the_arguments_are_the_golden_ones() -> None:
    assert "\n".join(livebuild.arguments(ImageRecipe(), MIRRORS)) + "\n" == GOLDEN.read_text()


def test_a_proxy_and_missing_updates_are_passed_on() -> None:
    mirrors = Mirrors(
        "http://a.example.org", "http://s.example.org", updates=False, proxy="http://cache.example.org:3142"
    )
    arguments = livebuild.arguments(ImageRecipe(), mirrors)
    assert arguments[arguments.index("--apt-http-proxy") + 1] == "http://cache.example.org:3142"
    assert arguments[arguments.index("--updates") + 1] == "false"


def test_firmware_comes_with_its_archive_area() -> None:
    recipe = ImageRecipe(firmware=True, packages=("htop",))
    arguments = livebuild.arguments(recipe, MIRRORS)
    assert arguments[arguments.index("--archive-areas") + 1] == "main non-free-firmware"
    listed = livebuild.config_tree(recipe, TREE)["package-lists/recipe.list.chroot"].decode().split()
    assert listed[0] == "htop"
    assert "firmware-realtek" in listed


def test_a_plain_recipe_adds_no_package_list() -> None:
    assert livebuild.config_tree(ImageRecipe(), TREE) == TREE


def test_scripts_are_executable_whatever_their_mode_in_the_checkout() -> None:
    assert livebuild.mode(b"#!/bin/sh\n") == 0o755
    assert livebuild.mode(b"[Unit]\n") == 0o644
    assert livebuild.mode(b"") == 0o644


@pytest.mark.parametrize(
    ("recipe", "tree"),
    [
        (ImageRecipe(kernel="cloud-amd64"), TREE),
        (ImageRecipe(packages=("htop",)), TREE),
        (ImageRecipe(), TREE | {"hooks/live/x.hook.chroot": b"#!/bin/sh\ntrue\n"}),
        (ImageRecipe(), TREE | {"hooks/live/x.hook.chroot": b"# !/bin/sh\n"}),
        (ImageRecipe(), {"renamed" if "/a." in name else name: content for name, content in TREE.items()}),
        (ImageRecipe(), TREE | {"new": b""}),
    ],
)
def test_the_digest_changes_with_everything_that_determines_the_image(
    recipe: ImageRecipe, tree: dict[str, bytes]
) -> None:
    assert livebuild.digest(recipe, tree) != livebuild.digest(ImageRecipe(), TREE)


def test_the_digest_does_not_depend_on_the_order_of_files() -> None:
    assert livebuild.digest(ImageRecipe(), dict(reversed(TREE.items()))) == livebuild.digest(ImageRecipe(), TREE)


def test_the_cached_first_stage_is_for_one_mirror_but_any_packages() -> None:
    key = livebuild.bootstrap_key(ImageRecipe(), MIRRORS)
    assert livebuild.bootstrap_key(ImageRecipe(packages=("htop",), kernel="cloud-amd64"), MIRRORS) == key
    assert livebuild.bootstrap_key(ImageRecipe(firmware=True), MIRRORS) != key
    assert (
        livebuild.bootstrap_key(ImageRecipe(), Mirrors("http://b.example.org", MIRRORS.security, updates=True)) != key
    )


def test_the_tree_holds_no_server_and_no_other_place() -> None:
    for name, content in build.read_tree().items():
        # The server's name comes from the kernel command line: only patterns and variables may follow, never a letter.
        assert not re.search(rb"://[^*}$]", content), name
