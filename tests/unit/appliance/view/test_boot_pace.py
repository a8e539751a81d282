"""A boot beside the PC's usual one."""

from dataclasses import replace

from appliance.journal.timeline import Boot, Stage, fold
from appliance.view.boot_pace import BootPace, StagePace, pace
from appliance.view.boots import boot_view
from services.events import Reported, TransferServed
from tests.unit.appliance.view.boot_of_a_pc import MAC, RELEASE, loading


def computing(began: float, initrd: float, attached: float = 40.0) -> Boot:
    """A boot whose ramdisk has arrived `initrd` seconds after its begin."""
    boot = loading(began=began)
    path = f"image/{RELEASE}/initrd.img"
    boot = fold(boot, TransferServed(MAC, "http", path, 30, initrd), began + initrd)
    for stage, at in (("root-mounted", initrd + 10), ("attached", initrd + attached)):
        boot = fold(boot, Reported(MAC, stage), began + at)
    return boot


def found(boot: Boot, *earlier: Boot) -> BootPace:
    return pace(boot_view(boot, boot.last_event), [boot_view(each, each.last_event) for each in earlier])


def stage(of: BootPace, wanted: Stage) -> StagePace:
    return next(each for each in of.stages if each.stage is wanted)


def test_what_is_usual_is_the_median_of_the_earlier_boots() -> None:
    earlier = [computing(1000.0 * number, initrd) for number, initrd in ((1, 8.0), (2, 10.0), (3, 500.0))]
    paced = found(computing(9000.0, 12.0), *earlier)
    initrd = stage(paced, Stage.INITRD)
    assert (initrd.at, initrd.usual, initrd.size, initrd.slow) == (12.0, 10.0, 30, False)
    assert initrd.took == 9.0
    assert (paced.boots, paced.longest) == (3, 52.0)


def test_a_step_that_takes_much_longer_is_slow_and_those_after_it_are_not() -> None:
    paced = found(computing(9000.0, 100.0), computing(1000.0, 8.0))
    assert [each.stage for each in paced.stages if each.slow] == [Stage.INITRD]


def test_a_boot_under_way_shows_what_is_still_to_come() -> None:
    paced = found(loading(began=9000.0), computing(1000.0, 8.0))
    assert [str(each.stage) for each in paced.stages if each.at is None] == ["initrd", "root mounted", "attached"]
    assert (stage(paced, Stage.INITRD).size, stage(paced, Stage.ATTACHED).usual) == (10, 48.0)


def test_other_entries_of_the_menu_and_the_first_boot_say_nothing() -> None:
    other = replace(computing(1000.0, 8.0), entry="rescue")
    for paced in (found(computing(9000.0, 8.0), other), found(computing(9000.0, 8.0))):
        assert (paced.boots, {each.usual for each in paced.stages}) == (0, {None})
    assert found(replace(loading(), reached=(), transfers=())).longest == 0.0


def test_microcode_comes_with_the_ramdisk_and_not_with_the_loader() -> None:
    boot = loading()
    before = found(boot)
    boot = fold(boot, TransferServed(MAC, "http", f"image/{RELEASE}/microcode.img", 7, 1.0), boot.last_event + 1)
    after = found(boot)
    assert stage(after, Stage.LOADER).size == stage(before, Stage.LOADER).size
    assert stage(after, Stage.INITRD).size == stage(before, Stage.INITRD).size + 7
