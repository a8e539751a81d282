"""`image recipe new` and `image recipe check`, as an administrator types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli.main import app
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import recipe
from image import apt, apt_lists
from image.apt_lists import NamesChecked
from image.mirrors import Mirrors
from image.package_names import UnknownPackage
from tests.unit.appliance.cli.box_with_releases import BoxWithReleases


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BoxWithReleases:
    """A box whose mirror has every package."""
    monkeypatch.setattr(apt, "mirrors_of_this_machine", lambda _: Mirrors("http://a", "http://s", updates=True))
    monkeypatch.setattr(apt_lists, "check", lambda *_: NamesChecked())
    return BoxWithReleases(tmp_path)


def refused(box: BoxWithReleases, *arguments: str) -> UserError:
    done = CliRunner().invoke(app, ["--config", str(box.data / "c.toml"), "image", "recipe", *arguments])
    assert isinstance(done.exception, UserError)
    return done.exception


def test_a_new_recipe_is_complete_changes_nothing_and_is_never_overwritten(box: BoxWithReleases) -> None:
    own = box.data / "images" / "room-12"
    assert f"wrote {own}" in box.run("image", "recipe", "new", "room-12")
    assert {path.name for path in own.iterdir()} == {
        *("recipe.toml", "packages", "files", "hooks", "repositories", "preseed")
    }
    assert own.stat().st_mode & 0o777 == 0o755
    config = load(box.data / "c.toml")
    assert recipe.wanted(config, "room-12") == recipe.wanted(config)
    # Each setting is right once it is a comment no more.
    text = (own / "recipe.toml").read_text().replace('locale = ""', 'locale = "de_DE.UTF-8"')
    comments, _, settings = text.replace('keyboard = ""', 'keyboard = "de"').partition("[image]\n")
    (own / "recipe.toml").write_text(f"{comments}[image]\n" + settings.removeprefix("# ").replace("\n# ", "\n"))
    made_of, _ = recipe.wanted(config, "room-12")
    assert made_of.packages == ("locales", "console-setup", "keyboard-configuration")
    (own / "packages").write_text("mine\n")
    error = refused(box, "new", "room-12")
    assert "exists already; nothing was changed" in error.message
    assert (own / "packages").read_text() == "mine\n"
    assert not [path for path in own.parent.iterdir() if path.name.startswith(".room")]


def test_a_name_that_leads_elsewhere_makes_nothing(box: BoxWithReleases) -> None:
    assert "cannot be the name of an image" in refused(box, "new", "../etc").message


def test_what_would_be_built_is_shown(box: BoxWithReleases) -> None:
    own = box.data / "images" / "boinc"
    for name, text in {
        "packages": "htop tree\n",
        "files/etc/motd": "hello\n",
        "hooks/10-a.chroot": "#!/bin/sh\n",
        "repositories/v.list": "deb https://v.example.org stable main\n",
        "config/common": "",
    }.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(text)
    (own / "repositories/v.gpg").write_bytes(b"\x98\x03key")
    said = box.run("image", "recipe", "check")
    assert "packages      2: htop tree\n" in said
    assert "repository    https://v.example.org stable main\n" in said
    assert "files         1: /etc/motd\nhooks         1: 10-a.chroot\n" in said
    assert f"note          {own}/config: common: what live-build is told here does not count" in said
    assert said.endswith("all of it can be used\n")
    shown = json.loads(box.run("image", "recipe", "check", "--json"))
    assert (shown["packages"], shown["files"], shown["unknown"]) == (["htop", "tree"], ["etc/motd"], [])
    assert shown["repositories"] == [{"uris": ["https://v.example.org"], "suites": ["stable"], "components": ["main"]}]


def test_a_snapshot_is_compared_with_its_own_mirror(box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def check(recipe: object, added: object, mirrors: Mirrors, work: object) -> NamesChecked:
        asked.append(mirrors.archive)
        return NamesChecked()

    monkeypatch.setattr(apt_lists, "check", check)
    mirror = "http://m.example.org/{archive}/{snapshot}"
    box.configure(f'[image]\nsnapshot = "20261101T000000Z"\nsnapshot_mirror = "{mirror}"\n')
    box.run("image", "recipe", "check")
    assert asked == ["http://m.example.org/debian/20261101T000000Z"]


def test_a_package_that_is_not_there_is_named_with_its_line(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = box.data / "images" / "boinc"
    own.mkdir()
    (own / "packages").write_text("tree\nhtpo\n")
    found = NamesChecked((UnknownPackage("htpo", ("htop", "htp")),))
    monkeypatch.setattr(apt_lists, "check", lambda *_: found)
    error = refused(box, "check")
    assert (error.message, error.code) == (f"{own}/packages, line 2: the mirror has no package 'htpo'", 2)
    assert error.hint == "did you mean htop or htp in place of htpo?"


def test_a_mirror_that_could_not_be_asked_is_another_exit_code(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt_lists, "check", lambda *_: NamesChecked(trouble="it is away"))
    error = refused(box, "check")
    assert (error.message, error.code) == ("the names of packages were not checked: it is away", 1)


def test_an_image_that_is_not_there_is_not_checked(box: BoxWithReleases) -> None:
    error = refused(box, "check", "room-13")
    assert "there is no image 'room-13'" in error.message
