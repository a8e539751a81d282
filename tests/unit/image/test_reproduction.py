"""Building a release once more: the same bits, or what differs. With a stand-in for live-build."""

from dataclasses import replace
from pathlib import Path

import pytest

from image import build, customization, release, reproduction, work_directory
from image.customization import NOTHING
from image.progress import BuildError
from image.recipe import ImageRecipe
from image.release import ArchiveState, Release, ReleaseError
from tests.unit.image.test_build import furnish, run

IN_RELEASE = "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 21 Nov 2026 09:15:44 UTC\nMD5Sum:\n"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    furnish(tmp_path, monkeypatch)
    mirror(tmp_path, IN_RELEASE)
    (tmp_path / "again").mkdir()
    # Where the stand-ins look for boot loaders.
    (tmp_path / "again" / "unpacked").symlink_to(tmp_path / "unpacked")
    return tmp_path


def mirror(room: Path, in_release: str) -> None:
    """The mirror is in this state now."""
    (room / "in-release").write_text(in_release)
    lb = room / "bin" / "lb"
    copy = (
        f'mkdir -p chroot/var/lib/apt/lists; cp "{room}/in-release" chroot/var/lib/apt/lists/m_dists_trixie_InRelease'
    )
    if copy not in lb.read_text():
        lb.write_text(lb.read_text().replace("chroot_linux-image) ", f"chroot_linux-image) {copy}; "))


def again(room: Path, wanted: Release) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Build it again: which files differ, and which archives."""
    with reproduction.reproduced(wanted, NOTHING, room / "again", lambda _: None) as made:
        assert made.path != wanted.path
        return reproduction.differing(wanted, made), reproduction.other_archives(wanted, made)


def left(room: Path) -> list[str]:
    return sorted(path.name for path in (room / "again").iterdir() if path.name != "unpacked")


def test_the_manifest_has_the_state_of_the_archive(room: Path) -> None:
    made, _ = run(room)
    (state,) = release.read(room / "images", made.id).archives
    assert (state.suite, state.date) == ("trixie", "Sat, 21 Nov 2026 09:15:44 UTC")
    assert state.sha256 == release.describe(room / "in-release").sha256


def test_the_same_bits_come_out_and_nothing_else_changes(room: Path) -> None:
    made, _ = run(room)
    before = sorted(path.name for path in (room / "images").iterdir())
    assert again(room, made) == ((), ())
    assert left(room) == ["lock"]
    assert sorted(path.name for path in (room / "images").iterdir()) == before


def test_what_differs_is_named_with_the_state_of_the_mirror(room: Path) -> None:
    made, _ = run(room)
    mirror(room, IN_RELEASE.replace("21 Nov", "28 Nov"))
    lb = room / "bin" / "lb"
    lb.write_text(lb.read_text().replace("echo initrd >", "echo newer >"))
    files, archives = again(room, made)
    assert files == (release.INITRD,)
    assert archives == ("trixie: Sat, 21 Nov 2026 09:15:44 UTC then, Sat, 28 Nov 2026 09:15:44 UTC now",)


def test_a_build_that_fails_leaves_nothing(room: Path) -> None:
    made, _ = run(room)
    (room / "again" / "work").mkdir()
    (room / "again" / "images").mkdir()
    lb = room / "bin" / "lb"
    lb.write_text(lb.read_text().replace("bootstrap_debootstrap)\n", "bootstrap_debootstrap)\n    exit 4\n"))
    with pytest.raises(BuildError):
        again(room, made)
    assert left(room) == ["lock"]


def test_where_something_is_mounted_by_hand_nothing_is_removed(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = run(room)
    mounted = room / "again" / "work" / "steps" / "system" / "tree" / "home"
    mounted.mkdir(parents=True)
    (mounted / "thesis").write_text("years of work")
    (room / "again" / "work" / "lock").touch()
    monkeypatch.setattr(work_directory, "mounts_below", lambda directory, text: (str(mounted),))
    with pytest.raises(BuildError, match="is mounted on"):
        again(room, made)
    assert (mounted / "thesis").exists()


def test_what_cannot_come_out_the_same_is_not_built(room: Path) -> None:
    made, _ = run(room)
    with pytest.raises(ReleaseError, match="another version of netboot-appliance"):
        again(room, replace(made, digest="0" * 64))
    with pytest.raises(ReleaseError, match="the files or hooks"):
        again(room, replace(made, added="0123"))
    assert left(room) == []


def test_two_at_once_do_not_meet(room: Path) -> None:
    made, _ = run(room)
    with (
        reproduction.reproduced(made, NOTHING, room / "again", lambda _: None),
        pytest.raises(BuildError, match="another build is running"),
    ):
        again(room, made)


def test_an_older_release_says_nothing_of_its_archives(room: Path) -> None:
    made, _ = run(room)
    assert reproduction.other_archives(replace(made, archives=()), made) == ()
    other = replace(made, archives=(ArchiveState("bookworm", "then", "0" * 64),))
    assert reproduction.other_archives(other, made) == ()


def test_a_snapshot_is_where_the_administrator_says(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = ImageRecipe(snapshot="20261101T000000Z")
    with pytest.raises(BuildError, match="no mirror has snapshots"):
        run(room, recipe)
    template = "http://mirror.example.org/{archive}/{snapshot}/"
    made = build.build(recipe, room / "work", room / "images", lambda _: None, snapshot_mirror=template)
    calls = (room / "work" / "calls").read_text()
    assert "--mirror-bootstrap http://mirror.example.org/debian/20261101T000000Z " in calls
    assert "--mirror-chroot-security http://mirror.example.org/debian-security/20261101T000000Z " in calls
    assert "Acquire::Check-Valid-Until=false" in calls
    assert release.read(room / "images", made.id).recipe == recipe
    assert customization.NOTHING.digest == made.added
