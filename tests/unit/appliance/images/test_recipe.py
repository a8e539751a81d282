"""What a build is made of: the configuration and the directory beside it."""

from pathlib import Path

import pytest

from appliance.config.file import Config, ImageSettings
from appliance.errors import UserError
from appliance.images import recipe
from appliance.images.requested_build import Builder, RequestedBuild, request
from image.build import Rebuild
from image.progress import BuildError


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "config.toml", image=ImageSettings(packages=("htop", "sl")))


def test_without_a_directory_it_is_the_configuration_alone(config: Config) -> None:
    made_of, added = recipe.wanted(config)
    assert made_of == config.image.recipe
    assert not added.layer


def test_packages_of_the_directory_come_after_those_of_the_configuration_each_once(config: Config) -> None:
    own = recipe.directory(config)
    assert own == config.path.parent / "images" / "boinc"
    own.mkdir(parents=True)
    (own / "packages").write_text("tree\nhtop\n")
    assert recipe.wanted(config)[0].packages == ("htop", "sl", "tree")


def test_what_cannot_be_used_is_said_before_a_build_begins_and_by_one_that_began(config: Config) -> None:
    (recipe.directory(config) / "flies").mkdir(parents=True)
    with pytest.raises(UserError, match="flies is nothing that an image can be made of"):
        request(config, config.path, Rebuild.NEVER, inside_unit=False)
    with pytest.raises(BuildError, match="flies is nothing that an image can be made of") as caught:
        RequestedBuild(config, Rebuild.NEVER, Builder.PROCESS).run(lambda progress: None)
    assert (caught.value.stage, caught.value.hint) == (
        "checks",
        "known are: recipe.toml, packages, files/, hooks/, repositories/, preseed/ and live-build's config/",
    )
