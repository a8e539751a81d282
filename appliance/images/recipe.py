"""What the image is made of: [image] in the configuration, and what the administrator has put beside it.

That is the directory `images/boinc` beside the configuration file: image/customization.py says what may be in it.
"""

from dataclasses import replace
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from image.customization import Customization, CustomizationError, read
from image.recipe import ImageRecipe

NAME = "boinc"


def directory(config: Config) -> Path:
    """Where the administrator puts packages, files and hooks for the image."""
    return config.path.parent / "images" / NAME


def wanted(config: Config) -> tuple[ImageRecipe, Customization]:
    """Return what a build now would be made of; raises UserError."""
    try:
        added = read(directory(config))
        recipe = config.image.recipe
        packages = tuple(dict.fromkeys((*recipe.packages, *added.packages)))
        return replace(recipe, packages=packages), added
    except CustomizationError as error:
        raise UserError(str(error), error.hint) from error
