"""`image ls`, `cat` and `sbom`: what is in a release, without booting it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say, show_bytes, show_json
from appliance.config.file import load
from appliance.errors import NotFoundError, UserError
from appliance.view.image_contents import LiveFileView, live_file_view, names_of_numbers
from image import contents, file_tree, sbom
from image.file_tree import FileTreeError
from image.release import Release, ReleaseError
from image.squashfs import Node

_LONGEST_LIST_OF_NAMES = 1 << 20


def ls(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="A file or directory. Default: /.", show_default=False)
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-R", help="With all directories below.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List files of a live system as PCs see it, like ls -l. Needs no root, and mounts nothing."""
    release, wanted = _both(context, ident, path)
    with _opened(release) as root:
        shown = list(_listed(root, wanted or "/", recursive=recursive))
    if as_json:
        show_json(shown)
        return
    # Not a table of rich's: that takes seconds for all files of a live system.
    owners = max((len(each.owner) for each in shown), default=0)
    groups = max((len(each.group) for each in shown), default=0)
    sizes = max((len(_size(each)) for each in shown), default=0)
    say(
        *(
            f"{each.mode} {each.owner:{owners}} {each.group:{groups}} {_size(each):>{sizes}} {_when(each)} "
            f"{each.path}{f' -> {each.target}' if each.target else ''}"
            for each in shown
        )
    )


def cat(
    context: typer.Context,
    ident: Annotated[str, argument("A release. Without it: the active one.")],
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="A file of its live system.", show_default=False)
    ] = None,
) -> None:
    """Print a file of a live system as PCs see it. Needs no root, and mounts nothing."""
    release, wanted = _both(context, ident, path)
    if wanted is None:
        raise UserError("which file?", "for example: netboot-appliance image cat /etc/os-release")
    with _opened(release) as root:
        found, node = file_tree.find(root, wanted)
        if node.content is None:
            raise UserError(
                f"{found} is not a regular file", f"see what it is: netboot-appliance image ls {release.id} {found}"
            )
        show_bytes(node.content.chunks())


def bill(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
) -> None:
    """Print what a release is made of, as SPDX 2.3 in JSON (SBOM): Debian's packages with versions, and checksums."""
    release = chosen(load(context.obj).images, ident)
    try:
        packages = contents.packages(release)
    except ReleaseError as error:
        raise UserError(str(error), error.hint) from None
    files = {name: file.sha256 for name, file in release.files.items()}
    show_json(sbom.document(release.id, release.created, release.recipe, packages, files))


def _both(context: typer.Context, ident: str | None, path: str | None) -> tuple[Release, str | None]:
    """The release and the path: `image ls /etc` is of the active one."""
    if ident and path is None and ident.startswith("/"):
        ident, path = None, ident
    return chosen(load(context.obj).images, ident), path


@contextmanager
def _opened(release: Release) -> Iterator[Node]:
    """The live system's root; what is wrong with it becomes a UserError."""
    try:
        with contents.opened(release) as root:
            yield root
    except FileTreeError as error:
        raise NotFoundError(str(error), "list what there is: netboot-appliance image ls") from None
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None


def _listed(root: Node, path: str, *, recursive: bool) -> Iterator[LiveFileView]:
    users, groups = _names(root, "/etc/passwd"), _names(root, "/etc/group")
    found, node = file_tree.find(root, path, follow=path.endswith("/"))
    if node.kind != "d":
        yield live_file_view(found, node, users, groups)
    elif recursive:
        for below, each in file_tree.walk(node, found.rstrip("/")):
            yield live_file_view(below, each, users, groups)
    else:
        for name, each in sorted(node.children.items()):
            yield live_file_view(f"{found.rstrip('/')}/{name}", each, users, groups)


def _names(root: Node, path: str) -> dict[int, str]:
    try:
        _, node = file_tree.find(root, path)
    except FileTreeError:
        return {}
    if node.content is None or node.size > _LONGEST_LIST_OF_NAMES:
        return {}
    return names_of_numbers(b"".join(node.content.chunks()).decode(errors="replace"))


def _size(shown: LiveFileView) -> str:
    return f"{shown.device[0]}, {shown.device[1]}" if shown.device else f"{shown.size:,}"


def _when(shown: LiveFileView) -> str:
    return f"{datetime.fromisoformat(shown.modified).astimezone():%Y-%m-%d %H:%M}"
