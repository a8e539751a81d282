"""How much room a build needs."""

from image import disk_space
from image.disk_space import FIRST, BuildDisk

ALL = ("bootstrap", "packages", "system")


def test_the_first_build_needs_room_for_all_its_steps() -> None:
    needed = disk_space.work_bytes(ALL, {})
    assert needed > sum(FIRST[name] for name in ALL)
    assert disk_space.work_bytes((*ALL, "files"), {}) > needed


def test_a_later_one_needs_room_for_the_largest_beside_the_old_one() -> None:
    kept = {"bootstrap": 200_000_000, "packages": 500_000_000, "system": 150_000_000}
    assert disk_space.work_bytes(ALL, kept) == disk_space.work_bytes(("packages",), kept) < 1_200_000_000
    assert disk_space.work_bytes(("system",), kept) == 680_000_000


def test_a_new_step_needs_room_beside_all_that_is_kept() -> None:
    kept = {"system": 150_000_000}
    both = disk_space.work_bytes(("extras", "system"), kept)
    assert both == int((FIRST["extras"] + 150_000_000) * 1.2) + 500_000_000


def test_a_shortage_is_said_in_numbers_for_each_disk() -> None:
    work, images = BuildDisk("/w", 1, 2_000_000_000), BuildDisk("/i", 2, 100_000_000)
    assert disk_space.shortage(work, 2_000_000_000, images, 100_000_000) == ""
    assert disk_space.shortage(work, 2_100_000_000, images, 200_000_000) == (
        "/w has 2.00 GB free, and 2.10 GB are needed; /i has 0.10 GB free, and 0.20 GB are needed"
    )


def test_on_one_disk_the_release_needs_room_as_well() -> None:
    work = BuildDisk("/w", 1, 2_000_000_000)
    said = disk_space.shortage(work, 1_900_000_000, BuildDisk("/i", 1, 2_000_000_000), 200_000_000)
    assert said == "/w has 2.00 GB free, and 2.10 GB are needed"


def test_a_release_will_be_about_as_large_as_the_latest_one() -> None:
    assert disk_space.release_bytes(100) == 120
    assert disk_space.release_bytes(None) == disk_space.FIRST_RELEASE
