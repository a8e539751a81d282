"""The tables of the boot bench: what stands beside what."""

from bench.boot import LOADED, STAGES, findings
from bench.report import text

OURS = [dict(zip(STAGES, (4.0, 6.0, 7.0, 9.0, 10.0, 22.0, 50.0, 55.0, 60.0), strict=True))]
DIRECT = [{stage: at - 10 for stage, at in OURS[0].items() if stage not in LOADED}]


def test_each_stage_with_the_time_since_power_on_and_since_the_stage_before() -> None:
    assert (
        text(findings(1, OURS, DIRECT).tables[0])
        == """\
Power-on to computing, one PC
stage                     at s  after s  direct: at s  direct: after s
----------------------------------------------------------------------
offered                   4.00     4.00
loader                    6.00     2.00
script                    7.00     1.00
kernel                    9.00     2.00
initrd                    10.0     1.00
root mounted              22.0     12.0          12.0             12.0
reported                  50.0     28.0          40.0             28.0
attached                  55.0     5.00          45.0             5.00
computing                 60.0     5.00          50.0             5.00
computing, times as late  1.20
"""
    )


def test_the_goal_is_that_of_one_pc_alone() -> None:
    assert findings(1, OURS, DIRECT).figures == {"boot_ratio": 1.2, "boot_reported_s": 50.0}
    assert findings(4, OURS, DIRECT).figures == {}


def test_of_several_boots_the_middle_one_counts() -> None:
    late = [{stage: at + 30 for stage, at in OURS[0].items()}]
    assert findings(1, [*late, *OURS, *OURS], DIRECT).figures["boot_ratio"] == 1.2
