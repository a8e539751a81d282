"""Stories of a room: what is told, when, how often, and what is not."""

from dataclasses import replace

import pytest

from appliance.control.notify.conditions import Memory, Observation, Tempo, from_json, observe, ripe, tell, to_json
from appliance.control.notify.judge import OF_A_RULE, OF_ALL
from appliance.control.notify.rules import RULES, RuleName
from appliance.control.notify.sightings import (
    EndedCanary,
    ErrorShare,
    FailedBuild,
    Images,
    KeptSighting,
    PcSighting,
    StoppedUpdate,
)
from appliance.diagnosis.fault import Diagnosis
from appliance.heartbeats.states import Kind
from appliance.images.rollout import Ending
from services.boinc.idleness import KEY_CURE
from tests.unit.appliance.control.notify.room import NOON, Days, mac, only, pc

DARK = 1000.0
"""When the power fails, in seconds after NOON."""


def room_goes_dark(many: int, back: float = 1e9, spread: float = 60.0):  # type: ignore[no-untyped-def]
    """The room in which all PCs fall silent: their last heartbeats come within a minute before that."""

    def room(now: float) -> list[PcSighting]:
        found = []
        for number in range(many):
            last = NOON + DARK - spread * (number % 60) / 60
            on = now < last or now >= NOON + back
            quiet_for = 0.0 if on else now - last
            kind = Kind.COMPUTING if quiet_for <= 180 else Kind.SILENT
            found.append(pc(number, kind, heard=now if on else last))
        return found

    return room


@pytest.mark.parametrize("many", [30, 5000])
def test_a_room_that_goes_dark_is_one_notice(many: int) -> None:
    days = Days(only(RuleName.SILENT), every=60.0)
    days.pass_(1500, room_goes_dark(many))
    days.every = 20.0
    days.pass_(480, room_goes_dark(many))
    ((at, notice),) = days.told
    assert notice.title == f"[boot] Silent: {many:,} PCs of room 12"
    assert DARK + 600 <= at <= DARK + 600 + 180
    assert f"- room 12: {mac(0)}, {mac(1)}" in notice.body
    assert f"and {many - 8} more" in notice.body
    assert "Do: look at the room's power" in notice.body
    assert notice.body.endswith("https://boot:8443/")
    assert len(notice.body) < 1500


def test_a_room_that_is_back_is_told_once() -> None:
    days = Days(only(RuleName.SILENT))
    days.pass_(2400, room_goes_dark(30, back=2400))
    days.pass_(4000, room_goes_dark(30, back=2400))
    assert [notice.level for _, notice in days.told] == ["warning", "good"]
    assert days.told[1][1].title == "[boot] Heard again: 30 PCs"
    assert f"room 12 ({mac(0)}): computing" in days.told[1][1].body


def test_a_single_pc_is_named_in_the_title() -> None:
    days = Days(only(RuleName.SILENT))
    days.pass_(2400, room_goes_dark(1))
    assert days.told[0][1].title == f"[boot] Silent: room 12 ({mac(0)})"


def test_the_end_of_a_window_is_no_silence() -> None:
    days = Days(only(RuleName.SILENT))
    gone = room_goes_dark(30)
    days.pass_(3600, lambda now: [replace(each, may_be_off=True) for each in gone(now)])
    assert days.told == []


def test_what_is_so_at_the_very_first_start_is_not_told() -> None:
    days = Days(only(RuleName.SILENT))
    days.pass_(1800, lambda _: [pc(1, Kind.SILENT, heard=NOON - 9999)])
    assert days.told == []
    # It comes back, and is silent again: that is news.
    days.pass_(600, lambda now: [pc(1, heard=now)])
    heard = days.now
    days.pass_(1200, lambda now: [pc(1, Kind.SILENT if now - heard > 180 else Kind.COMPUTING, heard=heard)])
    assert [notice.title for _, notice in days.told] == [f"[boot] Silent: room 12 ({mac(1)})"]


def test_a_server_that_is_down_makes_no_pc_silent() -> None:
    days = Days(only(RuleName.SILENT, server=True))
    days.pass_(300, lambda now: [pc(1, heard=now)])
    down = days.now
    told = days.pass_(3600, lambda _: [pc(1, Kind.SILENT, heard=down)], serving=False)
    assert [notice.title for notice in told] == ["[boot] The server is not running: no PC can boot"]
    # It is up again, and the PC needs a minute to say so.
    up = days.now
    told = days.pass_(90, lambda _: [pc(1, Kind.SILENT, heard=down)], started=up)
    told += days.pass_(900, lambda now: [pc(1, heard=now)], started=up)
    assert [notice.title for notice in told] == ["[boot] Over: the server is not running: no PC can boot"]


@pytest.mark.parametrize("step", [3600.0, 86400.0, -3600.0, -86400.0])
def test_a_clock_that_is_set_makes_nobody_silent(step: float) -> None:
    """The PCs' next heartbeats come within a minute by any clock."""
    days = Days(only(RuleName.SILENT))
    days.pass_(600, lambda now: [pc(number, heard=now) for number in range(30)])
    heard = days.now
    days.now += step
    silent = Kind.SILENT if step > 0 else Kind.COMPUTING
    days.pass_(60, lambda _: [pc(number, silent, heard=heard) for number in range(30)])
    days.pass_(1800, lambda now: [pc(number, heard=now) for number in range(30)])
    assert days.told == []


def test_an_hour_without_looking_makes_nothing_look_long() -> None:
    days = Days(only(RuleName.DISK))
    days.pass_(60, disk_used=50.0)
    days.look(disk_used=95.0)
    days.now += 7200
    assert days.look(disk_used=95.0) != []
    days = Days(only(RuleName.FAULTS))
    days.pass_(60)
    fault = Diagnosis("its state directory is full", "make room")
    days.look([pc(1, Kind.FAILED, fault=fault)])
    days.now += 7200
    assert days.look([]) == []


def test_a_pc_that_flickers_is_told_once_and_rarely_again() -> None:
    days = Days(only(RuleName.FAULTS))
    fault = Diagnosis("restarts again and again", "look at its screen", "4 times in 20 min")

    def room(now: float) -> list[PcSighting]:
        return [pc(1, Kind.FAILED, fault=fault if now // 120 % 2 and now > NOON + 60 else None)]

    days.pass_(6 * 3600, room)
    assert len(days.told) == 1


def test_faults_are_told_by_cause_and_cure() -> None:
    days = Days(only(RuleName.FAULTS))
    days.pass_(60)
    root = Diagnosis("root refused by NFS", "sudo netboot-appliance exports apply")
    card = Diagnosis("no driver for its network card", "backports = true", "card 8086:15fb")
    pcs = [pc(1, Kind.FAILED, fault=root), pc(2, Kind.FAILED, fault=root), pc(3, Kind.STALLED, fault=card)]
    (notice,) = days.pass_(120, lambda _: pcs)
    assert notice.title == "[boot] 3 PCs of room 12 do not come up, or cannot compute"
    assert notice.body.split("\n\n")[:2] == [
        f"Root refused by NFS\n- room 12: {mac(1)}, {mac(2)}\nDo: sudo netboot-appliance exports apply",
        f"No driver for its network card\n- room 12 ({mac(3)}): card 8086:15fb\nDo: backports = true",
    ]


def test_first_boots_are_told_and_others_only_where_wanted() -> None:
    for booted, titles in (("new", [f"[boot] Up: room 12 ({mac(2)})"]), ("all", ["[boot] Up: 2 PCs of room 12"])):
        days = Days(only(RuleName.BOOTED, booted=booted))
        days.pass_(60)
        room = [
            pc(1, came_up=True, boot=7),
            pc(2, came_up=True, boot=8, first=True, address="192.0.2.8"),
            pc(3, boot=9, first=True),
        ]
        days.pass_(600, lambda _, room=room: room)  # type: ignore[misc]
        assert [notice.title for _, notice in days.told] == titles
        assert f"- room 12 ({mac(2)}): 192.0.2.8" in days.told[0][1].body


def test_the_day_on_which_all_boots_are_wanted_begins_with_none() -> None:
    days = Days(only(RuleName.BOOTED))
    room = [pc(n, came_up=True) for n in range(40)]
    days.pass_(120, lambda _: [])
    days.pass_(600, lambda _: room)
    days.settings = only(RuleName.BOOTED, booted="all")
    days.pass_(600, lambda _: room)
    assert days.told == []
    days.pass_(600, lambda _: [*room[1:], pc(0, came_up=True, boot=1000)])
    assert [notice.title for _, notice in days.told] == [f"[boot] Up: room 12 ({mac(0)})"]


def test_a_refused_key_is_one_notice_however_many_pcs_hear_it() -> None:
    days = Days(only(RuleName.KEY_REFUSED))
    days.pass_(60, lambda _: [pc(number) for number in range(40)])
    start = days.now
    days.pass_(3600, lambda now: [pc(n, refused=now - start > 60 * n) for n in range(40)])
    ((_, notice),) = days.told
    assert notice.title == "[boot] The project refuses the account key"
    assert KEY_CURE in notice.body


def test_a_project_that_is_away_for_hours_is_told_while_the_pcs_still_compute() -> None:
    project = frozenset({"https://boinc.example.org/"})
    days = Days(only(RuleName.NO_WORK), every=60.0)
    days.pass_(60, lambda _: [pc(n, projects=project) for n in range(4)])
    told = days.pass_(
        5.9 * 3600, lambda _: [pc(n, projects=project, away=project if n else frozenset()) for n in range(4)]
    )
    assert told == []
    told = days.pass_(1200, lambda _: [pc(n, projects=project, away=project) for n in range(4)])
    assert [each.title for each in told] == ["[boot] https://boinc.example.org/ is away: PCs cannot reach it"]


def test_pcs_without_work_are_told_after_hours_and_by_cause() -> None:
    fault = Diagnosis("BOINC has nothing to compute: the project has no work", "a second one in [[projects]]")
    days = Days(only(RuleName.NO_WORK), every=60.0)
    days.pass_(60, lambda now: [pc(n, heard=now) for n in range(7)])
    began = days.now
    days.pass_(7 * 3600, lambda now: [pc(n, Kind.IDLE, heard=now, idle_since=began, fault=fault) for n in range(7)])
    ((at, notice),) = days.told
    assert 6 * 3600 <= at <= 6 * 3600 + 600
    assert notice.title == "[boot] BOINC has nothing to compute: the project has no work"
    assert f"room 12 ({mac(4)}) and 2 more" in notice.body


def test_an_idle_pc_with_another_fault_is_told_at_once() -> None:
    fault = Diagnosis("its state directory is full", "give it more")
    days = Days(only(RuleName.FAULTS, no_work=6))
    days.pass_(60, lambda now: [pc(1, heard=now)])
    told = days.pass_(120, lambda now: [pc(1, Kind.IDLE, heard=now, idle_since=now, fault=fault)])
    assert [each.title for each in told] == [f"[boot] room 12 ({mac(1)}): its state directory is full"]


def test_failing_tasks_are_told_with_the_pc_that_has_most() -> None:
    days = Days(only(RuleName.TASK_ERRORS))
    days.pass_(60, lambda _: [pc(1)])
    few = ErrorShare("https://boinc.example.org/", 4, 4, ((mac(1), 4),))
    assert days.pass_(300, lambda _: [pc(1)], errors=(few,)) == []
    many = ErrorShare("https://boinc.example.org/", 40, 10, ((mac(1), 9), (mac(2), 1)))
    (notice,) = days.pass_(300, lambda _: [pc(1)], errors=(many,))
    assert notice.title == "[boot] 25 % of the tasks of https://boinc.example.org/ failed in the last day"
    assert f"10 of 40; most on room 12 ({mac(1)}): 9, {mac(2)}: 1" in notice.body


def test_images_built_activated_rolled_back_and_failed() -> None:
    old, new = "20261101-100000-aaaaaaaa", "20261102-100000-bbbbbbbb"
    days = Days(only(RuleName.IMAGES))
    days.pass_(60, images=Images((old,), old))
    days.pass_(60, images=Images((new, old), new, old))
    days.pass_(300, images=Images((new, old), old, new))
    days.pass_(300, images=Images((new, old), new, old))
    failed = FailedBuild("77", "a package is missing", "apt update")
    days.pass_(60, images=Images((new, old), new, old, failed))
    assert [(notice.level, notice.title) for _, notice in days.told] == [
        ("info", f"[boot] PCs boot image {new} now"),
        ("info", f"[boot] Rolled back: PCs boot image {old} now"),
        ("info", f"[boot] PCs boot image {new} now"),
    ]
    days.now += 3600
    (notice,) = days.look(images=Images((new, old), new, old, failed))
    assert (notice.level, notice.title) == ("warning", "[boot] The build of an image failed: a package is missing")
    assert "Do: apt update" in notice.body
    days.now += 3600
    stopped = StoppedUpdate(days.now, "test", new, f"the test of {new} failed: it hung", "see the log")
    days.pass_(300, images=Images((new, old), new, old, failed, stopped))
    _, notice = days.told[-1]
    assert (notice.level, notice.title) == (
        "warning",
        f"[boot] The update of the image stopped at the stage test: the test of {new} failed: it hung",
    )
    assert "Do: see the log" in notice.body


def test_work_of_forgotten_pcs_is_told_once_two_days_before_it_is_deleted() -> None:
    days = Days(only(RuleName.KEPT_WORK))
    began = int(days.now)
    kept = tuple(KeptSighting(mac(n), "room 12", began + n, began + n + 7 * 86400) for n in (1, 2))
    days.pass_(60, kept=())
    days.pass_(300, kept=kept)
    assert days.told == []
    days.now = began + 5 * 86400 - 600.0
    days.pass_(1800, kept=kept)
    ((at, notice),) = days.told
    assert 0 < at - 5 * 86400 < 900
    assert notice.title == "[boot] The work of a forgotten PC is deleted in two days, and 1 more"
    assert f"room 12 ({mac(1)}); kept until 20" in notice.body
    assert "clients restore" in notice.body
    days.pass_(3600, kept=())
    assert len(days.told) == 1, "that it is gone is no news"


def test_a_canary_that_ended() -> None:
    new = "20261102-100000-bbbbbbbb"
    days = Days(only(RuleName.CANARY))
    days.pass_(60, canary=EndedCanary(3, new, Ending.CANCELLED, "by hand"))
    days.pass_(60, canary=EndedCanary(4, new, Ending.ROLLED_BACK, "1 PC failed with it: room 12: it hung"))
    days.pass_(300, canary=EndedCanary(5, new, Ending.PROMOTED, "2 of 2 PCs that booted it came to computing"))
    (_, back), (_, good) = days.told
    assert (back.level, back.title) == (
        "warning",
        f"[boot] Canary image {new} was rolled back: its PCs boot the active one again",
    )
    assert "1 PC failed with it: room 12: it hung" in back.body
    assert "netboot-appliance image canary" in back.body
    assert (good.level, good.title) == (
        "info",
        f"[boot] Canary image {new} was promoted: all PCs of its image boot it now",
    )


def test_a_disk_that_goes_up_and_down_at_its_limit_is_told_once() -> None:
    days = Days(only(RuleName.DISK))
    days.pass_(60, disk_used=50.0)
    for used in (90.4, 89.6, 90.2, 89.1) * 5:
        days.pass_(900, disk_used=used, disk="3 GB are free for /var/lib/netboot-appliance")
    assert [notice.title for _, notice in days.told] == ["[boot] The disk is 90 % full"]
    days.pass_(4500, disk_used=70.0)
    assert days.told[-1][1].title == "[boot] Over: there is room on the disk again"


def test_a_dhcp_server_is_told_unless_it_is_the_first() -> None:
    days = Days(only(RuleName.NETWORK))
    days.pass_(60, lambda _: [])
    days.pass_(300, lambda _: [pc(1, dhcp_server="192.0.2.1")])
    assert days.told == []
    (notice,) = days.pass_(300, lambda _: [pc(1, dhcp_server="192.0.2.1"), pc(2, dhcp_server="192.0.2.66")])
    assert notice.title == "[boot] A DHCP server that was not seen before gives addresses: 192.0.2.66"
    assert f"room 12 ({mac(2)})" in notice.body
    # Where the box leases the addresses, every other one is a stranger.
    days = Days(only(RuleName.NETWORK))
    days.pass_(60, lambda _: [], leases=True)
    assert len(days.pass_(300, lambda _: [pc(1, dhcp_server="192.0.2.66")], leases=True)) == 1


def test_a_claimed_address_is_told() -> None:
    days = Days(only(RuleName.NETWORK))
    days.pass_(60)
    (notice,) = days.pass_(
        120, claims={"192.0.2.10 52:54:00:00:00:66": "52:54:00:00:00:66 claims 192.0.2.10 of room 12"}
    )
    assert notice.title == "[boot] 52:54:00:00:00:66 claims 192.0.2.10 of room 12"


def test_the_week_is_told_once_a_week() -> None:
    days = Days(only(RuleName.DIGEST), every=1800.0)
    days.pass_(15 * 86400, lambda now: [pc(1), pc(2, Kind.FAILED, fault=Diagnosis("root refused by NFS", "cure it"))])
    assert len(days.told) == 2
    notice = days.told[0][1]
    assert "Now: 1 of 2 PCs on, 1 computing" in notice.body
    assert "What needs a person:\nRoot refused by NFS" in notice.body


def test_quiet_times_hold_back_and_tell_what_is_still_so() -> None:
    days = Days(only(RuleName.FAULTS))
    days.pass_(60)
    fault, other = Diagnosis("cause a", "cure a"), Diagnosis("cause b", "cure b")
    for _ in range(100):
        assert days.look([pc(1, Kind.FAILED, fault=fault), pc(2, Kind.FAILED, fault=other)], quiet=True) == []
        days.now += 15
    (notice,) = days.look([pc(1, Kind.FAILED, fault=fault)])
    assert "cause a" in notice.title
    assert "ause b" not in notice.body


def test_a_bad_day_does_not_fill_the_mailbox() -> None:
    """Every quarter of an hour one more PC fails. There are few notices, and no PC is left out of them."""
    days = Days(only(RuleName.FAULTS), every=180.0)
    days.pass_(180)
    start = days.now

    def room(now: float) -> list[PcSighting]:
        fault = Diagnosis("root refused by NFS", "cure")
        return [pc(n, Kind.FAILED, label=f"desk {n}", fault=fault) for n in range(int((now - start) // 900))]

    days.pass_(86400, room)
    assert 2 < len(days.told) <= OF_A_RULE[1][0]
    days.pass_(43200, lambda _: room(start + 86400))
    told = " ".join(notice.body for _, notice in days.told)
    many = sum(int(notice.title.split()[1]) if "PCs" in notice.title else 1 for _, notice in days.told)
    assert many == 96
    assert f"desk 3: {mac(3)}" in told or f"desk 3 ({mac(3)})" in told


def test_all_rules_together_have_a_limit_too() -> None:
    assert OF_ALL[0][0] < OF_A_RULE[0][0] * len(RULES)


def test_a_rule_that_is_switched_on_later_starts_with_what_it_finds() -> None:
    days = Days(only(RuleName.DISK))
    silent = [pc(1, Kind.SILENT, heard=NOON - 9999)]
    days.pass_(60, lambda _: silent)
    days.settings = only(RuleName.SILENT)
    days.pass_(1800, lambda _: silent)
    assert days.told == []


def test_words_of_strangers_stay_on_their_line() -> None:
    days = Days(only(RuleName.FAULTS))
    days.pass_(60)
    fault = Diagnosis("its live system reports a failure", "look", "x\r\nBcc: all@example.org\x1b[2J\u202e")
    (notice,) = days.pass_(120, lambda _: [pc(1, Kind.FAILED, label="a\nb", fault=fault)])
    assert "\n" not in notice.title
    assert "x\\r\\nBcc: all@example.org\\x1b[2J\\u202e" in notice.body
    assert all(line.isprintable() for line in notice.body.split("\n"))


def test_a_memory_is_the_same_after_the_registry_kept_it() -> None:
    days = Days(only(RuleName.SILENT))
    days.pass_(1900, room_goes_dark(30))
    memory = days.memories[RuleName.SILENT]
    assert from_json(to_json(memory)) == memory
    for wrong in ("", "[]", "{}", '{"last": "x", "tracked": {}, "made": [], "ended": []}'):
        with pytest.raises((ValueError, LookupError, TypeError)):
            from_json(wrong)


def test_conditions_that_keep_coming_wait_no_longer_than_five_minutes() -> None:
    tempo, memory = Tempo(60.0, 300.0, over=True), Memory(NOON)
    told_at = []
    for second in range(0, 1200, 15):
        found = [Observation(str(n), str(n)) for n in range(second // 30 + 1)]
        memory = observe(memory, found, NOON + second, tempo)
        if new := ripe(memory, found, tempo):
            told_at.append((second, len(new)))
            memory = tell(memory, new, NOON + second)
    assert told_at[0][0] == 360
    assert [second for second, _ in told_at] == [360, 690, 1020]


def test_pcs_that_did_not_come_when_they_were_woken_and_came_after_all() -> None:
    days = Days(only(RuleName.NOT_WOKEN))
    days.pass_(60)
    away = [(mac(number), "room 12") for number in range(3)]
    days.pass_(600, not_woken=tuple(away))
    ((_, notice),) = days.told
    assert notice.title == "[boot] Not woken: 3 PCs of room 12"
    assert f"- room 12: {mac(0)}, {mac(1)}, {mac(2)}" in notice.body
    assert "Wake on LAN on" in notice.body
    # The next night one more stays away: it alone is news.
    days.pass_(600, not_woken=(*away, (mac(9), "")))
    assert days.told[1][1].title == f"[boot] Not woken: {mac(9)}"
    days.pass_(3600)
    assert (days.told[2][1].level, days.told[2][1].title) == ("good", "[boot] Came after all: 4 PCs")
    assert len(days.told) == 3


def test_a_server_that_is_down_says_nothing_of_who_came() -> None:
    days = Days(only(RuleName.NOT_WOKEN))
    days.pass_(60)
    days.pass_(900, serving=False, not_woken=((mac(1), ""),))
    assert days.told == []
