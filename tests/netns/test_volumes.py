"""The PCs' file systems with real mounts: what moves into them, what they hold, what a crash leaves."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config.file import Config, NfsSettings, ServerSettings
from appliance.errors import UserError
from appliance.exports import kept_work, state, volumes
from appliance.exports.volumes import MountRequest
from services.ethernet import MacAddress
from services.linux import tree_copy
from services.linux import volumes as file_systems
from tests.room.namespaces import own_mounts
from tests.room.processes import wait_until
from tests.room.room import CHECKOUT

NAME, OTHER = "525400aabbcc", "525400aabbdd"
BOINC = 731


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A box with a state directory and nothing in it. Its mounts end with the test."""
    own_mounts()
    config = Config(
        tmp_path / "config.toml", server=ServerSettings(data=tmp_path / "data"), nfs=NfsSettings(state_limit=1)
    )
    for directory in (config.state, config.images):
        directory.mkdir(parents=True)
    yield config
    for path in sorted(volumes.alone(config)):
        assert file_systems.unmount(Path(path))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def mount(config: Config, *names: str) -> dict[str, str]:
    return volumes.carry_out(config, MountRequest(mount=names or (NAME,)))


def unmount(config: Config) -> None:
    assert volumes.carry_out(config, MountRequest(keep=())) == {}


def work(directory: Path) -> Path:
    """What BOINC leaves, and all else that a PC can make: links of both kinds, holes, modes, times, odd names."""
    (directory / "slots" / "0").mkdir(parents=True)
    (directory / "projects" / "example.org").mkdir(parents=True)
    (directory / "client_state.xml").write_text("<client_state/>\n" * 1000)
    (directory / "account_example.xml").write_text("secret")
    (directory / "account_example.xml").chmod(0o600)
    app = directory / "projects" / "example.org" / "app"
    app.write_bytes(os.urandom(300_000))
    app.chmod(0o755)
    os.link(app, directory / "slots" / "0" / "app")
    (directory / "slots" / "0" / "soft").symlink_to("../../projects/example.org/app")
    (directory / "slots" / "0" / "dangling").symlink_to("/etc/nothing")
    (directory / "ä \n '\"").write_text("odd")
    os.mkfifo(directory / "slots" / "fifo")
    with (directory / "sparse").open("wb") as file:
        file.truncate(300 << 20)
        file.seek(200 << 20)
        file.write(b"in the middle")
    os.utime(app, ns=(10**18 + 5, 10**18 + 7))
    for path in (directory, *directory.rglob("*")):
        os.chown(path, BOINC, BOINC, follow_symlinks=False)
    directory.chmod(0o700)
    os.utime(directory / "slots", ns=(10**18, 10**18 + 1))
    return directory


def original(config: Config, directory: Path) -> Path:
    """A copy to compare with."""
    copy = config.server.data / "original"
    copy.mkdir()
    tree_copy.copy(directory, copy)
    assert tree_copy.difference(directory, copy) == ""
    return copy


def left(config: Config) -> set[str]:
    """Everything beside the volumes and the PCs' directories."""
    found = (*config.state.iterdir(), *config.volumes.iterdir(), *config.server.data.iterdir())
    names = {path.name for path in found if not path.name.startswith(".lock")}
    return names - {
        NAME,
        OTHER,
        f"{NAME}.img",
        ".forgotten.json",
        f"{OTHER}.img",
        ".lock",
        ".mount",
        "state",
        "images",
        "volumes",
        "original",
    }


def test_a_new_pc_gets_a_file_system_of_the_size_of_the_limit(config: Config) -> None:
    assert mount(config, NAME, OTHER) == {}
    for name in (NAME, OTHER):
        found = (config.state / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_ino) == (BOINC, BOINC, 0o700, 2)
        assert os.listdir(config.state / name) == []
        image = (config.volumes / f"{name}.img").stat()
        assert image.st_size == 10**9
        assert image.st_blocks * 512 < 8 << 20, "it takes what is in it"
        assert image.st_mode & 0o7777 == 0o600
    assert config.volumes.stat().st_mode & 0o7777 == 0o700
    flags = os.statvfs(config.state / NAME).f_flag
    assert flags & os.ST_NOSUID
    assert flags & os.ST_NODEV
    assert flags & os.ST_NOEXEC
    ids = {
        subprocess.check_output(["blkid", "-o", "value", "-s", "UUID", config.volumes / f"{n}.img"])
        for n in (NAME, OTHER)
    }
    assert len(ids) == 2, "each its own random id"


def test_a_pc_that_never_kept_anything_leaves_nothing(config: Config) -> None:
    mount(config, NAME, OTHER)
    (config.state / OTHER / "client_state.xml").write_text("work")
    unmount(config)
    assert volumes.names(config) == {OTHER}
    assert mount(config, NAME, OTHER) == {}


def test_a_full_file_system_is_one_pcs_problem(config: Config) -> None:
    mount(config, NAME, OTHER)
    with pytest.raises(OSError, match="No space left"), (config.state / NAME / "huge").open("wb") as file:
        # As blocks that are reserved: nothing has to be written to the disk.
        os.posix_fallocate(file.fileno(), 0, 10**9)
    (config.state / OTHER / "client_state.xml").write_text("goes on")
    unmount(config)
    assert mount(config, OTHER) == {}
    assert (config.state / OTHER / "client_state.xml").read_text() == "goes on"


def test_a_larger_limit_holds_from_the_next_mount_and_a_smaller_one_changes_nothing(config: Config) -> None:
    mount(config)
    (config.state / NAME / "work").write_text("hours")
    unmount(config)
    large = replace(config, nfs=replace(config.nfs, state_limit=3))
    assert mount(large) == {}
    seen = os.statvfs(config.state / NAME)
    assert seen.f_blocks * seen.f_frsize > 2.8e9
    assert (config.state / NAME / "work").read_text() == "hours"
    unmount(config)
    mount(config)
    assert os.statvfs(config.state / NAME).f_blocks == seen.f_blocks


def test_existing_work_moves_in_and_out_again_without_losing_a_byte(config: Config) -> None:
    directory = work(config.state / NAME)
    copy = original(config, directory)
    assert mount(config) == {}
    assert str(directory) in volumes.alone(config)
    assert tree_copy.difference(copy, directory) == ""
    assert tree_copy.difference(directory, copy) == ""
    assert (directory / "sparse").stat().st_blocks * 512 < 1 << 20
    assert left(config) == set()
    volumes.unpack(config, NAME)
    assert str(directory) not in volumes.alone(config)
    assert tree_copy.difference(copy, directory) == ""
    assert tree_copy.difference(directory, copy) == ""
    assert not (config.volumes / f"{NAME}.img").exists()
    assert left(config) == set()
    with pytest.raises(UserError, match="plain directory already"):
        volumes.unpack(config, NAME)


def test_the_images_move_in_with_what_is_active(config: Config) -> None:
    release = config.images / "20260101-000000-abcdef12"
    (release / "live").mkdir(parents=True)
    (release / "live" / "filesystem.squashfs").write_bytes(os.urandom(100_000))
    (config.images / "current").symlink_to(release.name)
    copy = original(config, config.images)
    assert mount(config, volumes.IMAGES) == {}
    assert tree_copy.difference(copy, config.images) == ""
    assert config.images.stat().st_mode & 0o7777 == 0o755
    assert left(config) == {"images.img"}
    unmount(config)
    assert str(config.images) in volumes.alone(config), "what is exported to all is not unmounted for one PC"


def test_the_images_can_be_read_at_any_moment_while_they_move_in(config: Config) -> None:
    """The first PC that is granted an export moves them, and is loading from them at that moment."""
    release = config.images / "20260101-000000-abcdef12"
    release.mkdir()
    (release / "vmlinuz").write_text("kernel")
    (config.images / "current").symlink_to(release.name)
    ended = threading.Event()

    def read() -> int:
        times = 0
        while not ended.is_set():
            assert (config.images / "current" / "vmlinuz").read_text() == "kernel"
            times += 1
        return times

    with ThreadPoolExecutor() as reader:
        reading = reader.submit(read)
        try:
            assert mount(config, volumes.IMAGES) == {}
        finally:
            ended.set()
        assert reading.result() > 0
    assert str(config.images) in volumes.alone(config)
    assert left(config) == {"images.img"}
    assert file_systems.unmount(config.images)
    assert os.listdir(config.images) == [], "the old ones are gone"


def test_images_that_are_elsewhere_stay_there(config: Config, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "release").write_text("an image")
    config.images.rmdir()
    config.images.symlink_to(elsewhere)
    assert "is a link to a directory that is no file system of its own" in mount(config, volumes.IMAGES)["images"]
    assert (config.images / "release").read_text() == "an image"
    assert left(config) == set()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", elsewhere], check=True)
    assert str(config.images) in volumes.alone(config)
    assert mount(config, volumes.IMAGES) == {}
    assert left(config) == set()


def test_what_is_large_waits_for_the_administrator(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "AT_ONCE", 100_000)
    directory = work(config.state / NAME)
    copy = original(config, directory)
    assert "too large to be moved in passing" in mount(config)[NAME]
    assert str(directory) not in volumes.alone(config)
    volumes.pack(config, NAME)
    assert str(directory) in volumes.alone(config)
    assert tree_copy.difference(copy, directory) == ""


def test_without_room_for_a_copy_nothing_is_changed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = work(config.state / NAME)
    monkeypatch.setattr(volumes, "_SPARE", 1 << 60)
    assert "a copy does not fit" in mount(config, NAME, OTHER)[NAME]
    assert (directory / "client_state.xml").exists()
    assert left(config) == set()
    assert str(config.state / OTHER) in volumes.alone(config), "another PC gets its own"


def test_a_copy_that_differs_is_thrown_away(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = work(config.state / NAME)

    def copy_badly(source: Path, target: Path) -> None:
        real(source, target)
        (target / "projects" / "example.org" / "app").write_bytes(os.urandom(300_000))

    real = tree_copy.copy
    monkeypatch.setattr(tree_copy, "copy", copy_badly)
    assert "the copy is not like the original" in mount(config)[NAME]
    assert left(config) == set()
    assert not (config.volumes / f"{NAME}.img").exists()
    monkeypatch.undo()
    assert mount(config) == {}
    assert (directory / "client_state.xml").exists()


# Stops dead at the N-th change of a name, as if the power failed there.
CRASH = """
import os, sys
from pathlib import Path
from dataclasses import replace
from appliance.config.file import Config, NfsSettings, ServerSettings
from appliance.exports import volumes
from appliance.exports.volumes import MountRequest
from services.linux import tree_copy, volumes as file_systems
data, act, name, deadly = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
config = Config(data / "c", server=ServerSettings(data=data), nfs=NfsSettings(state_limit=1))
steps = 0
def deadly_step(kind, what):
    real = getattr(kind, what)
    def stepping(*arguments, **settings):
        global steps
        steps += 1
        if steps == deadly:
            os.kill(os.getpid(), 9)
        return real(*arguments, **settings)
    setattr(kind, what, stepping)
for what in ("rename", "rmdir", "unlink", "mkdir", "touch"):
    deadly_step(Path, what)
for what in ("copy", "difference"):
    deadly_step(tree_copy, what)
for what in ("make", "mount", "unmount", "show_beneath"):
    deadly_step(file_systems, what)
deadly_step(volumes.shutil, "rmtree")
if act == "mount":
    sys.exit(1 if volumes.carry_out(config, MountRequest(mount=(name,))) else 0)
volumes.unpack(config, name)
"""


def crash(config: Config, act: str, step: int) -> bool:
    """Do something, and die at this step; whether there was such a step."""
    command = [sys.executable, "-c", CRASH, str(config.server.data), act, NAME, str(step)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def test_a_power_cut_at_any_step_of_moving_in_loses_nothing(config: Config) -> None:
    directory = work(config.state / NAME)
    copy = original(config, directory)
    step = 1
    while crash(config, "mount", step):
        assert mount(config) == {}, step
        assert tree_copy.difference(copy, directory) == "", step
        assert left(config) == set(), step
        volumes.unpack(config, NAME)
        assert tree_copy.difference(copy, directory) == "", step
        step += 1
    assert step > 10
    assert tree_copy.difference(copy, directory) == ""


def test_a_power_cut_at_any_step_of_moving_out_loses_nothing(config: Config) -> None:
    directory = work(config.state / NAME)
    copy = original(config, directory)
    step = 1
    while True:
        assert mount(config) == {}, step
        assert tree_copy.difference(copy, directory) == "", step
        assert left(config) == set(), step
        if not crash(config, "unpack", step):
            break
        step += 1
    assert step > 8
    assert tree_copy.difference(copy, directory) == ""
    assert not (config.volumes / f"{NAME}.img").exists()


def test_a_file_system_that_was_cut_off_while_a_pc_wrote_is_mounted_again(config: Config) -> None:
    """The journal makes it whole. The copy is what a power cut leaves of a mounted image."""
    mount(config)
    (config.state / NAME / "saved").write_text("checkpoint")
    with (config.state / NAME / "saved").open() as file:
        os.fsync(file.fileno())
    image = config.volumes / f"{NAME}.img"
    cut = image.with_name(f"{OTHER}.img")
    subprocess.run(["cp", "--sparse=always", image, cut], check=True)
    assert mount(config, OTHER) == {}
    assert (config.state / OTHER / "saved").read_text() == "checkpoint"


def test_files_in_the_place_of_a_file_system_are_not_hidden(config: Config) -> None:
    mount(config)
    (config.state / NAME / "work").write_text("in the image")
    unmount(config)
    (config.state / NAME / "work").write_text("from a backup")
    assert "has files in it, but its work is in" in mount(config, NAME, OTHER)[NAME]
    assert (config.state / NAME / "work").read_text() == "from a backup"
    assert str(config.state / OTHER) in volumes.alone(config)
    (config.state / NAME / "work").unlink()
    assert mount(config) == {}
    assert (config.state / NAME / "work").read_text() == "in the image"


def test_what_the_administrator_mounted_stays(config: Config) -> None:
    (config.state / NAME).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", config.state / NAME], check=True)
    assert str(config.state / NAME) in volumes.alone(config)
    assert mount(config) == {}
    unmount(config)
    assert str(config.state / NAME) in volumes.alone(config)
    assert volumes.names(config) == frozenset()
    # Only a part of a file system is not one of its own: a handle leads to the rest.
    (config.state / OTHER).mkdir()
    subprocess.run(["mount", "--bind", config.images, config.state / OTHER], check=True)
    assert str(config.state / OTHER) not in volumes.alone(config)
    subprocess.run(["umount", config.state / OTHER], check=True)


def test_a_directory_in_use_stays_mounted_and_is_unmounted_later(config: Config) -> None:
    mount(config)
    with (config.state / NAME / "open").open("w"):
        unmount(config)
        assert str(config.state / NAME) in volumes.alone(config)
    unmount(config)
    assert str(config.state / NAME) not in volumes.alone(config)


def test_work_is_set_aside_only_when_nobody_has_it(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [frozenset({"10.77.0.5"}), None]
    monkeypatch.setattr(state, "exported_to", lambda *_: told.pop(0) if len(told) > 1 else told[0])
    mac, now = MacAddress.parse(NAME), 1_800_000_000.0
    mount(config, NAME, OTHER)
    work(config.state / NAME / "projects")
    others = work(config.state / OTHER / "projects")
    with (config.state / NAME / "open").open("w"), pytest.raises(UserError, match="is in use"):
        state.set_aside(config, mac, now)
    assert (config.state / NAME / "projects" / "slots").is_dir()
    first = state.set_aside(config, mac, now)
    assert first.used() > 300_000
    assert not (config.state / NAME).exists()
    assert NAME not in volumes.names(config)
    assert (others / "slots").is_dir()
    with pytest.raises(UserError, match="has no work here"):
        state.set_aside(config, mac, now)
    # It begins anew; within the same second, and in a plain directory.
    mount(config)
    unmount(config)
    work(config.state / NAME)
    second = state.set_aside(config, mac, now)
    assert [each.at for each in kept_work.find(config)] == [second.at, first.at]
    # The latest comes back, and what is there meanwhile is kept.
    mount(config)
    (config.state / NAME / "newer").touch()
    third = state.restore(config, [], [], mac, now)
    assert third is not None
    assert (config.state / NAME / "client_state.xml").exists()
    assert NAME not in volumes.names(config)
    assert state.restore(config, [], [], mac, now) is not None
    assert mount(config) == {}
    assert (config.state / NAME / "newer").exists()
    unmount(config)
    for each in kept_work.find(config):
        state.purge(config, each)
    assert left(config) == set()
    assert mount(config, OTHER) == {}
    assert (others / "slots").is_dir()


def test_what_the_administrator_mounted_is_not_set_aside(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    mac = MacAddress.parse(NAME)
    (config.state / NAME).mkdir()
    subprocess.run(["mount", "--bind", config.images, config.state / NAME], check=True)
    (config.images / "precious").touch()
    with pytest.raises(UserError, match="you mounted it"):
        state.set_aside(config, mac, 0.0)
    subprocess.run(["umount", config.state / NAME], check=True)
    assert (config.images / "precious").exists()
    monkeypatch.setattr(state, "exported_to", lambda *_: frozenset())
    with pytest.raises(UserError, match="is still exported"):
        state.await_withdrawal(config, mac, 0.0)
    assert (config.state / NAME).is_dir()


@pytest.mark.parametrize("wrong", ["link", "mode", "owner"])
def test_only_roots_own_images_are_mounted(config: Config, wrong: str, tmp_path: Path) -> None:
    if wrong == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        config.volumes.symlink_to(tmp_path / "elsewhere")
    else:
        config.volumes.mkdir(mode=0o755 if wrong == "mode" else 0o700)
        os.chown(config.volumes, BOINC if wrong == "owner" else 0, 0)
    with pytest.raises(UserError, match="a link or open to other users"):
        mount(config)


def test_two_at_once_wait_for_each_other(config: Config) -> None:
    line = CRASH.replace("volumes.unpack(config, name)", "")
    names = [f"52540000000{number}" for number in range(4)]
    command = [sys.executable, "-c", line, str(config.server.data), "mount"]
    running = [subprocess.Popen([*command, name, "0"], cwd=CHECKOUT) for name in (*names, *names)]
    wait_until(lambda: all(each.poll() is not None for each in running), 60, "all to end")
    assert [each.returncode for each in running] == [0] * len(running)
    assert {Path(path).name for path in volumes.alone(config)} == set(names)


def test_while_one_pcs_work_is_moved_others_are_mounted(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = work(config.state / NAME)
    seen: list[dict[str, str]] = []
    real = tree_copy.copy

    def copy(source: Path, target: Path) -> None:
        # Another process's attempt: locks are of the open file, so that of this one counts as another's.
        seen.append(mount(config, NAME, OTHER))
        real(source, target)

    monkeypatch.setattr(tree_copy, "copy", copy)
    volumes.pack(config, NAME)
    assert "is being moved" in seen[0][NAME]
    assert set(seen[0]) == {NAME}
    assert str(config.state / OTHER) in volumes.alone(config)
    assert str(directory) in volumes.alone(config)


def test_a_crowd_is_mounted_a_part_at_a_time(config: Config) -> None:
    late = volumes.carry_out(config, MountRequest(mount=(NAME,), seconds=-1))
    assert "its turn comes next" in late[NAME]
    assert mount(config) == {}


def test_where_nothing_can_be_mounted_nothing_is_left(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "OPTIONS", "loop,no_such_option")
    assert "mount" in mount(config)[NAME]
    assert volumes.names(config) == frozenset()
    assert left(config) == set()
    monkeypatch.undo()
    assert mount(config) == {}
