"""Whether there is something to boot: the active release, byte by byte, and the boot loaders."""

import time
from collections import Counter
from collections.abc import Mapping
from enum import Enum

from appliance.boot.choices import boot_files, debians_files, release_of_loaders
from appliance.config import images
from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, note, ok, warning
from appliance.errors import UserError
from appliance.images import notes
from appliance.images.notes import UpdateCheck
from appliance.images.todays_recipe import cure, outdated
from appliance.images.update_check import RENEW
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.view.image_checks import check_words
from appliance.view.words import counted
from image.activation import CheckedRelease, Seal, check
from image.bootfiles import PACKAGED, BootFileError, original
from image.names import DEFAULT
from image.release import Release, ReleaseError, active_ids, current

_NAMED = 5
"""Packages with updates of security that are named."""


class Loader(Enum):
    """How the served copy of a boot loader compares with its original."""

    SAME = "same"
    DIFFERENT = "different"
    MISSING = "missing"
    NOT_IN_IMAGE = "not in the active image"


def judge_image(
    release: Release | None,
    problems: list[str],
    outdated: str = "",
    image: str = DEFAULT,
    entries: int = 0,
    updates: UpdateCheck | None = None,
    now: float = 0.0,
) -> list[Finding]:
    """`problems` says which files of the active release of an image are not as they were built, `outdated` why it is
    not of today's recipe; `entries` of the allowlist name the image; `updates` is the latest look for updates of its
    packages."""
    if release is None and image != DEFAULT:
        if not entries:
            return [note("image", f"the image {image} was never built, and no range names it", "", cure(image))]
        return [
            error(
                "image",
                f"the image {image} has no active release",
                f"PCs of {counted(entries, 'entry', 'entries')} of the allowlist boot it: they are not answered and"
                " start their own disks",
                f"build it: {cure(image)}; or give them another: netboot-appliance allow set RANGE --image ''",
            )
        ]
    if release is None:
        return [
            error(
                "image",
                "no image is active",
                "there is nothing to boot: PCs are not answered and start from their own disks",
                "build one: sudo netboot-appliance image build; or choose one: netboot-appliance image activate ID",
            )
        ]
    if problems:
        return [
            error(
                "image",
                f"the active image {release.id} is damaged: {problem}",
                "PCs stop during the boot or, worse, later",
                f"go back to the previous image: {_back(image)}; then build again, and check the disk",
            )
            for problem in problems
        ]
    of = "" if image == DEFAULT else f" of {image}"
    found = [ok("image", f"the active image {release.id}{of} is complete (Linux {release.kernel})")]
    if outdated:
        what = f"the active image {release.id} is not of today's recipe"
        do = f"if you want today's: {cure(release.image)}"
        found.append(note("image", what, f"{outdated}; PCs boot it as it is", do))
    if updates and updates.updates:
        found.append(_judge_updates(release, updates, now))
    return found


def judge_signature(checked: CheckedRelease, required: bool) -> list[Finding]:
    """Whether the signature of the active release would let it be activated again."""
    if checked.seal is Seal.GOOD or (checked.seal is Seal.MISSING and not required):
        return []
    return [
        warning(
            "image",
            f"the active image {checked.release.id} is {checked.seal.value}",
            "PCs boot it, but nobody could activate it now: it may not be what its builder made",
            f"if you know that it is: netboot-appliance image sign {checked.release.id};"
            f" else: {_back(checked.release.image)}",
        )
    ]


def _judge_updates(release: Release, updates: UpdateCheck, now: float) -> Finding:
    what = f"Debian has newer packages than the active image {release.id}: {check_words(updates, now)}"
    if not updates.security:
        return note("image", what, "PCs boot the older ones", f"if you want them: {RENEW}")
    names = ", ".join(each.name for each in updates.updates[:_NAMED] if each.security)
    return warning("image", what, f"holes that are known stay open on the PCs: {names}", RENEW)


def judge_broken(broken: ReleaseError, image: str = DEFAULT) -> list[Finding]:
    """The active release of an image cannot be used at all."""
    whom = "nobody" if image == DEFAULT else f"no PC of the image {image}"
    why = f"without a complete image the server answers {whom}"
    return [error("image", str(broken), why, f"{broken.hint}; or: {_back(image)}")]


def _back(image: str) -> str:
    return f"netboot-appliance image rollback{'' if image == DEFAULT else f' {image}'}"


def judge_boot_loaders(loaders: Mapping[str, Loader | BootFileError], served: bool) -> list[Finding]:
    """Judge each boot loader; a BootFileError stands for a missing original.

    `served`: the server is running, so it put them in place when it started.
    """
    findings = []
    for name, state in loaders.items():
        match state:
            case BootFileError():
                findings.append(
                    error("boot-loaders", str(state), "the server cannot start again without it", state.hint)
                )
            case Loader.MISSING if served:
                findings.append(
                    error(
                        "boot-loaders",
                        f"the boot loader {name} is missing from the files that are served",
                        "firmware is told to load it and finds nothing (PXE-T01, PXE-E3B)",
                        "restart the server, which puts it back: systemctl restart netboot-appliance",
                    )
                )
            case Loader.NOT_IN_IMAGE:
                findings.append(
                    error(
                        "boot-loaders",
                        f"the active image has no boot loader {name}: an older version built it",
                        "PCs that need it are not answered and start from their own disks",
                        "build an image that has it: sudo netboot-appliance image build",
                    )
                )
            case Loader.DIFFERENT if served:
                findings.append(
                    warning(
                        "boot-loaders",
                        f"the boot loader {name} is not the one that is configured",
                        "it is older than its original, or damaged",
                        "restart the server, which replaces it: systemctl restart netboot-appliance",
                    )
                )
            case _:
                pass
    if not loaders:
        return []
    names = ", ".join(loaders)
    there = f"the boot loaders are {'served' if served else 'installed'}: {names}"
    return findings or [ok("boot-loaders", there)]


def check_image(config: Config) -> list[Finding]:
    """Read every byte of the active releases."""
    named = _named(config)
    findings: list[Finding] = []
    for image in dict.fromkeys((DEFAULT, *images.known(config), *sorted(named))):
        try:
            release = current(config.images, image)
        except ReleaseError as broken:
            findings += judge_broken(broken, image)
            continue
        if release is None:
            findings += judge_image(None, [], image=image, entries=named[image])
            continue
        try:
            checked = check(config.images, release.id, config.key_ring)
        except ReleaseError as unknown:
            findings.append(error("image", str(unknown), "signatures of images cannot be checked", unknown.hint))
            continue
        updates = notes.check_of(config.images, release.id)
        why, problems = outdated(config, release), list(checked.problems)
        findings += judge_image(release, problems, why, image, named[image], updates, time.time())
        findings += judge_signature(checked, config.key_ring.required)
    return findings


def _named(config: Config) -> Counter[str]:
    """How many entries of the allowlist name each image; another check tells of a registry that cannot be read."""
    try:
        if config.registry.exists():
            with Registry(config.registry) as registry:
                return registry.allowlist().images
    except UserError:
        pass
    return Counter()


def check_boot_loaders(config: Config) -> list[Finding]:
    """Compare the boot loaders with their originals."""
    try:
        active = release_of_loaders(active_ids(config.images))
    except ReleaseError:
        active = None
    found = {name: _loader(config, name, active) for name in boot_files(config)}
    return judge_boot_loaders(
        {name: state for name, state in found.items() if state is not None}, bool(holder(config.registry))
    )


def _loader(config: Config, name: str, active: str | None) -> Loader | BootFileError | None:
    """None for a file that is not expected: not every Debian has it, or there is no image yet."""
    try:
        wanted = original(name, config.boot.names, config.boot.directory, debians_files(config, active))
    except BootFileError as missing:
        return missing
    try:
        served = (config.boot_root / name).read_bytes()
    except FileNotFoundError:
        if wanted is None:
            return Loader.NOT_IN_IMAGE if active and PACKAGED[name].everywhere else None
        return Loader.MISSING
    # One that the image lacks stays as the image before had it.
    return Loader.SAME if wanted in (None, served) else Loader.DIFFERENT
