"""What an image would be made of: `image recipe check`, and its --json. PURE."""

from dataclasses import dataclass

from image.customization import Customization
from image.package_names import UnknownPackage
from image.recipe import ImageRecipe


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """A repository beside Debian's own."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecipeView:
    """The recipe of an image, by its name, and what its `directory` adds. `files` are paths in the live system, without
    directories, `answers` how many questions of packages are answered, `notes` what does not count, in words.

    `unknown`: packages that the mirror does not have. `lists` is of when its lists are, ISO 8601, or None if there is
    nothing to compare; `not_checked` says why nothing was compared, or is empty.
    """

    image: str
    directory: str
    distribution: str
    kernel: str
    backports: bool
    firmware: str
    packages: tuple[str, ...]
    repositories: tuple[RepositoryView, ...]
    files: tuple[str, ...]
    hooks: tuple[str, ...]
    answers: int
    notes: tuple[str, ...]
    unknown: tuple[UnknownPackage, ...]
    lists: str | None
    not_checked: str


def recipe_view(
    image: str,
    directory: str,
    recipe: ImageRecipe,
    added: Customization,
    unknown: tuple[UnknownPackage, ...],
    lists: str | None,
    not_checked: str,
) -> RecipeView:
    """The values as they are shown."""
    notes = added.notes
    if added.repositories and not recipe.packages:
        notes += ("no package is named, so nothing comes from the repositories",)
    if added.answers and not recipe.packages:
        notes += ("no package is named, so nobody asks for the answers",)
    answers = [line for line in added.answers.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return RecipeView(
        image=image,
        directory=directory,
        distribution=recipe.distribution,
        kernel=recipe.kernel,
        backports=recipe.backports,
        firmware=str(recipe.firmware),
        packages=recipe.packages,
        repositories=tuple(RepositoryView(each.uris, each.suites, each.components) for each in added.repositories),
        files=tuple(each.name for each in added.files if each.sha256 or each.target),
        hooks=tuple(each.name for each in added.hooks),
        answers=len(answers),
        notes=notes,
        unknown=unknown,
        lists=lists,
        not_checked=not_checked,
    )
