"""What a build is made of: the configuration and the directory beside it."""

from pathlib import Path

import pytest

from appliance.config import images
from appliance.config.file import Config, ImageSettings, ServerSettings
from appliance.errors import UserError
from appliance.images import known_digests, recipe
from appliance.images.build_order import BuildOrder
from appliance.images.requested_build import Builder, RequestedBuild, request
from image.build import Rebuild
from image.progress import BuildError


@pytest.fixture
def config(tmp_path: Path) -> Config:
    server = ServerSettings(data=tmp_path / "data")
    return Config(tmp_path / "config.toml", server=server, image=ImageSettings(packages=("htop", "sl")))


def test_without_a_directory_it_is_the_configuration_alone(config: Config) -> None:
    made_of, added = recipe.wanted(config)
    assert made_of == config.image.recipe
    assert not added.layer


def test_packages_of_the_directory_come_after_those_of_the_configuration_each_once(config: Config) -> None:
    own = images.directory(config)
    assert own == config.path.parent / "images" / "boinc"
    own.mkdir(parents=True)
    (own / "packages").write_text("tree\nhtop\n")
    assert recipe.wanted(config)[0].packages == ("htop", "sl", "tree")


def test_what_cannot_be_used_is_said_before_a_build_begins_and_by_one_that_began(config: Config) -> None:
    (images.directory(config) / "flies").mkdir(parents=True)
    with pytest.raises(UserError, match="flies is nothing that an image can be made of"):
        request(config, config.path, Rebuild.NEVER, inside_unit=False)
    with pytest.raises(BuildError, match="flies is nothing that an image can be made of") as caught:
        RequestedBuild(config, BuildOrder(), Builder.PROCESS).run(lambda progress: None)
    assert (caught.value.stage, caught.value.hint) == (
        "checks",
        "known are: recipe.toml, packages, files/, hooks/, repositories/, preseed/ and live-build's config/",
    )


def own_recipe(config: Config, text: str, name: str = "boinc") -> Path:
    own = images.directory(config, name)
    own.mkdir(parents=True, exist_ok=True)
    (own / "recipe.toml").write_text(text)
    return own


def test_a_file_of_its_own_overrides_the_configuration_for_one_image(config: Config) -> None:
    text = '[image]\ndistribution = "bookworm"\nkernel = "rt-amd64"\nfirmware = true\npackages = ["tree"]\n'
    own_recipe(config, text, "room-12")
    made_of, _ = recipe.wanted(config, "room-12")
    assert (made_of.distribution, made_of.kernel, made_of.firmware) == ("bookworm", "rt-amd64", "all")
    assert made_of.packages == ("tree",)
    assert recipe.wanted(config)[0] == config.image.recipe


def test_locale_and_keyboard_bring_their_packages_and_answers_and_own_answers_win(config: Config) -> None:
    own = own_recipe(config, '[image]\nlocale = "de_DE.UTF-8"\nkeyboard = "ch fr"\n')
    (own / "preseed").mkdir()
    (own / "preseed" / "a.cfg").write_text("locales locales/default_environment_locale select None\n")
    made_of, added = recipe.wanted(config)
    assert made_of.packages == ("htop", "sl", "locales", "console-setup", "keyboard-configuration")
    answers = added.answers.splitlines()
    assert "keyboard-configuration keyboard-configuration/variantcode string fr" in answers
    assert answers[-1] == "locales locales/default_environment_locale select None"
    assert added.places["locales"] == f"{own}/recipe.toml, locale or keyboard"
    assert added.places["htop"] == f"{config.path}, [image] packages"


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        (
            '[image]\n\nkernel = "686"\n',
            3,
            "'686' is not a kernel flavour",
            "choose one of amd64, cloud-amd64, rt-amd64",
        ),
        ('[image]\ndistribution = "sid"\n', 2, "'sid' is not supported", "trixie, bookworm"),
        ("[image]\nbackport = true\n", 2, "unknown key 'backport'", "did you mean backports?"),
        ('[image]\nroot = "http"\n', 2, "unknown key 'root'", "known here: backports"),
        ('[image]\nbackports = "yes"\n', 2, "write true or false", ""),
        ('[image]\nlocale = "german"\n', 2, "'german' is not the name of a locale", ""),
        ('[image]\nkeyboard = "de; reboot"\n', 2, "'de; reboot' is no keyboard", ""),
        ('[image]\npackages = ["Htop"]\n', 2, "'Htop' is not the name of a Debian package", ""),
        ('kernel = "amd64"\n', 1, "unknown section 'kernel'", ""),
        ("[image\n", 0, "not valid TOML", ""),
    ],
)
def test_a_wrong_line_is_named_with_what_would_be_right(
    config: Config, text: str, line: int, words: str, hint: str
) -> None:
    own = own_recipe(config, text)
    with pytest.raises(UserError) as caught:
        recipe.wanted(config)
    assert words in caught.value.message
    assert hint in f"{caught.value.message} {caught.value.hint}"
    if line and "section" not in words:
        assert caught.value.message.startswith(f"{own}/recipe.toml:{line}: ")


@pytest.mark.parametrize("name", ["", "..", "a/b", "Room", "-x", "a" * 33, "a\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(config: Config, name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of an image"):
        recipe.wanted(config, name)


def test_digests_are_kept_where_the_image_is_built(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_digests, "_SETTLED", -1 << 62)
    files = images.directory(config) / "files"
    files.mkdir(parents=True)
    (files / "motd").write_text("hello")
    first = recipe.wanted(config)
    assert not config.server.data.exists(), "it makes no directory"
    (config.server.data / "build").mkdir(parents=True)
    assert recipe.wanted(config) == first
    kept = config.server.data / "build" / "digests-boinc.json"
    assert str(files / "motd") in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert recipe.wanted(config) == first
