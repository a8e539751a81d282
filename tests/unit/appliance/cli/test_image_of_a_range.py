"""Several images side by side, chosen per range: `allow`, `image`, `status` and `menu` as their user types them."""

import json

import pytest

from appliance.cli import image_build
from appliance.errors import UserError
from appliance.images.requested_build import BuildResult, RequestedBuild
from image import release
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, PC, BoxWithReleases
from tests.unit.appliance.cli.program import netboot_appliance
from tests.unit.appliance.cli.test_allow import ROOM, exported
from tests.unit.image.test_release import publish

LAB = "20261201-090000-cccccccc"


def test_a_range_has_an_image_and_boots_nothing_while_that_has_no_release(box: BoxWithReleases) -> None:
    with pytest.raises(UserError, match="there is no image 'lab'; nothing was changed") as caught:
        box.run("allow", "add", ROOM, "--image", "lab")
    assert "there are: boinc; or make one: a directory of that name in " in caught.value.hint
    (box.data / "images" / "lab").mkdir()
    with pytest.raises(UserError, match="there is no image 'labb'; nothing was changed") as caught:
        box.run("allow", "add", ROOM, "--image", "labb")
    assert caught.value.hint.startswith("did you mean lab?; or make one")
    done = box.run("allow", "add", ROOM, "--image", "lab")
    assert done.endswith("addresses; boots with image=lab\n")
    nothing = "the image lab has no active release, so its PCs boot nothing"
    build = "do: sudo netboot-appliance image build lab"
    assert f"but {nothing}\n{build}\n" in box.run("allow", "check", PC)
    assert "  lab: PCS BOOT NOTHING: it was never built; for 1 entry of the allowlist" in run_status(box)
    publish(box.data / "images", LAB, "lab")
    assert box.run("image", "activate", LAB) == f"active: {LAB}\n"
    assert "boots nothing" not in box.run("allow", "check", PC)
    assert f"  lab: {LAB}, for 1 entry of the allowlist" in run_status(box)
    assert f"BOINC (image {LAB})" in box.run("menu", "show", "--for", PC)
    assert f"BOINC (image {NEW})" in box.run("menu", "show")
    assert json.loads(box.run("allow", "list", "--json"))[0]["image"] == "lab"
    assert exported(box) == f"{ROOM} image=lab"
    with pytest.raises(UserError, match="standard input:2: there is no image 'labb': did you mean lab"):
        box.run("allow", "import", "-", stdin=f"{PC}\n{ROOM} image=labb\n")
    table = box.run("allow", "export", "--csv")
    assert table.splitlines()[1] == f"{ROOM},,,,,,lab"
    assert box.run("allow", "set", ROOM, "--image", "") == f"{ROOM}: no settings of its own\n"
    assert box.run("allow", "import", "-", stdin=table) == "imported 1 entries: 0 new, 1 known\n"
    assert exported(box) == f"{ROOM} image=lab"


def run_status(box: BoxWithReleases) -> str:
    done = netboot_appliance("--config", box.data / "c.toml", "status")
    assert done.returncode == 3
    return str(done.stdout)


def test_the_verbs_of_images_are_for_each_image(box: BoxWithReleases) -> None:
    images = box.data / "images"
    later = "20261202-090000-dddddddd"
    for each in (LAB, later):
        publish(images, each, "lab")
        box.run("image", "activate", each)
    rows = [line.split()[:3] for line in box.run("image", "list").splitlines()[1:]]
    assert rows == [
        [later, "lab", "active"],
        [LAB, "lab", "previous"],
        [NEW, "boinc", "active"],
        [OLD, "boinc", "previous"],
    ]
    assert box.run("image", "show", "current.lab").startswith(f"release       {later} (active)\nimage         lab\n")
    assert box.run("image", "rollback", "lab") == f"active: {LAB}\n"
    assert box.run("image", "show", "previous.lab").startswith(f"release       {later} (previous)\n")
    assert release.active_ids(images) == {"boinc": NEW, "lab": LAB}
    with pytest.raises(UserError, match="there is no image 'lap'"):
        box.run("image", "rollback", "lap")
    for wrong in ("current./../lab", "current.rack", "currently", ""):
        with pytest.raises(UserError, match="no release"):
            box.run("image", "show", wrong)
    # PCs without such a range still boot what they booted.
    assert f"BOINC (image {NEW})" in box.run("menu", "show")


def test_a_build_that_was_followed_and_made_another_image_is_no_success(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    (box.data / "images" / "lab").mkdir()
    made = BuildResult(release.read(box.data / "images", NEW), unchanged=False)
    monkeypatch.setattr(image_build, "mount_images", lambda config: None)
    monkeypatch.setattr(RequestedBuild, "run", lambda self, report: [made])
    assert box.run("image", "build").startswith(f"active: {NEW} (")
    with pytest.raises(UserError, match="the build that was followed did not make lab") as caught:
        box.run("image", "build", "lab", "boinc", "--force")
    assert caught.value.hint == "do it now: netboot-appliance image build lab"
