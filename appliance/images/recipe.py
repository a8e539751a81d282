"""What an image is made of: [image] in the configuration, and what the administrator has put beside it.

That is the directory `images/NAME` beside the configuration file: image/customization.py says what may be in it.
"""

from dataclasses import replace
from pathlib import Path

from appliance.config import images
from appliance.config.file import Config
from appliance.errors import UserError
from image.customization import Customization, CustomizationError, read
from image.names import DEFAULT
from image.recipe import ImageRecipe


def directory(config: Config, name: str = DEFAULT) -> Path:
    """Where the administrator puts packages, files and hooks for the image `name`."""
    return images.directory(config, name)


def wanted(config: Config, name: str = DEFAULT) -> tuple[ImageRecipe, Customization]:
    """Return what a build of the image `name` would be made of now; raises UserError."""
    try:
        added = read(directory(config, name))
        recipe = config.image.recipe
        packages = tuple(dict.fromkeys((*recipe.packages, *added.packages)))
        return replace(recipe, packages=packages), added
    except CustomizationError as error:
        raise UserError(str(error), error.hint) from error
