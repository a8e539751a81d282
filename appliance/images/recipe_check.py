"""What an image would be made of, with its packages compared to those of the mirror. Builds nothing."""

from dataclasses import dataclass

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images.recipe import wanted
from image import apt, apt_lists
from image.apt_lists import NamesChecked
from image.customization import Customization
from image.progress import BuildError
from image.recipe import ImageRecipe


@dataclass(frozen=True, slots=True)
class CheckedRecipe:
    """The recipe of an image, what is added to it, and what the mirror has of its packages."""

    recipe: ImageRecipe
    added: Customization
    names: NamesChecked


def check(config: Config, name: str) -> CheckedRecipe:
    """Read all that an image is made of, and ask the mirror if need be; raises UserError for what cannot be used."""
    recipe, added = wanted(config, name)
    try:
        mirrors = apt.mirrors_for(recipe, config.image.snapshot_mirror)
    except BuildError as error:
        raise UserError(str(error), error.hint) from error
    names = apt_lists.check(recipe, added.repositories, mirrors, config.server.data / "build")
    return CheckedRecipe(recipe, added, names)
