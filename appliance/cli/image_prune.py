"""`image prune`: delete old releases."""

from typing import Annotated

import typer

from appliance.boot import next_boot
from appliance.cli.output import show_json, show_table, size
from appliance.config.file import load
from appliance.config.menu import release_of
from appliance.errors import UserError
from appliance.images.in_use import releases_in_use
from appliance.registry.database import Registry
from image import prune as pruning
from image.release import ReleaseError
from services.ethernet import MacAddress

_MACS_SHOWN = 3


def prune(
    context: typer.Context,
    keep: Annotated[int, typer.Option("--keep", min=1, metavar="N", help="How many of the newest to keep.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Delete old releases; never the active one, the previous one, one that a boot menu names or a PC may be running.

    A PC that is switched off does not say so: its last release is kept until it boots another one, or is not allowed
    any more (allow remove).
    """
    config = load(context.obj)
    with Registry(config.registry) as registry:
        holders = releases_in_use(registry)
        entries = {entry.settings.entry for entry in registry.allowlist().entries}
        entries.update(each.entry for each in next_boot.all_of(registry))
    named = {name for entry in entries.union(config.menu.entries) if (name := release_of(entry))}
    try:
        act = pruning.choose if dry_run else pruning.prune
        found = act(config.images, keep, holders.keys(), named)
    except ReleaseError as error:
        raise UserError(str(error), error.hint) from None
    except OSError as error:
        raise UserError(
            f"the releases in {config.images} cannot be deleted: {error}", "run it with sudo; check the disk", code=1
        ) from None
    freed = sum(each.size for each in found.old)
    if as_json:
        show_json(
            {
                "deleted": [{"id": each.id, "size": each.size} for each in found.old],
                "kept": [
                    {
                        "id": each.id,
                        "size": each.size,
                        "why": list(why),
                        "clients": [str(mac) for mac in holders.get(each.id, [])],
                    }
                    for each, why in found.kept
                ],
                "freed": freed,
                "dry_run": dry_run,
            }
        )
        return
    rows = [(each.id, size(each.size), "kept", _words(why, holders.get(each.id, []))) for each, why in found.kept]
    rows += [(each.id, size(each.size), "would be deleted" if dry_run else "deleted", "") for each in found.old]
    show_table(("release", "size", "", "why"), rows, "No release yet. Make one with: netboot-appliance image build")
    typer.echo(f"{size(freed)} {'would be freed' if dry_run else 'freed'}")


def _words(why: tuple[str, ...], holders: list[MacAddress]) -> str:
    if not holders:
        return ", ".join(why)
    shown = ", ".join(str(mac) for mac in holders[:_MACS_SHOWN])
    more = f" and {len(holders) - _MACS_SHOWN} more" if len(holders) > _MACS_SHOWN else ""
    return f"{', '.join(why)}: {shown}{more}"
