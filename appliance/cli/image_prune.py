"""`image prune`: delete old releases."""

import time
from typing import Annotated

import typer

from appliance.boot.named_releases import named_releases
from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_json, show_table
from appliance.config import images
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import rollout_table
from appliance.images.in_use import releases_in_use
from appliance.registry.database import Registry
from appliance.view.images import KeptView, pruned
from appliance.view.words import size
from image import prune as pruning
from image.release import ReleaseError

_MACS_SHOWN = 3


def prune(
    context: typer.Context,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", min=1, metavar="N", help="How many of the newest releases to keep. [default: [image] keep]"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Delete old releases. Keeps of each image the newest, the active and the previous one, and a canary, and any that
    a boot menu names or a PC may be running.

    An image that has no directory any more, and that no range names, is given up: nothing of it is kept as its newest,
    active or previous one.

    A PC does not tell when it is switched off: its last release is kept until it boots another one, or is no longer
    allowed (allow remove).
    """
    config = load(context.obj)
    with Registry(config.registry) as registry:
        holders, named = releases_in_use(registry, time.time()), named_releases(config, registry)
        tried = rollout_table.released(registry)
        retired = images.retired(config, registry.allowlist().images)
    try:
        act = pruning.choose if dry_run else pruning.prune
        found = act(config.images, keep or config.image.keep, holders.keys(), named, tried, retired)
    except ReleaseError as error:
        raise UserError(str(error), error.hint) from None
    except OSError as error:
        raise UserError(
            f"the releases in {config.images} cannot be deleted: {error}", "run with sudo; check the disk", code=1
        ) from None
    done = pruned(found, holders, dry_run=dry_run)
    if as_json:
        show_json(done)
        return
    rows = [(each.id, size(each.size), "kept", _words(each)) for each in done.kept]
    rows += [(each.id, size(each.size), "would be deleted" if dry_run else "deleted", "") for each in done.deleted]
    show_table(("release", "size", "", "why"), rows, "No release yet. Build one: netboot-appliance image build")
    say(f"{size(done.freed)} {'would be freed' if dry_run else 'freed'}")


def _words(kept: KeptView) -> str:
    why = ", ".join(kept.why)
    if not kept.clients:
        return why
    more = f" and {len(kept.clients) - _MACS_SHOWN} more" if len(kept.clients) > _MACS_SHOWN else ""
    return f"{why}: {', '.join(kept.clients[:_MACS_SHOWN])}{more}"
