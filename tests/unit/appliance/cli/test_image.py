"""`image` as its user types it."""

import json

import pytest

from tests.unit.appliance.cli.box_with_releases import NEW, OLD, BoxWithReleases
from tests.unit.appliance.cli.program import Run, assert_refused, netboot_appliance


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
