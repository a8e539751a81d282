"""What a PC does now, in words: a table of what the box knows of it."""

from dataclasses import replace
from itertools import product

import pytest

from appliance.diagnosis.loaders import GRUB
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.states import ON, SILENT_AFTER, EndOfBoot, Kind, SeenFacts, condition, kind, progress, state
from appliance.journal.timeline import STALLED_AFTER, Boot, Stage, fold
from services.boinc.condition import BoincMessage, Condition, Doing, ProjectCondition, Task, to_json
from services.events import EntryStarted, GaveUp, Reported, TransferServed
from services.http.heartbeats import OrderVerb
from tests.unit.appliance.view.boot_of_a_pc import MAC, RELEASE, loading

NOW = 10_000.0
PROJECT = ProjectCondition("http://p/", "P", 1, 0.0, 0.0, 0, 0, False, False, 0, 0, 0.0)
RUNNING = Task("t", "http://p/", "running", 0.5, 60.0, 60.0, 0.0, True)
COMPUTING = Condition(doing=Doing.COMPUTING, since=9000.0, tasks=(RUNNING,), projects=(PROJECT,))
SUSPENDED = replace(COMPUTING, doing=Doing.SUSPENDED, suspended="time of day", tasks=(replace(RUNNING, active=False),))
NO_WORK = Condition(
    doing=Doing.IDLE,
    since=NOW - 7200,
    projects=(PROJECT,),
    messages=(BoincMessage(1.0, "P", "Scheduler request completed: got 0 new tasks", 1),),
)
REFUSED = replace(
    NO_WORK,
    projects=(replace(PROJECT, next_contact=NOW + 3480),),
    messages=(BoincMessage(1.0, "P", "Message from server: Bad authenticator", 1),),
)


def booted(*stages: str, ago: float = 3000.0, reason: str = "") -> Boot:
    """A boot whose last report came `ago` seconds before NOW."""
    boot = loading(began=NOW - ago - 4)
    for stage in stages:
        boot = fold(boot, Reported(MAC, stage, {"reason": reason} if reason else {}), NOW - ago)
    return boot


def heard(condition: Condition, ago: float = 30.0, boot: int = 1, **facts: str) -> StoredHeartbeat:
    return StoredHeartbeat(MAC, boot, NOW - ago, facts, to_json(condition))


COMPUTED = booted("root-mounted", "reported", "attached", "computing")
WENT_OFF = fold(COMPUTED, Reported(MAC, "off"), NOW - 100)
ATTACHING = booted("root-mounted", "reported", ago=60)


@pytest.mark.parametrize(
    ("boot", "heartbeat", "ended", "expected", "words"),
    [
        (COMPUTED, heard(COMPUTING), None, Kind.COMPUTING, "computing 1 task"),
        (COMPUTED, heard(replace(COMPUTING, tasks=(RUNNING,) * 4)), None, Kind.COMPUTING, "computing 4 tasks"),
        (COMPUTED, heard(COMPUTING, state_directory="full"), None, Kind.COMPUTING,
         "computing 1 task, but its state directory is full"),
        (COMPUTED, heard(NO_WORK), None, Kind.IDLE, "idle for 2 h: the project has no work"),
        (COMPUTED, heard(REFUSED), None, Kind.IDLE,
         "idle for 2 h: the project refuses the account key; BOINC asks again in 58 min"),
        (COMPUTED, heard(replace(NO_WORK, since=0.0, messages=())), None, Kind.IDLE, "idle"),
        (COMPUTED, heard(NO_WORK, state_directory="full"), None, Kind.IDLE,
         "idle for 2 h: its state directory is full"),
        (COMPUTED, heard(SUSPENDED), None, Kind.SUSPENDED, "suspended: time of day"),
        (COMPUTED, heard(SUSPENDED, window="closed"), None, Kind.SUSPENDED, "suspended until its next window"),
        (COMPUTED, heard(Condition(), boinc="no answer"), None, Kind.IDLE, "idle: BOINC does not answer"),
        (COMPUTED, heard(Condition(), boinc="stopped"), None, Kind.IDLE, "idle: BOINC is stopped"),
        (COMPUTED, heard(Condition(), boinc="no answer", state_directory="stalled"), None, Kind.IDLE,
         "idle: its state directory is stalled"),
        (COMPUTED, heard(COMPUTING, ago=SILENT_AFTER), None, Kind.COMPUTING, "computing 1 task"),
        (COMPUTED, heard(COMPUTING, ago=SILENT_AFTER + 1), None, Kind.SILENT, "silent for 3 min"),
        (COMPUTED, heard(COMPUTING, ago=720), None, Kind.SILENT, "silent for 12 min"),
        (COMPUTED, heard(COMPUTING, boot=7), None, Kind.UNHEARD, "computing, no heartbeats"),
        (COMPUTED, None, None, Kind.UNHEARD, "computing, no heartbeats"),
        (ATTACHING, heard(Condition(), boinc="starting"), None, Kind.BOOTING,
         "booting: reported, initrd.img 33 %"),
        (ATTACHING, heard(COMPUTING), None, Kind.COMPUTING, "computing 1 task"),
        (ATTACHING, heard(NO_WORK), None, Kind.IDLE, "idle for 2 h: the project has no work"),
        (booted("reported", ago=600), heard(Condition(), boinc="starting"), None, Kind.IDLE,
         "idle: BOINC is starting"),
        (booted("reported", ago=600), heard(Condition(), ago=500), None, Kind.SILENT, "silent for 8 min"),
        (booted(ago=10), None, None, Kind.BOOTING, "booting: script, initrd.img 33 %"),
        (booted(ago=STALLED_AFTER + 5), None, None, Kind.STALLED, "stalled in script, initrd.img 33 %"),
        (booted("failed", reason="no root"), None, None, Kind.FAILED, "failed: no root"),
        (booted("failed", reason="no root"), heard(Condition()), None, Kind.FAILED, "failed: no root"),
        (booted("failed", reason="no root"), heard(COMPUTING), None, Kind.COMPUTING, "computing 1 task"),
        (fold(booted(), EntryStarted(MAC, "local"), NOW - 2000), None, None, Kind.ELSEWHERE,
         "script, local, initrd.img 33 %"),
        (fold(booted(), GaveUp(MAC, 5), NOW - 2000), None, None, Kind.FAILED,
         "failed: the live system did not come up in 5 boots in a row: this one starts the PC's own disk"),
        (WENT_OFF, heard(COMPUTING, ago=110), None, Kind.OFF, "switched off at the PC"),
        (WENT_OFF, None, None, Kind.OFF, "switched off at the PC"),
        (WENT_OFF, heard(COMPUTING, ago=110, leaving="off"), None, Kind.OFF, "off: its window has ended"),
        (WENT_OFF, heard(COMPUTING, ago=110, leaving="off", boot=7), None, Kind.OFF, "switched off at the PC"),
        (WENT_OFF, heard(COMPUTING, ago=110), (OrderVerb.OFF, NOW - 105), Kind.OFF, "off by order"),
        (WENT_OFF, heard(COMPUTING, ago=5), None, Kind.COMPUTING, "computing 1 task"),
        (fold(booted("failed", reason="no root"), Reported(MAC, "off"), NOW - 100), None, None, Kind.OFF,
         "switched off at the PC, failed: no root"),
        (COMPUTED, heard(COMPUTING, ago=60), (OrderVerb.OFF, NOW - 70), Kind.OFF, "off by order"),
        (COMPUTED, heard(COMPUTING, ago=6000), (OrderVerb.OFF, NOW - 70), Kind.OFF, "off by order"),
        (COMPUTED, heard(COMPUTING, ago=60), (OrderVerb.FINISH, NOW - 60), Kind.OFF,
         "off by order, all work finished"),
        (COMPUTED, heard(COMPUTING, ago=60), (OrderVerb.FINISH_DISK, NOW - 60), Kind.OFF,
         "gone to its local disk by order, all work finished"),
        (COMPUTED, heard(COMPUTING), (OrderVerb.OFF, NOW - 1000), Kind.COMPUTING, "computing 1 task"),
        (COMPUTED, heard(COMPUTING, ago=60), (OrderVerb.REBOOT, NOW - 60), Kind.BOOTING, "restarting by order"),
        (COMPUTED, heard(COMPUTING, ago=600), (OrderVerb.REBOOT, NOW - 600), Kind.SILENT, "silent for 10 min"),
    ],
)  # fmt: skip
def test_a_state_in_words(
    boot: Boot, heartbeat: StoredHeartbeat | None, ended: EndOfBoot | None, expected: Kind, words: str
) -> None:
    found = state(boot, heartbeat, ended, NOW)
    assert (found.kind, found.words) == (expected, words)


def test_since_when_and_when_it_was_heard_last() -> None:
    assert state(COMPUTED, heard(COMPUTING), None, NOW).since == 9000.0
    assert state(COMPUTED, heard(COMPUTING), None, NOW).heard == NOW - 30
    assert state(COMPUTED, None, None, NOW).heard == COMPUTED.last_event
    silent = state(COMPUTED, heard(COMPUTING, ago=700), None, NOW)
    assert (silent.since, silent.heard) == (NOW - 700, NOW - 700)


@pytest.mark.parametrize("boinc", ['{"doing":"idle"}', "[]", "no JSON", '{"doing":"dreaming"}'])
def test_a_heartbeat_that_another_version_wrote_says_as_much_as_none(boinc: str) -> None:
    other = replace(heard(COMPUTING), boinc=boinc)
    assert state(COMPUTED, other, None, NOW).words == "idle: BOINC does not answer"
    assert condition(other) == Condition()


def test_computing_means_heard_within_three_minutes() -> None:
    """Whatever else is known: the promise of `status`."""
    stages = [str(each) for each in Stage] + [""]
    for stage, under_way, beat, doing in product(stages, (False, True), (None, NOW - 181, NOW - 179), Doing):
        found = kind(SeenFacts(stage, under_way, NOW - 500, beat, doing), NOW)
        assert (found is Kind.COMPUTING) == (beat == NOW - 179 and doing is Doing.COMPUTING)
        assert found in ON or beat != NOW - 179 or stage == "failed"


def test_a_clock_that_was_ahead_and_is_set_back_leaves_no_dead_pc_computing() -> None:
    corrected, set_back = heard(COMPUTING, ago=-20), heard(COMPUTING, ago=-7200)
    assert state(COMPUTED, corrected, None, NOW).kind is Kind.COMPUTING
    dead = state(COMPUTED, set_back, None, NOW)
    assert (dead.kind, dead.words) == (Kind.SILENT, "silent since the server's clock was set back")
    assert state(booted("root-mounted", ago=-7200), None, None, NOW).kind is Kind.STALLED
    restarted = (OrderVerb.REBOOT, NOW + 7200)
    assert state(COMPUTED, heard(COMPUTING), restarted, NOW).kind is Kind.SILENT


@pytest.mark.parametrize(
    ("boot", "words"),
    [
        (Boot(1, MAC, 1000.0, "", RELEASE, last_event=1000.0), ""),
        (loading(), "script, initrd.img 33 %"),
        (fold(loading(), EntryStarted(MAC, "local"), 1004.0), "script, local, initrd.img 33 %"),
        (fold(loading(), Reported(MAC, "failed", {"reason": "no root"}), 1004.0), "failed: no root"),
        (
            fold(replace(loading(), transfers=(), reached=()), TransferServed(MAC, "tftp", GRUB, 9, 1.0), 1004.0),
            "loader",
        ),
    ],
)
def test_how_far_a_boot_has_come(boot: Boot, words: str) -> None:
    assert progress(boot) == words
