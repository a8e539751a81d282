"""What differs between two releases, for people and scripts: `image diff`, its --json, and the page. PURE."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from appliance.view.image_contents import LiveFileView, live_file_view
from image import recipe
from image.comparison import FileChange, PackageChange
from image.release import Release


@dataclass(frozen=True, slots=True)
class ComparedRelease:
    """One side. `created` is ISO 8601, `size` that of all files in bytes; the same `added`: the same files and hooks of
    the administrator; the same `digest`: the same recipe, too, built by the same version."""

    id: str
    created: str
    kernel: str
    size: int
    added: str
    digest: str


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting of [image] that differs, as the configuration file has it."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class PartChange:
    """A file of the release itself that differs, such as its kernel; bytes, or None where there is no such file."""

    name: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class PackageVersion:
    """A package that only one of the two has."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class PackagesDiff:
    """Packages that only the new release has, only the old one, and both in different versions; by name."""

    added: tuple[PackageVersion, ...]
    removed: tuple[PackageVersion, ...]
    changed: tuple[PackageChange, ...]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file of the live system that both have. `what` says what differs: kind, mode, owner, size, content, target,
    device, attributes."""

    path: str
    what: tuple[str, ...]
    old: LiveFileView
    new: LiveFileView


@dataclass(frozen=True, slots=True)
class FilesDiff:
    """Files of the live system that only the new release has, only the old one, and both but not alike; by path."""

    added: tuple[LiveFileView, ...]
    removed: tuple[LiveFileView, ...]
    changed: tuple[ChangedFile, ...]


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """All of it. `files` is None if they were not compared. The kernel's arguments are not part of a release."""

    old: ComparedRelease
    new: ComparedRelease
    recipe: tuple[SettingChange, ...]
    parts: tuple[PartChange, ...]
    packages: PackagesDiff
    files: FilesDiff | None = None

    @property
    def cause(self) -> str:
        """What differs of what they were built from, beside settings; a sentence, or empty."""
        if self.old.added != self.new.added:
            return "The administrator's own files or hooks are not the same."
        if self.recipe or self.old.digest == self.new.digest:
            return ""
        return "The recipes are the same, but not the versions of netboot-appliance that built them."


@dataclass(frozen=True, slots=True)
class ReproductionView:
    """A release that was built again. `same`: bit for bit. `files`: those whose bits differ. `archives`: suites that
    are in another state than then, in words. `diff`: what differs in the files, or None."""

    id: str
    same: bool
    files: tuple[str, ...]
    archives: tuple[str, ...]
    diff: ReleaseDiff | None


def release_diff(
    old: Release, new: Release, packages: Sequence[PackageChange], files: Iterable[FileChange] | None = None
) -> ReleaseDiff:
    """The differences; `packages` and `files` are what was found inside."""
    return ReleaseDiff(
        old=_side(old),
        new=_side(new),
        recipe=tuple(SettingChange(*each) for each in recipe.changes(old.recipe, new.recipe)),
        parts=tuple(_parts(old, new)),
        packages=PackagesDiff(
            added=tuple(PackageVersion(each.name, each.new) for each in packages if not each.old),
            removed=tuple(PackageVersion(each.name, each.old) for each in packages if not each.new),
            changed=tuple(each for each in packages if each.old and each.new),
        ),
        files=None if files is None else _files(files),
    )


def _side(release: Release) -> ComparedRelease:
    return ComparedRelease(
        release.id, release.created.isoformat(), release.kernel, release.size, release.added, release.digest
    )


def _parts(old: Release, new: Release) -> Iterator[PartChange]:
    for name in sorted(old.files.keys() | new.files.keys()):
        then, now = old.files.get(name), new.files.get(name)
        if then != now:
            yield PartChange(name, then.size if then else None, now.size if now else None)


def _files(changes: Iterable[FileChange]) -> FilesDiff:
    added, removed, changed = [], [], []
    for each in changes:
        old = live_file_view(each.path, each.old) if each.old else None
        new = live_file_view(each.path, each.new) if each.new else None
        if old and new:
            changed.append(ChangedFile(each.path, each.what, old, new))
        elif new:
            added.append(new)
        elif old:
            removed.append(old)
    return FilesDiff(tuple(added), tuple(removed), tuple(changed))
