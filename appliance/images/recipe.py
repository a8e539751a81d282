"""What an image is made of: [image] in the configuration, and what the administrator has put beside it.

That is the directory `images/NAME` beside the configuration file: image/customization.py says what may be in it. Its
`recipe.toml` overrides what [image] says, for this image alone.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from appliance.config import images, toml
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images.known_digests import KnownDigests
from image import preseed
from image.custom_files import CustomizationError, read_text
from image.customization import Customization, read
from image.names import DEFAULT
from image.recipe import Firmware, ImageRecipe

FILE = "recipe.toml"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class OwnRecipe:
    """`recipe.toml`: [image] there. What is None is as in the configuration. `locale` and `keyboard` are answers for
    the packages that make them, which are installed, too."""

    distribution: str | None = None
    kernel: str | None = None
    backports: bool | None = None
    firmware: Firmware | None = None
    packages: tuple[str, ...] | None = None
    locale: str = ""
    keyboard: str = ""

    def __post_init__(self) -> None:
        self.over(ImageRecipe())
        for name, answers in (("locale", preseed.of_locale), ("keyboard", preseed.of_keyboard)):
            if value := getattr(self, name):
                try:
                    answers(value)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None

    def over(self, recipe: ImageRecipe) -> ImageRecipe:
        """The recipe with what this one sets; raises ValueError."""
        set_here = {name: value for name, value in asdict(self).items() if name not in ("locale", "keyboard")}
        return replace(recipe, **{name: value for name, value in set_here.items() if value is not None})

    @property
    def answers(self) -> tuple[tuple[str, ...], str]:
        """The packages of locale and keyboard, and the answers for them."""
        both = [preseed.of_locale(self.locale)] if self.locale else []
        both += [preseed.of_keyboard(self.keyboard)] if self.keyboard else []
        return tuple(name for names, _ in both for name in names), "".join(text for _, text in both)


def wanted(config: Config, name: str = DEFAULT) -> tuple[ImageRecipe, Customization]:
    """Return what a build of an image would be made of now; raises UserError. Packages come in this order: those of
    [image], those of the directory, those of locale and keyboard."""
    own = images.directory(config, images.new_name(name))
    digests = KnownDigests(config.server.data / "build" / f"digests-{name}.json")
    try:
        added = read(own, digests.of)
        said = _own_recipe(own / FILE)
    except CustomizationError as error:
        raise UserError(str(error), error.hint) from error
    digests.save()
    recipe = said.over(config.image.recipe)
    packages, answers = said.answers
    named = f"{own / FILE}" if said.packages is not None else f"{config.path}, [image] packages"
    places = dict.fromkeys(packages, f"{own / FILE}, locale or keyboard") | dict(added.places)
    places |= dict.fromkeys(recipe.packages, named)
    both = tuple(dict.fromkeys((*recipe.packages, *added.packages, *packages)))
    # An answer of the administrator's own is the last, and so it wins.
    return replace(recipe, packages=both), replace(added, answers=answers + added.answers, places=places)


def _own_recipe(path: Path) -> OwnRecipe:
    """What the image's own file says; raises UserError, CustomizationError."""
    try:
        text = read_text(path, _LARGEST)
    except FileNotFoundError:
        return OwnRecipe()
    except OSError as error:
        raise CustomizationError(f"cannot read {path}: {error.strerror}", "run with sudo") from error
    found: OwnRecipe = toml.read(text, path, {"image": OwnRecipe}).get("image", OwnRecipe())
    return found
