"""A disk that becomes full at every point of a build: PCs can still boot, and with room again the build succeeds.

On a real file system of its own (tmpfs), with stand-ins for live-build's programs, which really write.
"""

import os
import subprocess
import sys
from pathlib import Path

RUNNER = """\
import subprocess, sys
from pathlib import Path
import pytest
from image import disk_space, release
from image.progress import BuildError
from image.recipe import ImageRecipe
from tests.unit.image.test_build import furnish, run
from tests.unit.image.test_full_disk import grow

room = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", room], check=True)
with pytest.MonkeyPatch.context() as monkeypatch:
    furnish(room, monkeypatch)
    # Not refused before it begins: here it is to go wrong later.
    monkeypatch.setattr(disk_space, "shortage", lambda *_: "")
    grow(room)
"""
_STEP = 48
"""KiB that are added after each failure."""

_BALLAST = """\
case $1 in bootstrap_debootstrap|chroot_install-packages|chroot_hooks)
    mkdir -p chroot
    head -c 150000 /dev/zero > "chroot/ballast-$1-$2" ;;
esac
"""
"""So that each step can be the one for which there is no room."""


def grow(room: Path) -> None:
    """Build on a disk that has a little more room each time; print the stage and the message of each failure."""
    # Here and not above: a process without root imports this module only for its tests.
    from image import release
    from image.progress import BuildError
    from image.recipe import ImageRecipe
    from tests.unit.image.test_build import LB, run

    (room / "bin" / "lb").write_text(LB.replace("case $1 in\nconfig)", f"{_BALLAST}\ncase $1 in\nconfig)"))
    first, _ = run(room)
    wanted, _ = run(room, ImageRecipe(packages=("htop",)))
    release.activate(room / "images", first.id)
    subprocess.run(["rm", "-r", wanted.path, room / "work" / "steps", room / "work" / "live"], check=True)
    used = os.statvfs(room)
    size = (used.f_blocks - used.f_bfree) * used.f_frsize // 1024
    while True:
        subprocess.run(["mount", "-o", f"remount,size={size}k", room], check=True)
        try:
            made, _ = run(room, ImageRecipe(packages=("htop",)))
            break
        except BuildError as error:
            print(f"{error.stage}: {error}")
        active = release.current(room / "images")
        assert active is not None
        assert active.id == first.id
        assert release.verify(active) == []
        assert release.releases(room / "images").broken == ()
        size += _STEP
    assert release.verify(made) == []
    assert made.files == wanted.files
    assert sorted(os.listdir(room / "work" / "steps")) == ["bootstrap", "extras", "packages", "system"]
    assert [name for name in os.listdir(room / "images") if name.startswith(".building")] == []


def test_a_disk_that_is_full_at_every_point(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ["unshare", *user, "--mount", sys.executable, "-c", RUNNER, str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    failures = [line.partition(": ") for line in done.stdout.splitlines()]
    assert {stage for stage, _, _ in failures} >= {"config", "bootstrap", "packages", "extras", "system", "publish"}
    assert [words for _, _, words in failures if "full" not in words and "No space left" not in words] == []
