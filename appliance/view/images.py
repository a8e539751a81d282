"""The releases of the live system for people and scripts: `image list`, `show` and `prune`, and their --json. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.view.image_checks import BootTestView, UpdateCheckView, boot_test_view, check_view
from appliance.view.releases import Releases
from image.prune import PruneList
from image.recipe import ImageRecipe
from image.release import Release
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer of a live system; bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release. `state` is "active", "previous", "canary" or empty, `created` ISO 8601 with its time zone,
    `size` in bytes.

    `recipe` is in words. `layers` are its squashfs files, base first, and `packages` the number of packages,
    `pcs` that of PCs that had it at their latest boot. These two are None if they cannot be read. `image` is the name
    of the image of which it is a release: each has its own active and previous one. `tested` is how it did in an
    emulated PC: "passed", "failed" or empty.
    """

    id: str
    state: str
    created: str
    kernel: str
    size: int
    digest: str
    path: str
    recipe: str
    layers: tuple[LayerView, ...]
    packages: int | None
    pcs: int | None
    image: str
    tested: str


@dataclass(frozen=True, slots=True)
class ReleaseFileView:
    """A file of a release; bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ArchiveView:
    """The state of a suite that a release was made from: the date in its Release file, and the SHA-256 of InRelease."""

    suite: str
    date: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ReleaseDetails:
    """A release with its files, and in `problems` what differs from how it was built, in words. `outdated`: why it is
    not of today's recipe. `archives`: what it was made from; none if it is older than that. `check` is the latest look
    for updates, `test` its latest boot in an emulated PC."""

    release: ReleaseView
    distribution: str
    architecture: str
    files: tuple[ReleaseFileView, ...]
    problems: tuple[str, ...]
    outdated: str
    check: UpdateCheckView | None
    test: BootTestView | None
    archives: tuple[ArchiveView, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletedView:
    """A release that was deleted; bytes."""

    id: str
    size: int


@dataclass(frozen=True, slots=True)
class KeptView:
    """A release that was kept, why, and the PCs that may be running it; bytes."""

    id: str
    size: int
    why: tuple[str, ...]
    clients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PruneView:
    """What `image prune` did or, with `dry_run`, would do. `freed` is in bytes."""

    deleted: tuple[DeletedView, ...]
    kept: tuple[KeptView, ...]
    freed: int
    dry_run: bool


def release_views(found: Releases) -> list[ReleaseView]:
    """The releases, newest first."""
    return [_release(each, found) for each in found.releases]


def release_details(
    found: Release, releases: Releases, problems: Sequence[str], outdated: str, now: float
) -> ReleaseDetails:
    """One of the releases, at `now`; `problems` and `outdated` are what was found out beside its manifest."""
    check, test = releases.checks.get(found.id), releases.tests.get(found.id)
    return ReleaseDetails(
        release=_release(found, releases),
        distribution=found.recipe.distribution,
        architecture=found.recipe.architecture,
        files=tuple(ReleaseFileView(name, file.size, file.sha256) for name, file in found.files.items()),
        problems=tuple(problems),
        outdated=outdated,
        archives=tuple(ArchiveView(each.suite, each.date, each.sha256) for each in found.archives),
        check=check_view(found.id, check, now) if check else None,
        test=boot_test_view(found.id, test, now) if test else None,
    )


def _release(found: Release, releases: Releases) -> ReleaseView:
    return ReleaseView(
        id=found.id,
        state=releases.states.get(found.id, ""),
        created=found.created.isoformat(),
        kernel=found.kernel,
        size=found.size,
        digest=found.digest,
        path=str(found.path),
        recipe=_words(found.recipe),
        layers=tuple(LayerView(name, found.files[name].size) for name in found.layers),
        packages=releases.packages.get(found.id),
        pcs=None if releases.pcs is None else releases.pcs.get(found.id, 0),
        image=found.image,
        tested=("passed" if test.passed else "failed") if (test := releases.tests.get(found.id)) else "",
    )


def _words(recipe: ImageRecipe) -> str:
    """What a recipe asks for: the distribution, and what is not as usual."""
    usual = ImageRecipe()
    words = [
        recipe.distribution,
        *([f"kernel {recipe.kernel}"] if recipe.kernel != usual.kernel else []),
        *(["backports"] if recipe.backports else []),
        *([f"snapshot {recipe.snapshot}"] if recipe.snapshot else []),
        *([f"firmware {recipe.firmware}"] if recipe.firmware != usual.firmware else []),
        *(f"+{package}" for package in recipe.packages),
    ]
    return ", ".join(words)


def pruned(found: PruneList, running: Mapping[str, Sequence[MacAddress]], *, dry_run: bool) -> PruneView:
    """The result of a prune; `running` has the PCs that may be running a release, by its id."""
    return PruneView(
        deleted=tuple(DeletedView(each.id, each.size) for each in found.old),
        kept=tuple(
            KeptView(each.id, each.size, why, tuple(map(str, running.get(each.id, ())))) for each, why in found.kept
        ),
        freed=sum(each.size for each in found.old),
        dry_run=dry_run,
    )
