"""What a build does step by step, as text for sh: each step adds to the tree that the one below it left. PURE.

live-build does the work, in its own smaller stages. Not all of them: `lb bootstrap`, `lb chroot` and `lb binary` set up
and take down the archive four times, install packages for their own use, and copy the whole system twice. What is left
out of them here is that, and nothing that changes the live system.

Each script runs in live-build's directory, with the tree as `chroot` in it, and puts what does not belong into the tree
into the directory `$beside`.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image import livebuild, repositories
from image.mirrors import Mirrors
from image.recipe import ImageRecipe
from image.repositories import Repository

EARLY = 1_577_836_800
"""The time (2020-01-01) that programs see where one image's must not be known yet; no file gets it."""

NAMES = ("bootstrap", "packages", "extras", "system", "files")
"""The names of all steps, the lowest first. What a build has of them depends on its recipe."""

TOOLS = {
    "bootstrap": ("live-build", "debootstrap"),
    "system": ("squashfs-tools", "libzstd1"),
    "files": ("squashfs-tools", "libzstd1"),
}
"""The packages of this machine that make a step. Those that it has in common with the step below it are not repeated:
with another result below, it is another step, too."""

PACKAGES = "packages"
"""In the directory beside a tree: the packages in it, with their versions."""
LOADERS = "loaders"
"""Beside the packages: where image/tree's hook `loaders` unpacked the packages of the boot loaders, and their
`versions`."""

_MOUNTS = "'devpts proc selinuxfs sysfs'"
_LIST = f'chroot chroot dpkg-query --show > "$beside/{PACKAGES}"'

APT_LIMITS = "limits.apt"
"""In live-build's config tree: how long apt waits for the mirror (mirror_patience.py)."""
_LIMITS = "chroot/etc/apt/apt.conf.d/99netboot-build"

# What debootstrap's wget says is in a file only. What matters of it to whoever follows the build:
_WGET = "saved \\[|error|failed|unable to|giving up|no data received"
# To keep its packages, live-build would run debootstrap twice, and this step keeps more than that. The later ones keep
# theirs.
_BOOTSTRAP = f"""\
rm -rf cache/packages.bootstrap
sed --in-place=.kept 's/^LB_CACHE_PACKAGES=.*/LB_CACHE_PACKAGES="false"/' config/common
log=chroot/debootstrap/debootstrap.log
tail --pid=$$ --lines=+1 --follow=name --retry --sleep-interval=0.2 $log 2> /dev/null |
	grep --line-buffered --extended-regexp --ignore-case '{_WGET}' &
lb bootstrap_debootstrap --verbose || {{
	status=$?
	tail --lines=9 $log || :
	exit $status
}}
mv config/common.kept config/common"""

_PACKAGES = f"""\
cp config/{APT_LIMITS} {_LIMITS}
lb chroot_prep install all mode-archives-chroot
lb chroot_linux-image
lb chroot_includes_before_packages
printf '%s\\n' {{packages}} >> chroot/root/packages.chroot
lb chroot_install-packages install
cp config/hooks/loaders chroot/root
chroot chroot env DEBIAN_FRONTEND=noninteractive /root/loaders
rm chroot/root/loaders
mv chroot/netboot-loaders "$beside/{LOADERS}"
{_LIST}
lb chroot_prep remove {_MOUNTS}
rm {_LIMITS}
"""

_EXTRAS = f"""\
cp config/{APT_LIMITS} {_LIMITS}
lb chroot_prep install {_MOUNTS}
# The name servers may be others by now. live-build puts the image's own file back in the end.
[ ! -f /etc/resolv.conf ] || cp /etc/resolv.conf chroot/etc/resolv.conf
{{update}}
printf '%s\\n' {{packages}} >> chroot/root/packages.chroot
lb chroot_install-packages extras
{_LIST}
lb chroot_prep remove {_MOUNTS}
rm {_LIMITS}
"""
_UPDATE = "chroot chroot apt-get update {options}"
OWN = "extras"
"""In live-build's directory: the files with the administrator's repositories and answers, as `own_files` has them."""
ANSWERS = "answers"
_TAKE_SOURCES = f"""\
mkdir -p chroot{repositories.KEYRINGS}
cp {OWN}/*.sources chroot/etc/apt/sources.list.d/
cp {OWN}/*.gpg chroot{repositories.KEYRINGS}/
"""
_TAKE_ANSWERS = f"""\
chroot chroot debconf-set-selections < {OWN}/{ANSWERS}
"""
# Of what apt gets, nothing is for the PCs.
_DROP_SOURCES = f"""\
rm chroot/etc/apt/sources.list.d/{repositories.FILES}* chroot{repositories.KEYRINGS}/{repositories.FILES}*
"""

# Level and block size: docs/adr/0019.
PACKED = ("-comp", "zstd", "-Xcompression-level", "9", "-noappend", "-no-progress", "-wildcards")
"""How mksquashfs packs a tree; the list of what is left out follows."""
EXCLUDES = "config/rootfs/excludes"
_COPY_BOOT = """\
find chroot/boot -name 'vmlinuz-*' -o -name 'initrd.*' -o -name microcode.img | xargs cp -t "$beside"
"""

_SYSTEM = f"""\
mkdir config/initramfs
latest=../steps/system/beside
[ ! -e $latest/initrd.digest ] || cp $latest/initrd.img-* "config/initramfs/$(cat $latest/initrd.digest)"
lb chroot_prep install {_MOUNTS}
lb chroot_includes_after_packages
lb chroot_hooks
lb chroot_hacks
lb chroot_prep remove all-except-archives
# Of the archives this is all that is packed.
rm -f chroot/etc/apt/preferences.d/backports.pref
mksquashfs chroot "$beside/filesystem.squashfs" {shlex.join(PACKED)} -ef {EXCLUDES}
{_COPY_BOOT}"""

CUSTOM = "custom"
"""In live-build's directory: what customization.stage has copied there."""

_FILES = f"""\
tar --create --file {CUSTOM}/files.tar --directory {CUSTOM}/files --sort=name --mtime="@$SOURCE_DATE_EPOCH" \\
	--owner=0 --group=0 --numeric-owner .
chroot chroot tar --extract --no-overwrite-dir --keep-directory-symlink < {CUSTOM}/files.tar
mount -t proc proc chroot/proc
mount -t sysfs sysfs chroot/sys
mount -t devpts -o gid=5,mode=620 devpts chroot/dev/pts
for hook in {CUSTOM}/hooks/*; do
	[ -e "$hook" ] || continue
	echo "P: running the hook ${{hook##*/}}"
	cp "$hook" chroot/root/netboot-hook
	chroot chroot env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \\
		DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" /root/netboot-hook
	rm chroot/root/netboot-hook
done
umount chroot/dev/pts chroot/sys chroot/proc
# No program gives its user more rights than the user has, whatever the hooks did.
find chroot -xdev -type f -perm /6000 -exec chmod ug-s {{}} +
{_COPY_BOOT}"""


@dataclass(frozen=True, slots=True)
class ImageStep:
    """A step: its name, what it does in words, its script, and a digest of all that its result depends on, apart from
    the step below it."""

    name: str
    words: str
    script: str
    digest: str


def bootstrap(recipe: ImageRecipe, mirrors: Mirrors) -> ImageStep:
    """Return the step that makes a minimal Debian."""
    digest = livebuild.bootstrap_key(recipe, mirrors)
    return ImageStep("bootstrap", "installing a minimal Debian", _BOOTSTRAP, digest)


def packages(recipe: ImageRecipe, tree: Mapping[str, bytes], mirrors: Mirrors) -> ImageStep:
    """Return the step that installs what every live system of this kind has, and fetches the boot loaders."""
    script = _PACKAGES.format(packages=shlex.join(livebuild.packages(recipe, tree)))
    config = livebuild.config_tree(recipe, tree)
    early = {name: content for name, content in config.items() if _is_early(name)}
    digest = _digest([script, *livebuild.arguments(recipe, mirrors)], early)
    return ImageStep("packages", "installing the kernel and the packages of the live system", script, digest)


def own_files(recipe: ImageRecipe, added: Sequence[Repository], answers: str) -> dict[str, bytes]:
    """Return what the step `extras` finds in the directory OWN: the administrator's repositories, and their answers to
    the packages' questions."""
    files = repositories.apt_files(added, recipe.distribution)
    return files | ({ANSWERS: answers.encode()} if answers else {})


def extras(recipe: ImageRecipe, *, update: bool, own: Mapping[str, bytes] | None = None) -> ImageStep:
    """Return the step that installs the recipe's own packages; `update` fetches the archive's lists before, which may
    be old. `own` are the files that it finds in OWN."""
    own = own or {}
    sources = any(name.endswith(".sources") for name in own)
    before = (_TAKE_SOURCES if sources else "") + (_TAKE_ANSWERS if ANSWERS in own else "")
    after = _DROP_SOURCES if sources else ""
    # A repository that cannot be fetched is an error at once, not a package that is missing later.
    lists = _UPDATE.format(options=shlex.join(livebuild.apt_options(recipe))) if sources or update else ":"
    script = before + _EXTRAS.format(packages=shlex.join(recipe.packages), update=lists) + after
    # Whether the lists had to be fetched does not matter to the result.
    digest = _digest([*filter(None, (before, after)), _EXTRAS, *recipe.packages], own)
    return ImageStep("extras", "installing the recipe's packages", script, digest)


def system(recipe: ImageRecipe, tree: Mapping[str, bytes]) -> ImageStep:
    """Return the step that puts the files of image/tree in and runs its hooks."""
    config = livebuild.config_tree(recipe, tree)
    late = {name: content for name, content in config.items() if not _is_early(name)}
    return ImageStep("system", "making a live system of them", _SYSTEM, _digest([_SYSTEM], late))


def files(added: str, tree: Mapping[str, bytes]) -> ImageStep:
    """Return the step that puts in the administrator's files and runs their hooks; `added` is a digest of them."""
    excludes = {name: content for name, content in tree.items() if name.startswith("rootfs/")}
    digest = _digest([_FILES, *PACKED, added], excludes)
    return ImageStep("files", "putting in your files and running your hooks", _FILES, digest)


def _is_early(name: str) -> bool:
    return name.startswith(("archives/", "includes.chroot_before_packages/", "package-lists/", "hooks/loaders"))


def _digest(words: Sequence[str], files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256(json.dumps(words).encode())
    livebuild.digest_files(whole, files)
    return whole.hexdigest()
