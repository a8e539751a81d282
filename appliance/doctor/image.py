"""Whether there is something to boot: the active release, byte by byte, and the boot loaders."""

from collections.abc import Mapping
from enum import Enum

from appliance.boot.choices import boot_files, debians_files
from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, note, ok, warning
from appliance.images.todays_recipe import CURE, outdated
from appliance.registry.server_lock import holder
from image.activation import CheckedRelease, Seal, check
from image.bootfiles import PACKAGED, BootFileError, original
from image.release import Release, ReleaseError, active_id, current


class Loader(Enum):
    """How the served copy of a boot loader compares with its original."""

    SAME = "same"
    DIFFERENT = "different"
    MISSING = "missing"
    NOT_IN_IMAGE = "not in the active image"


def judge_image(release: Release | None, problems: list[str], outdated: str = "") -> list[Finding]:
    """`problems` says which files of the active release are not as they were built, `outdated` why it is not of today's
    recipe."""
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
                "go back to the previous image: netboot-appliance image rollback; then build again, and check the disk",
            )
            for problem in problems
        ]
    complete = ok("image", f"the active image {release.id} is complete (Linux {release.kernel})")
    if not outdated:
        return [complete]
    what = f"the active image {release.id} is not of today's recipe"
    return [complete, note("image", what, f"{outdated}; PCs boot it as it is", f"if you want today's: {CURE}")]


def judge_signature(checked: CheckedRelease, required: bool) -> list[Finding]:
    """Whether the signature of the active release would let it be activated again."""
    if checked.seal is Seal.GOOD or (checked.seal is Seal.MISSING and not required):
        return []
    return [
        warning(
            "image",
            f"the active image {checked.release.id} is {checked.seal.value}",
            "PCs boot it, but nobody could activate it now: it may not be what its builder made",
            f"if you know that it is: netboot-appliance image sign {checked.release.id}; else go back: image rollback",
        )
    ]


def judge_broken(broken: ReleaseError) -> list[Finding]:
    """The active release cannot be used at all."""
    why = "without a complete image the server answers nobody"
    return [error("image", str(broken), why, f"{broken.hint}; or: netboot-appliance image rollback")]


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
    """Read every byte of the active release."""
    try:
        release = current(config.images)
    except ReleaseError as broken:
        return judge_broken(broken)
    if release is None:
        return judge_image(None, [])
    try:
        checked = check(config.images, release.id, config.key_ring)
    except ReleaseError as unknown:
        return [error("image", str(unknown), "signatures of images cannot be checked", unknown.hint)]
    return [
        *judge_image(release, list(checked.problems), outdated(config, release)),
        *judge_signature(checked, config.key_ring.required),
    ]


def check_boot_loaders(config: Config) -> list[Finding]:
    """Compare the boot loaders with their originals."""
    try:
        active = active_id(config.images)
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
