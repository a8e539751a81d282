"""What answers to DHCP depend on: the same objects until something changes, because the server repeats its answers."""

from collections.abc import Callable, Iterator
from operator import is_
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.firmware import table
from appliance.firmware.knowledge import FirmwareKnowledge
from appliance.registry.database import Registry
from appliance.server.registry_sync import RegistrySync
from image import release
from services.decision import Ignore, Reason
from services.dhcp.plan import BootPlan
from services.dhcp.pxe_rules import BootRequest
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.server.test_boot_scripts import ADDRESS, OLD, PC, Running


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.registry.close()


def turn(box: Running) -> tuple[object, ...]:
    """What the server does every quarter of a second."""
    box.box.refresh_release()
    RegistrySync(box.registry, box.box, box.journal).turn(0.0)
    return box.box.answer_inputs()


def test_the_answer_inputs_stay_while_nothing_changes(box: Running) -> None:
    turn(box)
    before = box.box.answer_inputs()
    box.power_on()
    assert all(map(is_, before, turn(box)))


def test_what_is_offered_follows_the_loaders_in_place(box: Running) -> None:
    """A machine whose loader the image lacks is refused, instead of being sent for a file that is not there."""
    arm64 = BootRequest(PC, (11,), False)
    before = box.box.answer_inputs()
    assert box.box.plan(ADDRESS, arm64) == Ignore(Reason.NO_LOADER)
    box.box.config.boot_root.mkdir()
    (box.box.config.boot_root / "ipxe-arm64.efi").write_bytes(b"")
    box.box.refresh_boot_files()
    assert box.box.plan(ADDRESS, arm64) == BootPlan(f"{PC.bare}/ipxe-arm64.efi")
    assert not all(map(is_, before, box.box.answer_inputs())), "no earlier answer may be repeated"


def _allow(box: Running, other: Registry) -> None:
    other.allow([Entry(MacRange(MacAddress(7), MacAddress(7)))])


def _disallow(box: Running, other: Registry) -> None:
    assert other.disallow(MacRange(PC, PC))


def _learn(box: Running, other: Registry) -> None:
    """Another process changes what is known of firmware, as `clients forget` does."""
    with other.edit():
        table.write(other, PC, (FirmwareKnowledge("f", worked=True),))


def _activate(box: Running, other: Registry) -> None:
    release.activate(box.data / "images", OLD)


def _configure(box: Running, other: Registry) -> None:
    box.configure("")


@pytest.mark.parametrize("change", [_allow, _disallow, _learn, _activate, _configure])
def test_the_answer_inputs_change_with_what_decides(box: Running, change: Callable[[Running, Registry], None]) -> None:
    before = turn(box)
    with Registry(box.registry.path) as other:
        change(box, other)
    assert not all(map(is_, before, turn(box)))


def test_another_release_is_noticed_at_once_and_a_broken_one_within_seconds(box: Running) -> None:
    box.box.follow_release(0.0)
    images = box.box.config.images
    active = release.current(images)
    assert active is not None
    assert box.box.release == active.id
    kernel = active.path / release.KERNEL
    content = kernel.read_bytes()
    kernel.write_bytes(content[1:])
    box.box.follow_release(1.0)
    assert box.box.release == active.id
    box.box.follow_release(2.0)
    assert box.box.release is None
    kernel.write_bytes(content)
    box.box.follow_release(2.25)
    assert box.box.release == active.id
    (images / "current").unlink()
    box.box.follow_release(2.5)
    assert box.box.release is None
