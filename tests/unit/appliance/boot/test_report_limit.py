"""A PC may report as often as its boot has something to say, and not as fast as it can."""

from appliance.boot.report_limit import REPORTS, RESERVED, SECONDS_EACH, ReportLimit
from appliance.journal.timeline import MOST_REPORTS, Boot, Stage, fold
from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported, ReportedStage, ScriptServed

MAC, OTHER = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
TOO_MANY = Ignore(Reason.TOO_MANY_REPORTS)


class Pc:
    """A PC that got its script, and the box's view of its boot."""

    def __init__(self, mac: MacAddress = MAC, limit: ReportLimit | None = None) -> None:
        self.mac = mac
        self.now = 100.0
        self.limit = limit or ReportLimit()
        self.boot = fold(Boot(1, mac, 1.0, "t", "r", last_event=1.0), ScriptServed(mac), 2.0)

    def report(self, stage: str, **details: str) -> bool:
        """Report; whether the box took it."""
        report = Reported(self.mac, stage, details)
        taken = self.limit.check(self.boot, report, self.now)
        assert taken in (report, TOO_MANY)
        if taken == report:
            self.boot = fold(self.boot, report, self.now)
        return taken == report

    def flood(self, stage: str, *, vary: str = "") -> int:
        """Report ten thousand times at once; how many were taken."""
        return sum(self.report(stage, **({vary: f"junk {n}"} if vary else {})) for n in range(10_000))


def test_a_flood_takes_no_more_than_its_share() -> None:
    pc = Pc()
    assert pc.flood("reported", vary="junk") == REPORTS - RESERVED
    pc.now += 10 * SECONDS_EACH
    assert pc.flood("reported", vary="junk") == 10


def test_a_flood_hides_no_new_stage() -> None:
    pc = Pc()
    for stage in ReportedStage:
        pc.flood(stage, vary="hostid")
        assert pc.boot.has_reached(Stage[stage.name])
        assert pc.boot.host_id == "" or pc.boot.host_id.startswith("junk")


def test_a_flood_of_one_pc_is_no_matter_of_another() -> None:
    limit = ReportLimit()
    Pc(MAC, limit).flood("reported")
    assert Pc(OTHER, limit).report("reported")


def test_a_boot_keeps_only_so_much_that_is_new() -> None:
    pc = Pc()
    for number in range(10 * MOST_REPORTS):
        pc.now += 60.0
        pc.report("attached", hostid=str(number))
    assert pc.boot.reports == MOST_REPORTS
    assert pc.report("computing"), "a new stage"
    assert pc.report("computing"), "nothing new"


def test_a_pc_that_fails_and_recovers_all_the_time_comes_to_an_end() -> None:
    pc = Pc()
    for number in range(1000):
        pc.now += 60.0
        pc.report("failed", reason=f"reason {number}")
        pc.report("reported")
    assert pc.boot.reports <= MOST_REPORTS + 2
    assert pc.boot.stage is Stage.FAILED


def test_a_heartbeat_once_a_minute_passes_for_a_month() -> None:
    pc = Pc()
    for stage in ("root-mounted", "reported", "attached", "computing"):
        assert pc.report(stage)
    for _ in range(30 * 24 * 60):
        pc.now += 60.0
        assert pc.report("computing", uptime=str(pc.now))
    assert pc.boot.reports == 4
    assert pc.boot.last_event == pc.now
