"""A room for each file of end-to-end tests: the real image, the real box, real firmware."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.room.demo import check_prerequisites
from tests.room.live_image import DEMO, give_image, only_one
from tests.room.namespaces import assert_nothing_left
from tests.room.pc import Pc
from tests.room.room import Room


def assert_ramdisks(room: Room, pc: Pc, seconds: float = 60) -> None:
    """The loader has fetched microcode and initrd, in this order, and the kernel got both as one ramdisk."""
    ramdisk = pc.ramdisk(seconds)
    boot = room.boot(pc.mac)
    names = [f"image/{boot['release']}/{name}" for name in ("microcode.img", "initrd.img")]
    sizes = [(room.data / "images" / name.removeprefix("image/")).stat().st_size for name in names]
    fetched = [(each["path"], each["sent"]) for each in boot["transfers"] if each["path"] in names]
    assert fetched == list(zip(names, sizes, strict=True))
    # Each loader fills up to a page at most behind each of them.
    assert sum(sizes) <= ramdisk <= sum(sizes) + 2 * 4096


@contextmanager
def furnished_room(
    name: str, *, job_seconds: int = 15, settings: str = "", site: bool = True, page: bool = False
) -> Iterator[Room]:
    """A room with the live image in it, in the directory .room/`name`; its logs stay in .room/logs/`name`."""
    check_prerequisites()
    own = DEMO / name
    with only_one(own):
        give_image(own / "data")
        with Room(own, DEMO / "logs" / name, job_seconds=job_seconds, settings=settings, site=site, page=page) as room:
            yield room
        assert_nothing_left(room.network.room)
