"""What is made of two storms: whose work was most, and that no failure gets lost."""

import asyncio

from bench.measure import Sample
from bench.pc import STAGES, Tally
from bench.storm import Steps, Storm, by_service, findings


def tally(failures: int = 0) -> Tally:
    found = Tally(failures=[f"52:54:00:80:00:0{i} in loader: no answer" for i in range(failures)])
    for stage in STAGES:
        found.seconds[stage] = [5.0 if stage == "kernel" else 0.1] * 3
    return found


def storm(failures: int = 0) -> Storm:
    spent = {"DHCP": (1.0, 2.0), "TFTP": (6.0, 7.0), "script": (1.0, 1.0), "HTTP": (2.0, 9.0)}
    return Storm(
        Sample(69_000_000, 10.0, 10.0, {"pcs": 3, "failures": failures, "retransmits": 1}), tally(failures), spent
    )


def test_the_busiest_service_takes_most_of_the_servers_time() -> None:
    assert findings(storm(), storm()).remarks == [
        "The busiest stage of the boot storm is TFTP: 60% of the server's processor time."
        " A PC waits longest in the stage 'kernel'."
    ]


def test_the_failures_of_both_storms_count() -> None:
    found = findings(storm(1), storm(2))
    assert found.figures == {"storm_failures": 3}
    assert found.remarks[1:] == [
        "In the boot storm 52:54:00:80:00:00 in loader: no answer.",
        "In the boot storm 52:54:00:80:00:00 in loader: no answer.",
        "In the boot storm 52:54:00:80:00:01 in loader: no answer.",
    ]


def test_a_storm_in_which_nobody_boots_is_still_reported() -> None:
    dead = Storm(Sample(0, 60.0, 0.0, {"pcs": 1, "failures": 1, "retransmits": 4}), Tally(failures=["x"]), {})
    assert findings(dead, dead).figures == {"storm_failures": 2}


def test_a_service_is_assigned_the_time_of_its_stages() -> None:
    clocks = {stage: (float(i), 10.0 * i) for i, stage in enumerate(STAGES)}
    spent = by_service({**clocks, "": (10.0, 100.0)})
    alone = (1.0, 10.0)
    assert spent == {"DHCP": (3.0, 30.0), "TFTP": alone, "script": alone, "HTTP": (2.0, 20.0), "report": (3.0, 30.0)}


async def test_all_wait_for_the_last_and_nobody_for_one_that_gave_up() -> None:
    steps = Steps(3, lambda: 1.5)
    first, second = steps("loader"), steps("loader")
    assert not first.done()
    steps.leave()
    await asyncio.gather(first, second)
    assert steps.at["loader"][0] == 1.5
