"""`image check` as its user types it; what the archive says is given. Real archives: tests/unit/image."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from appliance.cli.main import app
from appliance.images import notes
from appliance.images.notes import UpdateCheck
from image import package_index, release
from image.package_index import PackageIndexError
from image.recipe import ImageRecipe
from image.updates import PackageUpdate
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, BoxWithReleases
from tests.unit.image.test_release import publish

UPDATES = (PackageUpdate("openssl", "3.5.0-1", "3.5.9-1", security=True), PackageUpdate("bash", "5.1", "5.2", False))


def archive_says(monkeypatch: pytest.MonkeyPatch, *found: PackageUpdate) -> None:
    def find(packages: Mapping[str, str], recipe: ImageRecipe, *_: object) -> tuple[PackageUpdate, ...]:
        return found

    monkeypatch.setattr(package_index, "find_updates", find)


def run(box: BoxWithReleases, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(box.data / "c.toml"), "image", "check", *arguments])


def test_updates_are_listed_those_of_security_first_and_kept(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_says(monkeypatch, *UPDATES)
    done = run(box)
    assert done.exit_code == 3
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["package", "installed", "candidate"]
    assert lines[1] == ["openssl", "3.5.0-1", "3.5.9-1", "security"]
    assert lines[2] == ["bash", "5.1", "5.2"]
    assert done.stdout.splitlines()[-1] == f"{NEW}: 2 updates, 1 of security; checked just now"
    assert "updates       2 updates, 1 of security; checked" in box.run("image", "show")
    assert json.loads(box.run("image", "show", "--json"))["check"]["security"] == 1
    found = box.status()["image_check"]
    assert isinstance(found, dict)
    assert (found["release"], [each["name"] for each in found["updates"]]) == (NEW, ["openssl", "bash"])
    shown = CliRunner().invoke(app, ["--config", str(box.data / "c.toml"), "status"]).stdout
    assert "\n          2 updates, 1 of security; checked" in shown
    assert "(do: sudo netboot-appliance image update)" in shown


def test_status_has_the_look_at_each_image(box: BoxWithReleases) -> None:
    (box.data / "images" / "lab").mkdir()
    lab = "20261201-090000-cccccccc"
    publish(box.data / "images", lab, "lab")
    release.activate(box.data / "images", lab)
    notes.keep_check(box.data / "images", lab, UpdateCheck(time.time(), UPDATES))
    assert box.status()["image_check"] is None
    shown = CliRunner().invoke(app, ["--config", str(box.data / "c.toml"), "status"]).stdout
    lines = shown.splitlines()
    at = lines.index(f"          lab: {lab}, for no PC")
    assert "          2 updates, 1 of security; checked" in "\n".join(lines[at : at + 5])
    assert '"image_check": {"release": "' + lab in json.dumps(box.status()["images"])


def test_without_updates_it_is_said_and_the_exit_code_is_0(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_says(monkeypatch)
    done = run(box, "previous", "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["release"], found["security"], found["updates"]) == (OLD, 0, [])
    assert notes.check_of(box.data / "images", OLD) is not None
    assert notes.check_of(box.data / "images", NEW) is None
    assert "no updates; checked" in box.run("image", "show", OLD)


def test_an_archive_that_is_away_is_an_error_and_what_was_known_stays(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_says(monkeypatch, *UPDATES)
    run(box)

    def away(*_: object) -> None:
        raise PackageIndexError("the archive's indices cannot be had: E: it is away", "check the network")

    monkeypatch.setattr(package_index, "find_updates", away)
    done = run(box)
    assert (done.exit_code, done.stdout) == (1, "")
    assert str(done.exception) == "the archive's indices cannot be had: E: it is away"
    kept = notes.check_of(box.data / "images", NEW)
    assert kept
    assert kept.updates == UPDATES


def test_a_result_that_cannot_be_kept_is_shown_all_the_same(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive_says(monkeypatch, *UPDATES)
    (box.data / "images" / ".notes").write_text("in the way")
    done = run(box)
    assert done.exit_code == 3
    assert "the result cannot be kept" in done.stderr
    assert "openssl" in done.stdout


def test_the_repositories_of_the_image_are_looked_at(box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def find(packages: object, recipe: object, mirror: object, added: object) -> tuple[PackageUpdate, ...]:
        asked.append(added)
        return ()

    monkeypatch.setattr(package_index, "find_updates", find)
    own = box.data / "images" / "boinc" / "repositories"
    own.mkdir(parents=True)
    (own / "v.list").write_text("deb https://v.example.org stable main\n")
    (own / "v.gpg").write_bytes(b"\x98\x03key")
    assert run(box).exit_code == 0
    (found,) = asked
    assert "https://v.example.org" in repr(found)
    # What cannot be used is said by a build.
    (own / "v.gpg").unlink()
    assert run(box).exit_code == 0
    assert asked[1:] == [()]
