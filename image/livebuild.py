"""The input of live-build: the arguments of `lb config` and the config tree. PURE: runs and writes nothing.

Options: lb_config(1) of live-build 20230502 (Debian 12) and 20250505 (Debian 13).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from image.mirrors import Mirrors
from image.recipe import ImageRecipe

EXECUTABLE, PLAIN = 0o755, 0o644

_FIRMWARE = ("firmware-bnx2", "firmware-misc-nonfree", "firmware-realtek")
_OF_SERVERS = ("firmware-bnx2x",)
_MICROCODE = ("amd64-microcode", "intel-microcode")
# A newer kernel asks for newer firmware, too. 500 is what apt gives the distribution itself: the newest version wins.
_BACKPORTS = """\
Package: linux-base* linux-binary-* linux-image-* linux-modules-* firmware-* *-microcode
Pin: release n={distribution}-backports
Pin-Priority: 500
"""
_NO_MIRRORS = Mirrors("", "", updates=True)


def arguments(recipe: ImageRecipe, mirrors: Mirrors) -> tuple[str, ...]:
    """Return the arguments of `lb config`, one per element and unquoted."""
    return ("noauto", *(part for name, value in _options(recipe, mirrors).items() for part in (f"--{name}", value)))


def config_tree(recipe: ImageRecipe, tree: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of live-build's `config` directory by relative path: image/tree's and the recipe's."""
    files = dict(tree)
    # What hooks of the tree find in their environment.
    files["environment.chroot"] = f"FIRMWARE={recipe.firmware}\n".encode()
    if recipe.backports:
        files["archives/backports.pref.chroot"] = preferences(recipe).encode()
    return files


def preferences(recipe: ImageRecipe) -> str:
    """Return apt's preferences for an image of this recipe; empty if it has none."""
    return _BACKPORTS.format(distribution=recipe.distribution) if recipe.backports else ""


def archive_areas(recipe: ImageRecipe) -> str:
    """Return the areas of Debian's archive that an image of this recipe is made from, separated by spaces."""
    return "main non-free-firmware" if unfree_packages(recipe) else "main"


def packages(recipe: ImageRecipe, tree: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the packages that every live system of this kind has, without the kernel and the recipe's own."""
    lists = [content.decode() for name, content in sorted(tree.items()) if name.startswith("package-lists/")]
    named = [line for text in lists for line in text.splitlines() if line and not line.startswith("#")]
    # Zones such as US/Eastern: a package of their own since Debian 13.
    zones = () if recipe.distribution == "bookworm" else ("tzdata-legacy",)
    return (*named, *zones, *unfree_packages(recipe))


def unfree_packages(recipe: ImageRecipe) -> tuple[str, ...]:
    """Return the packages with firmware and microcode, from the archive's area non-free-firmware."""
    if recipe.firmware == "none":
        return ()
    # Of Intel's cards: in Debian 12, as it was released, it is a part of firmware-misc-nonfree.
    intel = () if recipe.distribution == "bookworm" and not recipe.backports else ("firmware-intel-misc",)
    return (*_FIRMWARE, *intel, *(_OF_SERVERS if recipe.firmware == "all" else ()), *_MICROCODE)


def apt_options(recipe: ImageRecipe) -> tuple[str, ...]:
    """Return the options of apt for the archives that the image is made of."""
    # The lists of a snapshot are as old as they are meant to be.
    old = ("-o", "Acquire::Check-Valid-Until=false") if recipe.snapshot else ()
    return ("-o", "Acquire::Retries=2", "-o", "APT::Update::Error-Mode=any", *old)


def mode(content: bytes) -> int:
    """Return the permissions of a file of the tree: scripts are executable, whatever their mode in the checkout."""
    return EXECUTABLE if content.startswith(b"#!") else PLAIN


def digest(recipe: ImageRecipe, tree: Mapping[str, bytes], added: str = "") -> str:
    """Return a SHA-256 of everything that determines an image, except the mirrors it is fetched from. `added` is that
    of what the administrator adds."""
    whole = hashlib.sha256(json.dumps([asdict(recipe), arguments(recipe, _NO_MIRRORS)]).encode())
    whole.update(added.encode())
    digest_files(whole, config_tree(recipe, tree))
    return whole.hexdigest()


def digest_files(whole: "hashlib._Hash", files: Mapping[str, bytes]) -> None:
    """Add files, with their names and permissions, to a digest."""
    for name, content in sorted(files.items()):
        whole.update(f"{name} {mode(content):o} {len(content)}\n".encode() + content)


def bootstrap_key(recipe: ImageRecipe, mirrors: Mirrors) -> str:
    """Return a key for everything the cached first stage depends on: with another key the cache cannot be used."""
    options = _options(recipe, mirrors)
    names = ("distribution", "architecture", "archive-areas", "debootstrap-options", "mirror-bootstrap", "system")
    return hashlib.sha256("\n".join(options[name] for name in names).encode()).hexdigest()


def _options(recipe: ImageRecipe, mirrors: Mirrors) -> dict[str, str]:
    options = {
        "mode": "debian",
        # Only what follows from "live" and is wanted: Debian 13 would also put a file with a date in the place of
        # /etc/os-release, which differs from server to server.
        "system": "normal",
        "initramfs": "live-boot",
        "initsystem": "systemd",
        "distribution": recipe.distribution,
        "architecture": recipe.architecture,
        "archive-areas": archive_areas(recipe),
        "linux-flavours": recipe.kernel,
        # The image type should add nothing to the live system: tar, no loader. A single space tells live-build that
        # there is none.
        "binary-image": "tar",
        "bootloaders": " ",
        "debootstrap-options": "--variant=minbase --include=ca-certificates,zstd",
        # A list that could not be fetched is an error at once, not a package that is missing later.
        "apt-options": " ".join(("--yes", *apt_options(recipe))),
        "apt-recommends": "false",
        "apt-indices": "false",
        "apt-source-archives": "false",
        # live-build would add all firmware: 500 MB.
        "firmware-chroot": "false",
        "firmware-binary": "false",
        "debian-installer": "none",
        "memtest": "none",
        "win32-loader": "false",
        "loadlin": "false",
        "zsync": "false",
        "checksums": "none",
        "compression": "none",
        "cache-packages": "true",
        "updates": "true" if mirrors.updates else "false",
        "backports": "true" if recipe.backports else "false",
        "mirror-bootstrap": mirrors.archive,
        "mirror-chroot": mirrors.archive,
        "mirror-binary": mirrors.archive,
        "mirror-chroot-security": mirrors.security,
        "mirror-binary-security": mirrors.security,
    }
    if mirrors.proxy:
        options["apt-http-proxy"] = mirrors.proxy
    return options
