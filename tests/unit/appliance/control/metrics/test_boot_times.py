"""How far boots came and how long they took, counted once."""

from dataclasses import replace
from pathlib import Path

from appliance.control.metrics.boot_times import BUCKETS, BootTimes, Durations
from appliance.journal.codec import encode_state
from appliance.journal.timeline import Boot, Stage, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState
from services.ethernet import MacAddress
from services.events import Discovered, Event, Offered, Reported, TransferServed

MAC = MacAddress(7)


def boot(began: float, *events: tuple[float, Event], ident: int = 1) -> Boot:
    found = Boot(ident, MAC, began, "token", "release", last_event=began)
    for after, event in ((0.0, Discovered(MAC, 7, ipxe=False, xid=5, secs=0)), *events):
        found = fold(found, event, began + after)
    return found


OFFER = (1.0, Offered(MAC, "snponly.efi", 67))
KERNEL = (9.0, TransferServed(MAC, "http", "image/x/vmlinuz", 1, 1.0))
COMPUTES = (40.0, Reported(MAC, "computing", {}))


def test_a_boot_counts_once_for_each_stage_however_often_it_is_seen() -> None:
    times = BootTimes(100.0)
    for seen in (boot(100.0), boot(100.0, OFFER), boot(100.0, OFFER), boot(100.0, OFFER, KERNEL, COMPUTES)):
        times.add([seen])
    assert times.begun == 1
    assert times.stages == {Stage.DISCOVERED: 1, Stage.OFFERED: 1, Stage.KERNEL: 1, Stage.COMPUTING: 1}
    assert (times.to_kernel.total, times.to_computing.total) == (8.0, 40.0)
    times.add([boot(500.0, OFFER, (30.0, Reported(MAC, "failed", {})), ident=2)])
    assert (times.begun, times.stages[Stage.FAILED], times.stages[Stage.OFFERED]) == (2, 1, 2)


def test_durations_are_in_the_bucket_that_holds_them() -> None:
    durations = Durations()
    for seconds in (5.0, 6.0, 1200.0, 1201.0):
        durations.add(seconds)
    assert dict(durations.buckets())["5.0"] == 1
    assert dict(durations.buckets())["10.0"] == 2
    assert dict(durations.buckets())["1200.0"] == 3
    assert durations.buckets()[-1] == ("+Inf", 4.0)
    assert len(durations.buckets()) == len(BUCKETS) + 1


def save(registry: Registry, each: Boot, *, new: bool = False) -> None:
    if new:
        registry.open_boot(BootRow(each.id, MAC, each.started, "token", "release", ""))
    registry.save_states([BootState(each.id, each.last_event, str(each.stage), each.under_way, encode_state(each))])


def test_the_registry_is_read_from_the_start_of_the_process_on(tmp_path: Path) -> None:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        save(registry, boot(100.0, OFFER, KERNEL, COMPUTES), new=True)
        times = BootTimes(1000.0)
        times.read(registry)
        assert times.begun == 0
        save(registry, boot(1001.0, OFFER, ident=2), new=True)
        times.read(registry)
        save(registry, boot(1001.0, OFFER, KERNEL, COMPUTES, ident=2))
        times.read(registry)
        times.read(registry)
    assert (times.begun, times.stages[Stage.COMPUTING], times.to_computing.total) == (1, 1, 40.0)


def test_what_is_remembered_is_bounded() -> None:
    times = BootTimes(0.0)
    times.add(replace(boot(1.0), id=number) for number in range(60_000))
    assert times.begun == 60_000
    assert len(times._counted) == 50_000
