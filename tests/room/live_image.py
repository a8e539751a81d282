"""The live image of the virtual rooms: built once, by the product's own command, and given to each room that needs it.

Rooms do not share it, because a box mounts and moves the directory that its images are in.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from services.linux import volumes
from tests.room.interruption import UNIGNORED, Interrupted
from tests.room.namespaces import own_mounts
from tests.room.processes import RoomError
from tests.room.room import CHECKOUT, appliance_command, write_configuration

DEMO = CHECKOUT / ".room"
"""The demo's directory, with the image in it: demo and tests build it once."""


CUSTOMIZED = "site: my file is here, 0 files in skel, issue.net removed"
"""What an image of ours says on the console at each boot: what its own files and its hook changed is all there. (What
they must not change is tried, too: tests/e2e/test_image.py.)"""

_SITE = {
    "files/etc/site/words": "my file is here",
    "files/usr/local/sbin/site": """\
#!/bin/sh
[ -e /etc/issue.net ] || gone=removed
echo "site: $(cat /etc/site/words), $(ls -A /etc/skel | wc -l) files in skel, issue.net ${gone:-there}" > /dev/console
""",
    "files/etc/systemd/system/site.service": """\
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/site

[Install]
WantedBy=multi-user.target
""",
    "hooks/10-site.chroot": """\
#!/bin/sh
set -e
systemctl enable site.service
chmod 4755 /usr/local/sbin/site
rm /etc/issue.net
rm -r /etc/skel
mkdir /etc/skel
""",
}


def customize(directory: Path, image: str = "boinc", said: str = "") -> None:
    """Put files and a hook into an image of this configuration's directory: a layer above its live system. `said`: what
    the console says at each boot beside the rest, in the shell's words."""
    for name, text in _SITE.items():
        path = directory / "images" / image / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace('" > /dev/console', f'; {said}" > /dev/console') if said else text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)


@contextlib.contextmanager
def only_one(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Lock the directory: two rooms in it would delete each other's files. The kernel unlocks it, however we end.

    If it is locked, `wait`, or raise RoomError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise RoomError(f"another demo or e2e test uses {directory}: wait for it, or end it") from None
        yield


def build_image(directory: Path, console: Console) -> None:
    """Build the live image with the product's own command, which does nothing when its recipe has been built."""
    # The program mounts the images of an earlier room.
    own_mounts()
    configuration = write_configuration(directory.resolve())
    customize(directory.resolve())
    command = [appliance_command(), "--config", str(configuration), "image", "build"]
    console.print("The live image:", " ".join(command), markup=False, highlight=False, soft_wrap=True)
    # In a session of its own: Ctrl-C must reach it once, from here.
    with subprocess.Popen([*UNIGNORED, *command], start_new_session=True) as build:
        try:
            code = build.wait()
        except Interrupted:
            # It has to undo the mounts in its build directory.
            build.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                build.wait(120)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGKILL)
            raise
    if code:
        raise RoomError(f"the image was not built (exit code {code}); see above")


def give_image(data: Path) -> Path:
    """Put the image into the `data` of a room that is not open; returns the directory of images there.

    The first to ask builds it if it is out of date, and the others wait. What a room there had before is removed.
    """
    images, volume = data / "images", data / "volumes" / "images.img"
    with only_one(DEMO, wait=True):
        build_image(DEMO, Console())
        built = DEMO.resolve() / "data" / "images"
        shutil.rmtree(images, ignore_errors=True)
        # With the key that has signed them.
        keys = data / "image-keys"
        shutil.rmtree(keys, ignore_errors=True)
        shutil.copytree(DEMO.resolve() / "data" / "image-keys", keys)
        volume.unlink(missing_ok=True)
        try:
            shutil.copytree(built, images, symlinks=True, copy_function=_link_or_copy)
        finally:
            # Two processes that each mount it for themselves would destroy it.
            if str(built) in volumes.mounts():
                volumes.unmount(built)
    return images


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # it is in a file system of its own
        shutil.copy2(source, target)
    return target
