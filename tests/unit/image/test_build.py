"""Building with a stand-in for live-build: stages, failures, interruptions, publication."""

import contextlib
import gzip
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image import (
    activation,
    apt,
    apt_lists,
    build,
    build_prerequisites,
    command,
    customization,
    disk_space,
    failures,
    mirror_patience,
    release,
    signature,
)
from image.bootfiles import PACKAGED
from image.build import Rebuild
from image.customization import NOTHING, Customization
from image.package_names import UnknownPackage
from image.progress import STAGES, BuildError, Progress
from image.recipe import ImageRecipe
from image.repositories import Repository
from image.signature import KeyRing
from tests.room.interruption import UNIGNORED

SOURCES = "deb http://mirror.example.org/debian bookworm main\ndeb http://s.example.org/x bookworm-security main\n"

LB = """\
#!/bin/sh
set -e
echo "P: lb $1"
echo "$*" >> "$PWD/../calls"
case $1 in
config)
    mkdir -p .build config
    touch .build/config
    echo 'LB_CACHE_PACKAGES="true"' > config/common
    ;;
bootstrap_debootstrap)
    # Otherwise live-build would run debootstrap twice.
    grep -q '^LB_CACHE_PACKAGES="false"$' config/common
    mkdir -p chroot/root chroot/boot chroot/etc/apt/apt.conf.d chroot/proc chroot/sys chroot/dev/pts
    touch chroot/debian .build/bootstrap
    ;;
chroot_linux-image) echo kernel > chroot/boot/vmlinuz-6.1.0-1-amd64 ;;
chroot_install-packages)
    grep -q '^LB_CACHE_PACKAGES="true"$' config/common
    while read -r package; do echo "$package 7.20.5" >> chroot/installed; done < chroot/root/packages.chroot
    rm chroot/root/packages.chroot
    ;;
chroot_hooks)
    [ -e .build/bootstrap ] && [ -e chroot/debian ]
    rm chroot/debian
    mkdir -p chroot/var/lib/dpkg/info
    echo initrd > chroot/boot/initrd.img-6.1.0-1-amd64
    echo 0123 > chroot/boot/initrd.digest
    if [ ! -e ../no-microcode ]; then echo microcode > chroot/boot/microcode.img; fi
    ;;
esac
if [ -e "../fail-$1" ]; then cat "../fail-$1"; exit 3; fi
if [ -e "../hang-$1" ]; then
    mount -t tmpfs none "$PWD/cache" || echo "no mount"
    sleep 60 & echo "P: hangs"
    wait
fi
"""

CHROOT = """\
#!/bin/sh
set -e
case "$*" in
*dpkg-query*) cat chroot/installed ;;
*/root/loaders) cp -r ../../unpacked chroot/netboot-loaders ;;
*apt-get*) echo "$*" >> "$PWD/../calls" ;;
*" tar "*) tar --extract --directory chroot ;;
*/root/netboot-hook)
    echo "run /root/netboot-hook" >> ../calls
    touch chroot/root/ran
    if [ -e ../fail-hook ]; then cat ../fail-hook; exit 1; fi
    ;;
esac
"""

MKSQUASHFS = """\
#!/bin/sh
echo "mksquashfs $*" >> "$PWD/../calls"
(cd "$1" && find . ! -type d) | LC_ALL=C sort > "$2"
if [ -e ../hang-mksquashfs ]; then sleep 60 & echo "P: hangs"; wait; fi
"""

SYNC = """\
#!/bin/sh
if [ -e ../hang-sync ]; then sleep 60 & echo "P: hangs"; wait; fi
"""

PROGRAMS = {"lb": LB, "chroot": CHROOT, "mksquashfs": MKSQUASHFS, "sync": SYNC}
"""Stand-ins for what a build starts."""

# Without root, a user namespace stands in for it.
ALONE = command.ALONE if os.geteuid() == 0 else (*command.ALONE[:4], "--user", "--map-root-user", *command.ALONE[4:])


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return furnish(tmp_path, monkeypatch)


def furnish(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("bin", "apt", "work"):
        (directory / name).mkdir(exist_ok=True)
    (directory / "apt" / "sources.list").write_text(SOURCES)
    for name, script in PROGRAMS.items():
        (directory / "bin" / name).write_text(script)
        (directory / "bin" / name).chmod(0o755)
    for file in PACKAGED.values():
        path = directory / "unpacked" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    (directory / "unpacked" / "versions").write_text("ipxe 1.0\nboinc-client 7.20.5\n")
    (directory / "work" / "lock").touch()
    monkeypatch.setattr(apt, "DIRECTORY", directory / "apt")
    monkeypatch.setattr(apt, "_codename", lambda: "bookworm")
    monkeypatch.setattr(command, "PATH", f"{directory / 'bin'}:{command.PATH}")
    monkeypatch.setattr(command, "ALONE", ALONE)
    monkeypatch.setattr(build_prerequisites, "problems", lambda *arguments, **options: ())
    monkeypatch.setattr(apt_lists, "check", lambda *_: apt_lists.NamesChecked())
    return directory


def run(
    room: Path,
    recipe: ImageRecipe | None = None,
    rebuild: Rebuild = Rebuild.NEVER,
    added: Customization = NOTHING,
    image: str = "boinc",
    since: float = math.inf,
) -> tuple[release.Release, list[Progress]]:
    """The images boinc and lab are there."""
    told: list[Progress] = []
    made = build.build(
        recipe or ImageRecipe(),
        room / "work",
        room / "images",
        told.append,
        rebuild,
        added=added,
        image=image,
        others=("boinc", "lab"),
        since=since,
    )
    return made, told


def calls(room: Path) -> list[str]:
    """What was asked of live-build, less what only sets a chroot up."""
    lines = [line.split()[0] for line in (room / "work" / "calls").read_text().splitlines()]
    return [line for line in lines if line in STEPS]


STEPS = {
    "config": "config",
    "bootstrap_debootstrap": "bootstrap",
    "chroot_linux-image": "packages",
    "chroot_install-packages": "packages",
    "chroot_hooks": "system",
    "mksquashfs": "system",
}
"""What tells steps apart in the calls of live-build: the stage it belongs to."""
ALL = list(STEPS)


def test_a_build_runs_the_stages_in_order_and_publishes(room: Path) -> None:
    made, told = run(room)
    assert list(dict.fromkeys(each.stage for each in told)) == [
        each for each in STAGES if each not in ("extras", "files")
    ]
    assert [each.number for each in told] == [STAGES.index(each.stage) + 1 for each in told]
    assert any(each.step == "lb chroot_hooks" for each in told)
    assert calls(room) == ALL
    assert release.current(room / "images") == made
    assert made.kernel == "6.1.0-1-amd64"
    assert release.verify(made) == []
    assert sorted(str(path.relative_to(made.path)) for path in made.path.rglob("*") if path.is_file()) == [
        "initrd.img",
        "live/filesystem.squashfs",
        *(f"loaders/{name}" for name in sorted(PACKAGED)),
        "manifest.json",
        "microcode.img",
        "packages",
        "vmlinuz",
    ]
    assert (made.path / "microcode.img").read_text() == "microcode\n"
    assert (made.path / "loaders" / "grubx64.efi").read_text() == "grubnetx64.efi.signed"
    packages = (made.path / "packages").read_text().splitlines()
    assert {"boinc-client 7.20.5", "ipxe 1.0"} <= set(packages), "a new loader is a new image"
    assert packages == sorted(set(packages))
    assert "P: lb chroot_hooks" in (room / "work" / "logs" / f"{made.id}.log").read_text()
    assert os.listdir(room / "work" / "live") == []


def test_whoever_listens_hears_each_line_that_the_programs_print(room: Path) -> None:
    heard: list[str] = []
    made = build.build(ImageRecipe(), room / "work", room / "images", lambda _: None, hear=heard.append)
    log = (room / "work" / "logs" / f"{made.id}.log").read_text().splitlines()
    assert [line for line in heard if line.startswith("P: lb ")] == [line for line in log if line.startswith("P: lb ")]
    assert "P: lb bootstrap_debootstrap" in heard


def test_the_time_left_is_that_of_the_last_builds_for_what_is_to_be_done(room: Path) -> None:
    _, told = run(room)
    assert {each.left for each in told[:-1]} == {None}, "nothing is known yet"
    took = room / "work" / "durations.json"
    assert json.loads(took.read_text()).keys() == {"bootstrap", "packages", "system", "publish"}
    took.write_text('{"bootstrap": 900, "packages": 800, "extras": 50, "system": 40, "publish": 3}')
    _, told = run(room, ImageRecipe(packages=("htop",)))
    left = {each.stage: each.left for each in reversed(told)}
    assert left["packages"] is None, "it is kept"
    assert left["extras"] == pytest.approx(93, abs=5)
    assert left["system"] == pytest.approx(43, abs=5)
    took.write_text("[]")
    _, told = run(room, ImageRecipe(packages=("htop", "tree")))
    assert {each.left for each in told[:-1]} == {None}


def test_a_package_without_its_loader_ends_the_build(room: Path) -> None:
    (room / "unpacked" / PACKAGED["ipxe-arm64.efi"].path).unlink()
    made, _ = run(room)
    assert "loaders/ipxe-arm64.efi" not in made.files, "Debian 12 has none"
    (room / "unpacked" / PACKAGED["grubx64.efi"].path).unlink()
    with pytest.raises(BuildError, match=r"Debian's packages have no grubx64\.efi"):
        run(room, rebuild=Rebuild.ALWAYS)


def test_an_image_without_microcode_has_no_file_for_it(room: Path) -> None:
    made, _ = run(room)
    assert "microcode.img" in made.files
    assert release.has_microcode(room / "images", made.id)
    (room / "work" / "no-microcode").touch()
    without, _ = run(room, ImageRecipe(firmware="none"))
    assert "microcode.img" not in without.files
    assert not release.has_microcode(room / "images", without.id)


def test_others_can_read_a_release_whatever_the_umask(room: Path) -> None:
    before = os.umask(0o077)
    try:
        made, _ = run(room)
    finally:
        os.umask(before)
    for path in (made.path, *made.path.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_live_build_gets_the_tree_with_its_permissions(room: Path) -> None:
    (room / "work" / "fail-chroot_hooks").write_text("stopped\n")
    with pytest.raises(BuildError):
        run(room)
    config = room / "work" / "live" / "config"
    hook = config / "hooks" / "live" / "0100-netboot-appliance.hook.chroot"
    assert hook.read_bytes() == (build.TREE / hook.relative_to(config)).read_bytes()
    assert hook.stat().st_mode & 0o777 == 0o755
    assert (config / "package-lists" / "appliance.list.chroot").stat().st_mode & 0o777 == 0o644


def test_the_same_recipe_is_not_built_twice(room: Path) -> None:
    first, _ = run(room)
    again, told = run(room)
    assert again == first
    assert told == []
    assert calls(room) == ALL


def test_a_release_that_is_there_already_becomes_the_active_one(room: Path) -> None:
    first, _ = run(room)
    run(room, ImageRecipe(packages=("htop",)))
    before = calls(room)
    assert run(room)[0] == first
    assert release.current(room / "images") == first
    assert calls(room) == before


def test_a_release_is_signed_before_it_appears(room: Path) -> None:
    ring = KeyRing(room / "keys", required=True)
    made = signature.ensure(ring)
    assert made is not None
    built = build.build(ImageRecipe(), room / "work", room / "images", lambda _: None, ring=ring)
    assert activation.check(room / "images", built.id, ring).key == made.id
    assert release.active_id(room / "images") == built.id


def test_where_signatures_are_required_and_the_key_is_elsewhere_the_release_waits_for_one(
    room: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = run(room)
    monkeypatch.setattr(release, "name", lambda created, digest, image: "20991231-235959-00000000")
    elsewhere = KeyRing(tmp_path_factory.mktemp("elsewhere"))
    ring = KeyRing(room / "keys", required=True)
    signature.trust(ring, signature.make(elsewhere).pem.encode())
    with pytest.raises(BuildError, match="is not signed") as raised:
        build.build(ImageRecipe(), room / "work", room / "images", lambda _: None, Rebuild.ALWAYS, ring=ring)
    assert "image sign" in raised.value.hint
    assert release.active_id(room / "images") == before.id
    made = next(each for each in release.releases(room / "images").releases if each.id != before.id)
    activation.sign(room / "images", made.id, ring, elsewhere.private)
    activation.activate(room / "images", made.id, ring)


def test_of_two_releases_of_one_recipe_the_active_one_stays(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = run(room)
    monkeypatch.setattr(release, "name", lambda created, digest, image: "20991231-235959-00000000")
    run(room, rebuild=Rebuild.ALWAYS)
    activation.rollback(room / "images", build.NO_KEYS)
    assert run(room)[0] == first
    assert release.current(room / "images") == first


def test_force_builds_again_on_the_same_first_stage(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(room)
    monkeypatch.setattr(release, "name", lambda created, digest, image: "20991231-235959-00000000")
    made, _ = run(room, rebuild=Rebuild.ALWAYS)
    assert made.id == "20991231-235959-00000000"
    assert calls(room)[len(ALL) :] == [each for each in ALL if each != "bootstrap_debootstrap"]
    previous = release.previous(room / "images")
    assert previous is not None
    assert previous.id != made.id


def squashfs(made: release.Release) -> str:
    """The files of the live system that was packed."""
    return (made.path / release.SQUASHFS).read_text()


def test_only_what_changed_is_done_again_and_gives_what_a_whole_build_gives(room: Path) -> None:
    plain, _ = run(room)
    begun = len(calls(room))
    more, _ = run(room, ImageRecipe(packages=("htop",)))
    assert calls(room)[begun:] == ["config", "chroot_install-packages", "chroot_hooks", "mksquashfs"]
    assert "htop 7.20.5" in (more.path / "packages").read_text().splitlines()
    shutil.rmtree(plain.path)
    begun = len(calls(room))
    less, _ = run(room)
    assert calls(room)[begun:] == ["config", "chroot_hooks", "mksquashfs"]
    assert less.files == plain.files
    assert not (room / "work" / "steps" / "extras").exists()


def test_other_programs_of_this_machine_make_other_steps(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = {"bootstrap": "live-build 1", "system": "squashfs-tools 1"}
    monkeypatch.setattr(build_prerequisites, "versions", lambda _: tools)
    made, _ = run(room)
    for name, upgraded, again in (
        ("system", "squashfs-tools 2", ["config", "chroot_hooks", "mksquashfs"]),
        ("bootstrap", "live-build 2", ALL),
    ):
        tools[name] = upgraded
        assert run(room)[0] == made, "an upgrade by itself makes no image old"
        begun = len(calls(room))
        shutil.rmtree(made.path)
        made, _ = run(room)
        assert calls(room)[begun:] == again


def test_what_is_not_ours_is_not_removed(room: Path) -> None:
    run(room, ImageRecipe(packages=("htop",)))
    home = room / "home"
    home.mkdir()
    (home / "thesis").write_text("years of work")
    steps = room / "work" / "steps"
    (steps / "of-mine").mkdir()
    (steps / ".hidden").mkdir()
    (steps / ".trial").symlink_to(home)
    (room / "images" / ".building-x").symlink_to(home)
    run(room)
    assert sorted(os.listdir(steps)) == [".hidden", "bootstrap", "of-mine", "packages", "system"]
    assert os.listdir(home) == ["thesis"]


def test_without_room_nothing_is_done(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = run(room)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 6 * 10**8, 4 * 10**8))
    begun = len(calls(room))
    with pytest.raises(BuildError, match=r"work has 0\.40 GB free, and 0\.86 GB are needed") as caught:
        run(room, ImageRecipe(packages=("htop",)))
    assert "image prune" in caught.value.hint
    assert calls(room)[begun:] == ["config"]
    assert release.current(room / "images") == made


def test_the_room_for_a_release_is_that_of_the_same_image(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    whole = disk_space.release_bytes

    def ask(latest: int | None) -> int:
        asked.append(latest)
        return whole(latest)

    monkeypatch.setattr(disk_space, "release_bytes", ask)
    small, _ = run(room)
    assert set(asked) == {None}
    asked.clear()
    large, _ = run(room, added=own_files(room), image="lab")
    assert set(asked) == {small.size}, "before it has one of its own"
    asked.clear()
    run(room, ImageRecipe(packages=("htop",)))
    assert set(asked) == {small.size} != {large.size}


def forbid_overlays(room: Path) -> None:
    mount = '#!/bin/sh\ncase "$*" in "-t overlay "*) exit 32 ;; esac\nexec /bin/mount "$@"\n'
    (room / "bin" / "mount").write_text(mount)
    (room / "bin" / "mount").chmod(0o755)


def test_without_overlays_each_step_works_on_a_copy(room: Path) -> None:
    layered, _ = run(room, ImageRecipe(packages=("htop",)))
    (room / "bin" / "mount").write_text(
        '#!/bin/sh\ncase "$*" in "-t overlay "*) exit 32 ;; esac\nexec /bin/mount "$@"\n'
    )
    (room / "bin" / "mount").chmod(0o755)
    begun = len(calls(room))
    copied, _ = run(room, ImageRecipe(packages=("htop",)), Rebuild.ALWAYS)
    assert calls(room)[begun:].count("bootstrap_debootstrap") == 1, "layers are of no use to it"
    assert copied.files == layered.files
    run(room, ImageRecipe(packages=("htop", "tree")))
    assert calls(room)[-4:] == ["config", "chroot_install-packages", "chroot_hooks", "mksquashfs"]


def own_files(room: Path) -> Customization:
    for name, text in {"files/etc/motd": "hello\n", "hooks/10-a.chroot": "#!/bin/sh\n"}.items():
        path = room / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return customization.read(room / "own")


def test_files_and_hooks_of_the_administrator_are_a_layer_above(room: Path) -> None:
    plain, _ = run(room)
    assert plain.layers == (release.SQUASHFS,)
    begun = len(calls(room))
    made, told = run(room, added=own_files(room))
    assert calls(room)[begun:] == ["config", "mksquashfs"]
    assert told[-2].stage == "publish"
    assert made.layers == (release.SQUASHFS, release.RECIPE)
    assert (made.added, plain.added) == (own_files(room).digest, "")
    assert release.read(room / "images", made.id) == made
    assert made.files[release.SQUASHFS] == plain.files[release.SQUASHFS]
    assert (made.path / release.MODULE).read_text() == "filesystem.squashfs\nrecipe.squashfs\n"
    assert (made.path / release.RECIPE).read_text().splitlines() == ["./etc/motd", "./root/ran"]
    assert (room / "work" / "calls").read_text().count("run /root/netboot-hook") == 1
    kept = room / "work" / "steps" / "files" / "tree"
    bound = [(path, name) for path in (kept, *kept.rglob("*")) for name in os.listxattr(path, follow_symlinks=False)]
    assert [each for each in bound if each[1] != "trusted.overlay.opaque"] == [], "two builds would differ in them"
    assert run(room, added=own_files(room))[0] == made
    shutil.rmtree(plain.path)
    again, _ = run(room)
    assert again.files == plain.files


def test_a_repository_and_answers_are_there_while_packages_are_installed_and_gone_afterwards(room: Path) -> None:
    chroot = CHROOT.replace(
        "*apt-get*)", '*debconf*) cat > "$PWD/../answers" ;;\n*apt-get*) ls chroot/etc/apt/* > "$PWD/../apt-had";'
    )
    (room / "bin" / "chroot").write_text(chroot)
    (room / "bin" / "lb").write_text(
        LB.replace("chroot/etc/apt/apt.conf.d", "chroot/etc/apt/apt.conf.d chroot/etc/apt/sources.list.d")
    )
    own = Repository(("https://v.example.org",), ("stable",), ("main",), (), b"key")
    added = Customization(repositories=(own,), answers="a b string c\n")
    made, _ = run(room, ImageRecipe(packages=("vendor-tool",)), added=added)
    assert {"netboot-own.sources", own.key_file} <= set((room / "work" / "apt-had").read_text().split())
    assert (room / "work" / "answers").read_text() == "a b string c\n"
    assert "netboot-" not in squashfs(made)
    assert made.added == added.digest
    begun = len(calls(room))
    run(room, ImageRecipe(packages=("vendor-tool",)), added=replace(added, answers="a b string d\n"))
    assert calls(room)[begun:] == ["config", "chroot_install-packages", "chroot_hooks", "mksquashfs"]


def test_a_name_that_no_package_has_ends_the_build_before_it_begins(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = apt_lists.NamesChecked((UnknownPackage("htpo", ("htop",)),))
    monkeypatch.setattr(apt_lists, "check", lambda *_: found)
    added = Customization(places={"htpo": "/etc/x/packages, line 3"})
    with pytest.raises(BuildError, match="/etc/x/packages, line 3: the mirror has no package 'htpo'") as caught:
        run(room, ImageRecipe(packages=("htpo",)), added=added)
    assert (caught.value.stage, caught.value.hint) == ("checks", "did you mean htop in place of htpo?")
    assert not (room / "work" / "calls").exists()


def test_nothing_is_fetched_into_a_directory_that_is_somebody_elses(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: object) -> apt_lists.NamesChecked:
        raise AssertionError

    monkeypatch.setattr(apt_lists, "check", check)
    (room / "work" / "lock").unlink()
    (room / "work" / "thesis").write_text("years of work")
    with pytest.raises(BuildError, match="has files that no build has made"):
        run(room, ImageRecipe(packages=("htop",)))


def test_a_mirror_that_is_away_does_not_end_a_build_that_needs_nothing_of_it(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt_lists, "check", lambda *_: apt_lists.NamesChecked(trouble="it is away"))
    _, told = run(room, ImageRecipe(packages=("htop",)))
    assert "the names of packages were not checked: it is away" in [each.step for each in told]


def test_without_overlays_the_administrators_files_are_in_the_one_squashfs(room: Path) -> None:
    forbid_overlays(room)
    made, _ = run(room, added=own_files(room))
    assert made.layers == (release.SQUASHFS,)
    assert release.MODULE not in made.files
    assert "./etc/motd" in squashfs(made).splitlines()


def test_images_share_the_steps_that_they_have_in_common(room: Path) -> None:
    first, _ = run(room)
    before = len(calls(room))
    own = own_files(room)
    lab, told = run(room, added=own, image="lab")
    assert calls(room)[before:] == ["config", "mksquashfs"], "only the layer with the files is new"
    assert (lab.image, release.active_ids(room / "images")) == ("lab", {"boinc": first.id, "lab": lab.id})
    assert sorted(os.listdir(room / "work" / "steps")) == ["bootstrap", "files.lab", "packages", "system"]
    # With a package more, all from there on is its own.
    extra, _ = run(room, ImageRecipe(packages=("htop",)), added=own, image="lab")
    kept = ["bootstrap", "extras.lab", "files.lab", "packages", "system", "system.lab"]
    assert sorted(os.listdir(room / "work" / "steps")) == kept
    assert squashfs(extra) != squashfs(first)
    # The other image finds what it has left.
    before = len(calls(room))
    again, _ = run(room, rebuild=Rebuild.UPDATED)
    assert again == first
    assert release.active_ids(room / "images") == {"boinc": first.id, "lab": extra.id}
    same, _ = run(room, ImageRecipe(packages=("htop",)), Rebuild.UPDATED, own, "lab")
    assert same == extra
    assert sorted(os.listdir(room / "work" / "steps")) == kept
    # What the first image of a run has renewed is not renewed again for the next.
    began, before = time.time(), len(calls(room))
    run(room, rebuild=Rebuild.UPDATED, since=began)
    assert "chroot_install-packages" in calls(room)[before:]
    before = len(calls(room))
    run(room, rebuild=Rebuild.UPDATED, added=own, image="lab", since=began)
    assert "chroot_install-packages" not in calls(room)[before:]
    # An image that is gone leaves nothing.
    build.build(ImageRecipe(), room / "work", room / "images", told.append, Rebuild.ALWAYS)
    assert sorted(os.listdir(room / "work" / "steps")) == ["bootstrap", "packages", "system"]


def test_two_images_of_one_recipe_have_releases_of_their_own(room: Path) -> None:
    first, _ = run(room)
    lab, _ = run(room, image="lab")
    assert lab.id != first.id
    assert (lab.digest, squashfs(lab)) == (first.digest, squashfs(first))
    assert run(room, image="lab")[0] == lab
    assert run(room)[0] == first


def test_a_hook_that_fails_ends_the_build(room: Path) -> None:
    plain, _ = run(room)
    (room / "work" / "fail-hook").write_text("no such user\n")
    with pytest.raises(BuildError, match="the build failed in the stage files") as caught:
        run(room, added=own_files(room))
    assert caught.value.tail[-2:] == ("P: running the hook 10-a.chroot", "no such user")
    assert release.current(room / "images") == plain


def test_a_step_that_fails_leaves_the_ones_below_it_as_they_were(room: Path) -> None:
    failing = room / "work" / "fail-chroot_install-packages"
    made, _ = run(room)
    failing.write_text("stopped\n")
    with pytest.raises(BuildError):
        run(room, ImageRecipe(packages=("htop",)))
    failing.unlink()
    shutil.rmtree(made.path)
    again, _ = run(room)
    assert again.files == made.files
    assert sorted(os.listdir(room / "work" / "steps")) == ["bootstrap", "packages", "system"]


def test_nobody_else_on_this_machine_reaches_the_programs_in_what_is_kept(room: Path) -> None:
    run(room)
    assert (room / "work" / "steps").stat().st_mode & 0o777 == 0o700


def test_a_result_that_is_not_whole_is_made_again(room: Path) -> None:
    made, _ = run(room)
    for name in ("packages", "system"):
        record = room / "work" / "steps" / name / "record.json"
        record.write_bytes(record.read_bytes()[:20])
    shutil.rmtree(made.path)
    begun = len(calls(room))
    again, _ = run(room)
    assert calls(room)[begun:] == [each for each in ALL if each != "bootstrap_debootstrap"]
    assert again.files == made.files


def test_a_failure_names_the_stage_the_log_and_a_command(room: Path) -> None:
    first, _ = run(room)
    (room / "work" / "fail-chroot_install-packages").write_text("E: Unable to locate package nonsense\nE: and more\n")
    with pytest.raises(
        BuildError, match=r"in the stage extras: Debian has no package nonsense \(its script ended with status 3\)"
    ) as caught:
        run(room, ImageRecipe(packages=("nonsense",)))
    error = caught.value
    assert error.stage == "extras"
    assert error.tail[-2:] == ("E: Unable to locate package nonsense", "E: and more")
    assert error.paste.startswith(f"cd {room / 'work' / 'live'} && sudo unshare --mount sh -ec ")
    assert "lb chroot_install-packages" in error.paste
    assert "image recipe check" in error.hint
    assert error.log is not None
    assert "E: and more" in error.log.read_text()
    assert release.current(room / "images") == first
    assert [each.id for each in release.releases(room / "images").releases] == [first.id]


@pytest.mark.parametrize(
    ("call", "said", "hint"),
    [
        (
            "chroot_install-packages",
            "E: The repository 'http://a.example.org/debian trixie-backports Release' does not have a Release file.",
            "set [image] backports = false",
        ),
        (
            "chroot_install-packages",
            "E: The repository 'https://v.example.org stable InRelease' is not signed.",
            "get its makers' key anew",
        ),
        ("chroot_install-packages", "E: Unable to locate package intel-microcode", 'set [image] firmware = "none"'),
        (
            "bootstrap_debootstrap",
            "E: Release signed by unknown key (key id 0123)",
            "apt-get install debian-archive-keyring",
        ),
        (
            "bootstrap_debootstrap",
            "E: Failed getting release file http://m/dists/trixie/Release",
            "name a mirror that has it",
        ),
        ("chroot_hooks", "write failed: No space left on device", "make room"),
    ],
)
def test_a_failure_whose_cause_is_known_says_what_to_do(room: Path, call: str, said: str, hint: str) -> None:
    (room / "work" / f"fail-{call}").write_text(f"{said}\n")
    with pytest.raises(BuildError) as caught:
        run(room, ImageRecipe(backports=True))
    assert caught.value.stage == STEPS[call]
    assert hint in caught.value.hint


def test_the_cause_is_found_above_the_last_lines_and_old_logs_are_compressed(room: Path) -> None:
    first, _ = run(room)
    cause = "E: Failed to fetch http://m/InRelease  Temporary failure resolving 'm'\n"
    noise = "".join(f"N: {number}\n" for number in range(100))
    (room / "work" / "fail-chroot_install-packages").write_text(f"{cause}E: Unable to locate package htop\n{noise}")
    with pytest.raises(BuildError, match="the stage extras") as caught:
        run(room, ImageRecipe(packages=("htop",)))
    assert "the name of the Debian mirror or of its proxy, m, cannot be resolved" in str(caught.value)
    assert caught.value.log is not None
    logs = caught.value.log.parent
    assert sorted(path.name for path in logs.iterdir()) == sorted([f"{first.id}.log.gz", caught.value.log.name])
    assert b"P: lb chroot_hooks" in gzip.decompress((logs / f"{first.id}.log.gz").read_bytes())


SILENT = """\
#!/bin/sh
case $1 in
config) mkdir -p config && touch config/common ;;
bootstrap_debootstrap)
    for try in 1 2 3; do
        echo "HTTP request sent, awaiting response... Read error (Connection timed out) in headers."
    done
    exec sleep 60
    ;;
esac
"""


def test_a_mirror_that_does_not_answer_ends_the_build(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_patience, "SECONDS", -1.0)
    (room / "bin" / "lb").write_text(SILENT)
    began = time.monotonic()
    with pytest.raises(BuildError, match="in the stage bootstrap: the Debian mirror does not answer") as caught:
        run(room)
    assert time.monotonic() - began < 50, "it has not waited for the program"
    assert "/etc/apt/sources.list" in caught.value.hint
    assert caught.value.tail[-1].startswith("HTTP request sent")


def test_the_disk_is_said_to_be_full_if_it_is(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_FULL", 1 << 60)
    (room / "work" / "fail-chroot_hooks").write_text("E: something else\n")
    with pytest.raises(BuildError, match=rf"the disk of {room}/work is full") as caught:
        run(room)
    assert "make room" in caught.value.hint


def test_memory_is_said_to_be_short_if_the_kernel_ended_a_program(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter((4, 5))
    monkeypatch.setattr(failures, "_killed_for_memory", lambda: next(counts))
    (room / "work" / "fail-chroot_hooks").write_text("Killed\n")
    with pytest.raises(BuildError, match="in the stage system: the machine ran out of memory"):
        run(room)


def test_without_a_kernel_there_is_no_release(room: Path) -> None:
    (room / "bin" / "lb").write_text(LB.replace("vmlinuz-6", "nothing-6"))
    with pytest.raises(BuildError, match="made 0 kernels instead of one"):
        run(room)
    assert not (room / "images").exists()


def test_what_is_missing_is_reported_before_anything_is_written(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        build_prerequisites, "problems", lambda *arguments, **options: (("no root", "sudo"), ("no lb", "apt-get"))
    )
    with pytest.raises(BuildError, match="no root; no lb") as caught:
        run(room)
    assert (caught.value.stage, caught.value.hint) == ("checks", "sudo; apt-get")
    assert os.listdir(room / "work") == ["lock"]


def test_a_host_without_debian_sources(room: Path) -> None:
    (room / "apt" / "sources.list").write_text("")
    with pytest.raises(BuildError, match="no entry for bookworm main") as caught:
        run(room)
    assert caught.value.stage == "checks"


def test_an_unfinished_release_of_an_interrupted_build_is_removed(room: Path) -> None:
    left = room / "images" / ".building-lost"
    left.mkdir(parents=True)
    made, _ = run(room)
    assert sorted(os.listdir(room / "images")) == [".lock", made.id, "current"]


def test_an_update_without_a_changed_package_keeps_the_active_release(room: Path) -> None:
    first, _ = run(room)
    made, told = run(room, rebuild=Rebuild.UPDATED)
    assert made == first
    assert told[-1].step == "no package has changed"
    assert calls(room)[len(ALL) :] == ["config", "chroot_linux-image", "chroot_install-packages"]
    assert release.releases(room / "images").releases == (first,)
    assert os.listdir(room / "work" / "live") == []


def test_a_release_that_is_set_apart_is_not_active_and_is_taken_again(room: Path) -> None:
    first, _ = run(room)
    assert run(room, rebuild=Rebuild.APART)[0] == first
    upgrade(room, first)
    made, _ = run(room, rebuild=Rebuild.APART)
    assert made.id > first.id
    assert release.current(room / "images") == first
    # Whoever was stopped after the build goes on with what it has made.
    assert run(room, rebuild=Rebuild.APART)[0] == made
    assert release.current(room / "images") == first
    damage(room, made)
    upgrade(room, first)
    assert run(room, rebuild=Rebuild.APART)[0] not in (first, made)


def upgrade(room: Path, first: release.Release) -> None:
    (room / "bin" / "lb").write_text(LB.replace("7.20.5", "7.20.6"))


def damage(room: Path, first: release.Release) -> None:
    squashfs = first.path / release.SQUASHFS
    squashfs.write_bytes(b"x" * squashfs.stat().st_size)


def forget(room: Path, first: release.Release) -> None:
    (room / "images" / "current").unlink()


@pytest.mark.parametrize("happening", [upgrade, damage, forget])
def test_an_update_that_is_needed_is_a_new_release(
    room: Path, happening: Callable[[Path, release.Release], None]
) -> None:
    first, _ = run(room)
    happening(room, first)
    made, _ = run(room, rebuild=Rebuild.UPDATED)
    assert made.id > first.id
    assert release.current(room / "images") == made
    assert release.verify(made) == []


def test_an_update_with_another_recipe_is_a_new_release(room: Path) -> None:
    first, _ = run(room)
    made, _ = run(room, ImageRecipe(kernel="cloud-amd64"), Rebuild.UPDATED)
    assert made.digest != first.digest
    assert release.current(room / "images") == made


RUNNER = """\
import sys
from pathlib import Path
import pytest
from image import build
from image.recipe import ImageRecipe
from tests.unit.image.test_build import furnish
room = Path(sys.argv[1])
with pytest.MonkeyPatch.context() as monkeypatch:
    furnish(room, monkeypatch)
    build.build(ImageRecipe(), room / "work", room / "images", lambda each: print(each.step, flush=True))
"""


@contextlib.contextmanager
def hanging_build(room: Path, call: str = "chroot_hooks") -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A build in a process of its own, and its sleeping programs, once it hangs in that call. Killed at the end."""
    (room / "work" / f"hang-{call}").touch()
    builder = subprocess.Popen(
        [*UNIGNORED, sys.executable, "-c", RUNNER, str(room)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert builder.stdout is not None
        if "hangs\n" not in builder.stdout:
            raise AssertionError(builder.communicate()[1])
        yield builder, children(builder.pid)
    finally:
        builder.kill()
        builder.communicate()


def children(pid: int) -> list[int]:
    try:
        direct = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it ended meanwhile
        return []
    return direct + [deeper for child in direct for deeper in children(child)]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in state(pid)]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


KILLED_AT = ("config", "bootstrap_debootstrap", "sync", "chroot_install-packages", "chroot_hooks", "mksquashfs")


@pytest.mark.parametrize(
    ("number", "status", "call"),
    [
        (signal.SIGTERM, 143, "chroot_hooks"),
        (signal.SIGINT, None, "chroot_hooks"),
        *((signal.SIGKILL, -9, call) for call in KILLED_AT),
    ],
)
def test_an_interrupted_build_leaves_no_process_no_mount_no_release(
    room: Path, number: signal.Signals, status: int | None, call: str
) -> None:
    with hanging_build(room, call) as (builder, programs):
        assert len(programs) >= 3
        builder.send_signal(number)
        builder.communicate(timeout=60)
    if status is not None:
        assert builder.returncode == status
    deadline = time.monotonic() + 60
    while alive(programs) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(programs) == []
    assert str(room) not in Path("/proc/self/mountinfo").read_text()
    assert release.releases(room / "images") == release.Listing((), ())
    (room / "work" / f"hang-{call}").unlink()
    made, _ = run(room)
    assert release.verify(made) == []
    # What was done before is not done again, and what was interrupted is.
    assert calls(room).count("bootstrap_debootstrap") == (2 if call in ("bootstrap_debootstrap", "sync") else 1)
    assert calls(room).count("chroot_hooks") == (2 if call in ("chroot_hooks", "mksquashfs") else 1)
    assert sorted(os.listdir(room / "work" / "steps")) == ["bootstrap", "packages", "system"]


SLOW = """\
import time
from image import plain_files
real = plain_files.settle
def settle(path):
    real(path)
    print("hangs", flush=True)
    time.sleep(60)
plain_files.settle = settle
"""


def test_a_build_that_is_killed_while_it_publishes_leaves_the_active_release(room: Path) -> None:
    first, _ = run(room, ImageRecipe(packages=("htop",)))
    command_line = [sys.executable, "-c", SLOW + RUNNER, str(room)]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        assert "hangs\n" in builder.stdout
        builder.kill()
    assert release.current(room / "images") == first
    assert release.releases(room / "images") == release.Listing((first,), ())
    made, _ = run(room)
    assert release.verify(made) == []
    assert [name for name in os.listdir(room / "images") if name.startswith(".building")] == []


def test_two_builds_do_not_share_a_work_directory(room: Path) -> None:
    with hanging_build(room) as (builder, _):
        with pytest.raises(BuildError, match=rf"another build is running .* \(process {builder.pid}\)") as caught:
            run(room)
        assert caught.value.hint == f"wait for it, or end it: kill {builder.pid}"
