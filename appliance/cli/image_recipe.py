"""`image recipe`: what an image is made of."""

from typing import Annotated

import typer

from appliance.cli.arguments import JSON, image_names
from appliance.cli.output import say, show_json
from appliance.config import images
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import new_recipe, recipe_check
from appliance.view.recipe import RecipeView, recipe_view
from appliance.view.words import counted, moment
from image.customization import unknown_names
from image.names import DEFAULT

app = typer.Typer(
    name="recipe",
    help="What an image is made of: its own packages, files, hooks and repositories.",
    epilog="A recipe is a directory beside the configuration file: images/NAME.",
    no_args_is_help=True,
)
_SHOWN = 5


@app.command(
    epilog="Examples: sudo netboot-appliance image recipe new boinc; sudo netboot-appliance image recipe new room-12"
)
def new(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and dashes.", show_default=False)
    ],
) -> None:
    """Make the directory of an image, with comments that say what may be in it. Never overwrites anything."""
    made = new_recipe.write(load(context.obj), name)
    say(
        f"wrote {made}",
        f"next: edit it, then: netboot-appliance image recipe check{'' if name == DEFAULT else f' {name}'}",
    )


@app.command(
    epilog="Examples: sudo netboot-appliance image recipe check; netboot-appliance image recipe check room-12 --json"
)
def check(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]", help=f"An image. Default: {DEFAULT}.", show_default=False, autocompletion=image_names
        ),
    ] = DEFAULT,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Read all that an image is made of, and look whether the mirror has its packages. Builds nothing.

    The lists of the mirror are kept, and fetched again for a name that they do not have. Exit code 2: something cannot
    be used, or a package is not there. Exit code 1: the mirror could not be asked.
    """
    config = load(context.obj)
    own = images.directory(config, images.new_name(name))
    if not own.is_dir() and name != DEFAULT:
        raise UserError(
            f"there is no image {name!r}: no directory {own}", f"make it: netboot-appliance image recipe new {name}"
        )
    found = recipe_check.check(config, name)
    fetched = found.names.fetched.isoformat(timespec="seconds") if found.names.fetched else None
    shown = recipe_view(name, str(own), found.recipe, found.added, found.names.unknown, fetched, found.names.trouble)
    if as_json:
        show_json(shown)
    else:
        _show(shown)
    if shown.unknown:
        raise UserError(*unknown_names(shown.unknown, found.added.places))
    if shown.not_checked:
        raise UserError(f"the names of packages were not checked: {shown.not_checked}", "all else can be used", code=1)
    if not as_json:
        lists = f"; its lists are of {moment(found.names.fetched.timestamp())}" if found.names.fetched else ""
        say(f"all of it can be used{f', and the mirror has the packages{lists}' if lists else ''}")


def _show(shown: RecipeView) -> None:
    kernel = f"{shown.kernel}{' of its backports' if shown.backports else ''}"
    say(f"image         {shown.image}")
    say(f"directory     {shown.directory}")
    say(f"distribution  {shown.distribution}, kernel {kernel}, firmware {shown.firmware}")
    say(f"packages      {_some(shown.packages)}")
    for each in shown.repositories:
        say(f"repository    {' '.join((*each.uris, *each.suites, *each.components))}")
    say(f"files         {_some(tuple(f'/{each}' for each in shown.files))}")
    say(f"hooks         {_some(shown.hooks)}")
    if shown.answers:
        say(f"answers       {counted(shown.answers, 'question', 'questions')} of packages")
    for note in shown.notes:
        say(f"note          {note}")


def _some(names: tuple[str, ...]) -> str:
    if not names:
        return "none beside those of every image"
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{len(names):,}: {' '.join(names[:_SHOWN])}{more}"
