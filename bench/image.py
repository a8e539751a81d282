"""Builds of the live image beside live-build by hand: `lb config` with the same arguments, and `lb build`.

Both use the Debian mirror of this machine's apt, so the first of each also shows how fast that is. Times are of the
wall clock; the ratio is to the plain build, which starts without a cache as the cold one does.
"""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.report import Findings, Table, number
from bench.site import WORK
from image import apt, build, customization, livebuild, work_directory
from image.build import Rebuild
from image.recipe import ImageRecipe

RECIPE = ImageRecipe()
MORE = replace(RECIPE, packages=("sl",))
"""With one package more: one of the smallest, so that the time is that of the build."""


def measure(*, quick: bool) -> Findings:
    """Measure the builds, once each; `quick` leaves out the plain one and the cold one's ratio."""
    place = WORK / "image"
    shutil.rmtree(place, ignore_errors=True)
    own = place / "own"
    seconds: dict[str, float] = {}
    if not quick:
        seconds["plain"] = _timed(lambda: _plain(place / "plain"))
        shutil.rmtree(place / "plain")

    def ours(name: str, recipe: ImageRecipe = RECIPE, rebuild: Rebuild = Rebuild.NEVER) -> None:
        added = customization.read(own)
        work, images = place / "work", place / "images"
        work.mkdir(parents=True, exist_ok=True)
        seconds[name] = _timed(lambda: build.build(recipe, work, images, lambda _: None, rebuild, added=added))

    def write(name: str, text: str) -> None:
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(text)

    ours("cold")
    ours("unchanged")
    write("files/etc/motd", "hello\n")
    ours("the first file")
    write("files/etc/motd", "hello again\n")
    ours("a file changed")
    write("hooks/10-site.chroot", "#!/bin/sh\nset -e\nsystemctl mask rescue.service\n")
    ours("a hook")
    ours("a package", MORE)
    shutil.rmtree(own)
    ours("warm", rebuild=Rebuild.ALWAYS)
    shutil.rmtree(place)
    return _findings(seconds)


_WORDS = {
    "plain": "`lb config && lb build` by hand, no cache",
    "cold": "cold: no cache",
    "warm": "warm: `--force`, all packages installed again",
    "a package": "one package more",
    "a hook": "one hook more",
    "the first file": "the first file",
    "a file changed": "a file changed",
    "unchanged": "nothing changed",
}


def _findings(seconds: dict[str, float]) -> Findings:
    found = Findings(figures={f"image {name}": taken for name, taken in seconds.items()})
    plain = seconds.get("plain")
    rows = []
    for name, words in _WORDS.items():
        if name in seconds:
            ratio = seconds[name] / plain if plain else None
            rows.append([words, number(seconds[name]), "" if ratio is None else f"{ratio:.3f}"])
            if ratio is not None:
                found.figures[f"image {name} ratio"] = ratio
    found.tables.append(Table("Builds of the live image", ["build", "s", "of the plain one"], rows))
    return found


def _plain(directory: Path) -> None:
    tree = build.read_tree()
    mirrors = apt.mirrors_of_this_machine(RECIPE.distribution)
    # What our builds queue for live-build themselves, it takes from a list; its own hooks' directory has the loaders'.
    packages = "".join(f"{name}\n" for name in livebuild.packages(RECIPE, tree)).encode()
    files = livebuild.config_tree(RECIPE, tree) | {"package-lists/recipe.list.chroot": packages}
    files["hooks/live/0050-loaders.hook.chroot"] = files.pop("hooks/loaders")
    directory.mkdir(parents=True)
    work_directory.write_files(directory / "config", files)
    squashfs = ("--chroot-squashfs-compression-type", "zstd", "--chroot-squashfs-compression-level", "9")
    with (directory / "log").open("w") as log:
        for arguments in (("config", *livebuild.arguments(RECIPE, mirrors), *squashfs), ("build",)):
            subprocess.run(["lb", *arguments], cwd=directory, stdout=log, stderr=log, check=True)


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
