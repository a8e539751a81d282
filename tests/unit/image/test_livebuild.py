"""The input of live-build."""

import re
from pathlib import Path

import pytest

from image import build, livebuild
from image.mirrors import Mirrors
from image.recipe import Firmware, ImageRecipe

GOLDEN = Path(__file__).parent / "golden" / "lb-config"
MIRRORS = Mirrors("http://mirror.example.org/debian", "http://security.example.org/debian-security", updates=True)
TREE = {"package-lists/a.list.chroot": b"boinc-client\n", "hooks/live/x.hook.chroot": b"#!/bin/sh\n"}


def option(recipe: ImageRecipe, name: str, mirrors: Mirrors = MIRRORS) -> str:
    """The value of an option of `lb config`."""
    arguments = livebuild.arguments(recipe, mirrors)
    return arguments[arguments.index(f"--{name}") + 1]


def test_the_arguments_are_the_golden_ones() -> None:
    assert "\n".join(livebuild.arguments(ImageRecipe(), MIRRORS)) + "\n" == GOLDEN.read_text()


def test_a_proxy_and_missing_updates_are_passed_on() -> None:
    mirrors = Mirrors(
        "http://a.example.org", "http://s.example.org", updates=False, proxy="http://cache.example.org:3142"
    )
    assert option(ImageRecipe(), "apt-http-proxy", mirrors) == "http://cache.example.org:3142"
    assert option(ImageRecipe(), "updates", mirrors) == "false"


@pytest.mark.parametrize(
    ("firmware", "areas", "packages"),
    [
        ("network", "main non-free-firmware", "bnx2 misc-nonfree realtek intel-misc"),
        ("all", "main non-free-firmware", "bnx2 misc-nonfree realtek intel-misc bnx2x"),
    ],
)
def test_firmware_and_microcode_come_with_their_archive_area(firmware: Firmware, areas: str, packages: str) -> None:
    recipe = ImageRecipe(firmware=firmware, packages=("htop",))
    assert option(recipe, "archive-areas") == areas
    assert livebuild.packages(recipe, TREE) == (
        "boinc-client",
        "tzdata-legacy",
        *(f"firmware-{package}" for package in packages.split()),
        *("amd64-microcode", "intel-microcode"),
    )
    tree = livebuild.config_tree(recipe, TREE)
    assert tree["environment.chroot"] == f"FIRMWARE={firmware}\n".encode()


def test_without_firmware_all_is_free_software() -> None:
    recipe = ImageRecipe(firmware="none")
    assert option(recipe, "archive-areas") == "main"
    assert livebuild.config_tree(recipe, TREE) == TREE | {"environment.chroot": b"FIRMWARE=none\n"}
    assert livebuild.packages(recipe, TREE) == ("boinc-client", "tzdata-legacy")


def test_debian_12_has_fewer_packages_of_the_same_files() -> None:
    plain = livebuild.packages(ImageRecipe(distribution="bookworm"), TREE)
    assert "tzdata-legacy" not in plain
    assert "firmware-intel-misc" not in plain
    assert "firmware-intel-misc" in livebuild.packages(ImageRecipe(distribution="bookworm", backports=True), TREE)


@pytest.mark.parametrize("distribution", ["trixie", "bookworm"])
def test_backports_are_of_the_distribution_and_only_for_kernel_and_firmware(distribution: str) -> None:
    recipe = ImageRecipe(distribution=distribution, backports=True)
    assert (option(recipe, "distribution"), option(recipe, "backports")) == (distribution, "true")
    tree = livebuild.config_tree(recipe, TREE)
    assert tree["archives/backports.pref.chroot"].decode().splitlines() == [
        "Package: linux-base* linux-binary-* linux-image-* linux-modules-* firmware-* *-microcode",
        f"Pin: release n={distribution}-backports",
        "Pin-Priority: 500",
    ]
    assert "archives/backports.pref.chroot" not in livebuild.config_tree(ImageRecipe(), TREE)


def test_scripts_are_executable_whatever_their_mode_in_the_checkout() -> None:
    assert livebuild.mode(b"#!/bin/sh\n") == 0o755
    assert livebuild.mode(b"[Unit]\n") == 0o644
    assert livebuild.mode(b"") == 0o644


@pytest.mark.parametrize(
    ("recipe", "tree"),
    [
        (ImageRecipe(kernel="cloud-amd64"), TREE),
        (ImageRecipe(distribution="bookworm"), TREE),
        (ImageRecipe(backports=True), TREE),
        (ImageRecipe(firmware="all"), TREE),
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
    assert livebuild.bootstrap_key(ImageRecipe(firmware="none"), MIRRORS) != key
    assert livebuild.bootstrap_key(ImageRecipe(distribution="bookworm"), MIRRORS) != key
    assert (
        livebuild.bootstrap_key(ImageRecipe(), Mirrors("http://b.example.org", MIRRORS.security, updates=True)) != key
    )


def test_the_tree_holds_no_server_and_no_other_place() -> None:
    for name, content in build.read_tree().items():
        # The server's name comes from the kernel command line: only patterns and variables may follow, never a letter.
        assert not re.search(rb"://[^*}$]", content), name
