"""`image` as its user types it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config.file import load
from appliance.registry.database import Registry
from appliance.registry.records import Client
from appliance.view.images import release_views
from appliance.view.releases import gather_releases
from image import release
from image.recipe import ImageRecipe
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, BoxWithReleases
from tests.unit.appliance.cli.program import ENVIRONMENT, Run, assert_refused, netboot_appliance
from tests.unit.appliance.cli.test_image_prune import IDS, PC, data
from tests.unit.image.layers import File, publish_layers

__all__ = ["data"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("image", "activate", "nonsense"), "nonsense"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run, arguments, words)


def test_image_show_as_scripts_read_it(box: BoxWithReleases) -> None:
    listed = json.loads(box.run("image", "list", "--json"))
    shown = json.loads(box.run("image", "show", "--json"))
    assert shown["release"] == listed[0]
    assert (shown["release"]["id"], shown["release"]["state"], shown["problems"]) == (NEW, "active", [])
    assert {each["name"] for each in shown["files"]} >= {"vmlinuz", "initrd.img"}
    assert sum(each["size"] for each in shown["files"]) == shown["release"]["size"]
    assert box.run("image", "show", OLD).endswith("all files are as they were built\n")


def test_a_damaged_release_is_one_document_and_an_exit_code(box: BoxWithReleases) -> None:
    kernel = box.data / "images" / NEW / "vmlinuz"
    kernel.write_bytes(bytes(kernel.stat().st_size))
    done = netboot_appliance("--config", box.data / "c.toml", "image", "show", "--json")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem.startswith("vmlinuz is not what was built")
    assert f"release {NEW} is damaged" in done.stderr


def remember(data: Path) -> None:
    """The PC of the oldest release has loaded something."""
    with Registry(load(data / "c.toml").registry) as registry:
        registry.register(Client(1, PC, 1000.0, "password"))


def test_the_list_says_what_is_in_a_release_and_whether_a_pc_runs_it(data: Path) -> None:
    base = {"etc/hostname": File(b"x")}
    made = publish_layers(data / "images", IDS[0], base, base, packages="apt 2.6.1\nbash 5.2\n")
    recipe = ImageRecipe("bookworm", kernel="rt-amd64", backports=True, packages=("htop", "curl"), firmware="all")
    (made.path / release.MANIFEST).write_bytes(release.render_manifest(replace(made, recipe=recipe)))
    remember(data)
    done = netboot_appliance("--config", data / "c.toml", "image", "list", environment=ENVIRONMENT | {"TZ": "UTC"})
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "release image built kernel size packages PCs test recipe"
    words = "bookworm, kernel rt-amd64, backports, firmware all, +htop, +curl"
    assert lines[-1] == f"{IDS[0]} boinc 2026-11-23 15:01 6.1.0-1-amd64 {made.size / 1000:.1f} kB 2 1 {words}"
    assert lines[1].startswith(f"{IDS[3]} boinc active ")
    assert lines[1].endswith(" 0 trixie")
    shown = netboot_appliance("--config", data / "c.toml", "image", "show", IDS[0]).stdout
    size = sum(made.files[name].size for name in made.layers)
    assert f"live system   2 packages, 2 layers ({size / 1000:.1f} kB)\n" in shown
    assert "PCs           1 PC had it at the latest boot\n" in shown


def test_a_registry_that_cannot_be_read_hides_no_release(data: Path) -> None:
    registry = load(data / "c.toml").registry
    remember(data)
    assert [each.pcs for each in release_views(gather_releases(load(data / "c.toml")))] == [0, 0, 0, 1]
    registry.write_bytes(b"no database" * 1000)
    done = netboot_appliance("--config", data / "c.toml", "image", "list", "--json")
    assert (done.returncode, [each["pcs"] for each in json.loads(done.stdout)]) == (0, [None] * 4)


def test_releases_have_words_for_names(box: BoxWithReleases) -> None:
    assert box.run("image", "show", "previous").startswith(f"release       {OLD} (previous)\n")
    assert box.run("image", "activate", "previous") == f"active: {OLD}\n"
    assert box.run("image", "show", "previous").startswith(f"release       {NEW} (previous)\n")
