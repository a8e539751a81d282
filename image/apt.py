"""Which Debian archive and proxy apt uses on this machine: the image is built from the same ones.

Reads /etc/apt and asks apt-config; `image.mirrors` parses their text.
"""

import platform
from pathlib import Path

from image import command, mirrors
from image.progress import BuildError
from image.recipe import ImageRecipe

DIRECTORY = Path("/etc/apt")


def mirrors_for(recipe: ImageRecipe, snapshot_mirror: str = "") -> mirrors.Mirrors:
    """Return the archives for a recipe: those that apt uses here or, for a snapshot, those at `snapshot_mirror`
    (mirrors.of_snapshot). Raises BuildError."""
    if not recipe.snapshot:
        return mirrors_of_this_machine(recipe.distribution)
    if not snapshot_mirror:
        raise BuildError(
            "checks",
            f"the image is to be of the snapshot {recipe.snapshot}, and no mirror has snapshots",
            "name one: [image] snapshot_mirror",
        )
    try:
        proxy = mirrors.parse_proxy(command.output(("apt-config", "dump", "Acquire::http::Proxy")))
    except (OSError, command.CommandError) as error:
        raise BuildError("checks", f"cannot ask apt-config: {error}", "check apt-config") from error
    return mirrors.of_snapshot(snapshot_mirror, recipe.snapshot, proxy)


def mirrors_of_this_machine(distribution: str) -> mirrors.Mirrors:
    """Return the Debian archive that apt uses here; raises BuildError when its sources name none."""
    try:
        files = (DIRECTORY / "sources.list", *sorted((DIRECTORY / "sources.list.d").glob("*")))
        sources = [
            source
            for path in files
            if path.suffix in (".list", ".sources") and path.is_file()
            for source in mirrors.parse(path.read_text(errors="replace"), deb822=path.suffix == ".sources")
        ]
        proxy = mirrors.parse_proxy(command.output(("apt-config", "dump", "Acquire::http::Proxy")))
        return mirrors.choose(sources, distribution, _codename() or distribution, proxy)
    except mirrors.MirrorError as error:
        raise BuildError("checks", str(error), error.hint) from error
    except (OSError, command.CommandError) as error:
        raise BuildError("checks", f"cannot read apt's sources: {error}", "check /etc/apt and apt-config") from error


def _codename() -> str:
    """The Debian release of this machine, such as `trixie`; empty if it does not run Debian."""
    about = platform.freedesktop_os_release()
    return about.get("VERSION_CODENAME", "") if about.get("ID") == "debian" else ""
