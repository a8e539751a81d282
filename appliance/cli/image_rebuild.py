"""`image rebuild --verify`: whether a release can be built again, bit for bit."""

from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.image_build import BuildDisplay, show_failure
from appliance.cli.image_choice import argument, chosen
from appliance.cli.image_diff import lines
from appliance.cli.output import say, show_json
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images.recipe import wanted
from appliance.view.compared import compare
from appliance.view.image_diff import ReproductionView
from image.progress import BuildError
from image.release import ReleaseError
from image.reproduction import differing, other_archives, reproduced


def rebuild(
    context: typer.Context,
    ident: Annotated[str, argument("A release from `image list`, `current` or `previous`.", "ID")],
    verify: Annotated[bool, typer.Option("--verify", help="Compare all bits.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Build a release again from nothing, and say whether the same bits come out, or what differs. Takes minutes.

    It is built from the mirror as it is now, or from the snapshot that the release was made of. What comes out is
    deleted; what PCs boot is not touched. Exit code: 0 if all bits are the same, 1 if not.
    """
    if not verify:
        raise UserError(
            "what is built is only compared: say --verify",
            "for a new release of today's recipe: netboot-appliance image build --force",
        )
    config = load(context.obj)
    found = chosen(config.images, ident)
    try:
        _, added = wanted(config, found.image)
        scratch, mirror = config.server.data / "build" / "again", config.image.snapshot_mirror
        with BuildDisplay() as display, reproduced(found, added, scratch, display.report, mirror) as made:
            names, archives = differing(found, made), other_archives(found, made)
            details = compare(found, made, with_files=True) if names else None
    except BuildError as error:
        show_failure(error)
        raise UserError(str(error), f"{error.hint}; nothing was changed", code=1) from None
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    except OSError as error:
        raise UserError(f"cannot build in {scratch}: {error}", "run with sudo; check the disk", code=1) from None
    except KeyboardInterrupt:
        raise UserError("interrupted", "nothing was changed", code=130) from None
    if as_json:
        show_json(ReproductionView(found.id, not names, names, archives, details))
    elif details:
        say(*lines(details), "")
        say(*(f"the archive is not in the state of then: {each}" for each in archives))
    if names:
        raise UserError(
            f"{found.id} built again is not the same: {', '.join(names)}",
            "the mirror has newer packages" if archives else "a hook may do something else each time: see the list",
            code=1,
        )
    if not as_json:
        say(f"{found.id} built again is the same: all {len(found.files)} files, bit for bit")
