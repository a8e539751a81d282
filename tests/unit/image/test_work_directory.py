"""The directory in which images are built."""

from pathlib import Path

from image import work_directory


def test_mounts_below_a_directory() -> None:
    mountinfo = (
        "22 1 8:1 / / rw - ext4 /dev/vda rw\n"
        "31 22 0:5 / /w/live/chroot/proc rw - proc proc rw\n"
        "32 22 0:6 / /w/live/chroot/dev/pts rw - devpts devpts rw\n"
        "33 22 0:7 / /w/live2/x rw - tmpfs tmpfs rw\n"
    )
    assert work_directory.mounts_below(Path("/w/live"), mountinfo) == ("/w/live/chroot/dev/pts", "/w/live/chroot/proc")
