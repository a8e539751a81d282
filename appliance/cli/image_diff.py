"""`image diff`: what differs between two releases."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say, show_json
from appliance.config.file import load
from appliance.errors import UserError
from appliance.view.compared import compare
from appliance.view.image_contents import LiveFileView
from appliance.view.image_diff import ChangedFile, FilesDiff, PackagesDiff, ReleaseDiff
from appliance.view.words import moment, size
from image.names import CURRENT
from image.release import ReleaseError


def diff(
    context: typer.Context,
    old: Annotated[str, argument("A release from `image list`, `current` or `previous`.", "A")],
    new: Annotated[
        str | None, argument("The one to compare it with. Default: the active one of its image.", "[B]")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show what differs between two releases: recipe, packages with their versions, kernel, sizes, and each file.

    Files are the same if kind, content, owner and permissions are; their times are not compared. The kernel's arguments
    come from the configuration, and are not part of a release. Needs no root. Exit code: 0, whatever differs.
    """
    images = load(context.obj).images
    first = chosen(images, old)
    try:
        found = compare(first, chosen(images, new or f"{CURRENT}.{first.image}"), with_files=True)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    if as_json:
        show_json(found)
    else:
        say(*lines(found))


def lines(found: ReleaseDiff) -> Iterator[str]:
    """What differs, for people."""
    old, new = found.old, found.new
    rows = [
        ("", old.id, new.id),
        ("built", _built(old.created), _built(new.created)),
        ("kernel", old.kernel, new.kernel),
        ("size", size(old.size), size(new.size)),
        *((f"[image] {each.name}", each.old, each.new) for each in found.recipe),
        *((each.name, _or_none(each.old), _or_none(each.new)) for each in found.parts),
    ]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    yield from (f"{name:{first}}  {then:{second}}  {now}".rstrip() for name, then, now in rows)
    if found.cause:
        yield found.cause
    yield from _packages(found.packages)
    if found.files:
        yield from _files(found.files)


def _built(created: str) -> str:
    return moment(datetime.fromisoformat(created).timestamp())


def _or_none(count: int | None) -> str:
    return "-" if count is None else size(count)


def _packages(found: PackagesDiff) -> Iterator[str]:
    yield ""
    yield f"packages: {_counts(found.added, found.removed, found.changed)}"
    yield from (f"  + {each.name} {each.version}" for each in found.added)
    yield from (f"  - {each.name} {each.version}" for each in found.removed)
    yield from (f"  ~ {each.name} {each.old} -> {each.new}" for each in found.changed)


def _files(found: FilesDiff) -> Iterator[str]:
    yield ""
    yield f"files: {_counts(found.added, found.removed, found.changed)}"
    yield from (f"  + {line}" for line in _of_one_side(found.added))
    yield from (f"  - {line}" for line in _of_one_side(found.removed))
    yield from (f"  ~ {each.path}: {'; '.join(_differences(each))}" for each in found.changed)


def _counts(added: Sequence[object], removed: Sequence[object], changed: Sequence[object]) -> str:
    return f"{len(added):,} added, {len(removed):,} removed, {len(changed):,} changed"


def _of_one_side(files: Sequence[LiveFileView]) -> Iterator[str]:
    """One line for each file, but only one for a directory that is there on one side only, with all that is in it."""
    at = 0
    while at < len(files):
        first, end = files[at], at + 1
        while first.kind == "directory" and end < len(files) and files[end].path.startswith(f"{first.path}/"):
            end += 1
        count = sum(each.size for each in files[at:end])
        inside = f" and {end - at - 1:,} in it" if end - at > 1 else ""
        yield f"{first.mode} {first.uid}:{first.gid} {size(count):>9} {first.path}{inside}"
        at = end


def _differences(changed: ChangedFile) -> Iterator[str]:
    old, new = changed.old, changed.new
    for what in changed.what:
        match what:
            case "kind":
                yield f"{old.kind} -> {new.kind}"
            case "mode":
                yield f"{old.mode} -> {new.mode}"
            case "owner":
                yield f"owner {old.uid}:{old.gid} -> {new.uid}:{new.gid}"
            case "size" if size(old.size) == size(new.size):
                yield f"{old.size:,} B -> {new.size:,} B"
            case "size":
                yield f"{size(old.size)} -> {size(new.size)}"
            case "target":
                yield f"{old.target or 'no link'} -> {new.target or 'no link'}"
            case "content" if "size" in changed.what:
                pass
            case _:
                yield what
