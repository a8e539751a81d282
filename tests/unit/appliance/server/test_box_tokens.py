"""What the token of a boot opens, from its command line to the end of the boot."""

from ipaddress import IPv4Address

from appliance.boot import policy
from appliance.boot.renewals import AT_ONCE
from appliance.boot.report_limit import REPORTS
from appliance.journal.recorder import Journal
from services.decision import Ignore, Reason
from services.ethernet import MacRange
from services.events import Discovered, Reported, TransferProgressed
from tests.unit.appliance.server.test_boot_scripts import PC, Running, box

__all__ = ["box"]

ADDRESS = IPv4Address("10.77.0.50")
INVALID, SPENT = Ignore(Reason.TOKEN_INVALID), Ignore(Reason.TOKEN_SPENT)


def test_the_live_system_exchanges_the_token_of_its_command_line(box: Running) -> None:
    box.power_on()
    old = box.token
    new = box.box.exchange(PC, old, ADDRESS)
    assert isinstance(new, str)
    assert new != old
    assert box.box.exchange(PC, old, ADDRESS) == new, "the answer may have been lost"
    assert box.box.secrets(PC, old, ADDRESS) == INVALID
    assert box.box.report(PC, old, Reported(PC, "reported"), ADDRESS) == INVALID
    assert isinstance(box.box.secrets(PC, new, ADDRESS), bytes)
    assert box.box.exchange(PC, old, ADDRESS) == INVALID, "the answer was not lost: the new token is in use"
    assert isinstance(box.box.secrets(PC, new, ADDRESS), bytes), "that answer may have been lost, too"
    assert isinstance(box.box.report(PC, new, Reported(PC, "reported"), ADDRESS), Reported)
    assert box.box.secrets(PC, new, ADDRESS) == SPENT


def run(box: Running) -> str:
    """The live system comes up and computes; returns its token."""
    token = box.token
    for stage in ("root-mounted", "reported", "computing"):
        assert isinstance(box.box.report(PC, token, Reported(PC, stage), ADDRESS), Reported)
    return token


def discover(box: Running) -> None:
    box.now += 1000
    box.box.emit(Discovered(PC, 0, ipxe=False, xid=int(box.now), secs=0))


def load(box: Running) -> None:
    (loader, *_) = box.box.config.boot.names
    box.box.emit(TransferProgressed(PC, "tftp", loader, 0, 9))


def test_a_script_that_a_running_pc_asks_for_opens_no_secrets(box: Running) -> None:
    """Not even later, and not after reports that look like those of a boot."""
    box.power_on()
    assert isinstance(box.box.secrets(PC, box.token, ADDRESS), bytes)
    run(box)
    for ask in (box.script, box.script, lambda: load(box)):
        box.now += 1000
        ask()
        box.script()
        assert box.box.secrets(PC, box.token, ADDRESS) == SPENT
        run(box)
    box.journal.flush()
    again = Journal(box.registry, lambda: box.now, lambda *_: None).boot(PC)
    assert again == box.journal.boot(PC)
    discover(box)
    box.script()
    assert isinstance(box.box.secrets(PC, box.token, ADDRESS), bytes), "a real power-on"


def test_a_script_that_is_asked_for_before_the_live_system_reports(box: Running) -> None:
    box.power_on()
    assert isinstance(box.box.exchange(PC, box.token, ADDRESS), str)
    box.script()
    assert box.box.secrets(PC, box.token, ADDRESS) == SPENT


def test_power_ons_of_which_only_the_script_is_seen(box: Running) -> None:
    for _ in range(3):
        box.now += 1000
        box.script()
        assert isinstance(box.box.secrets(PC, box.token, ADDRESS), bytes)
        run(box)


def test_a_pc_that_was_reset_before_its_userspace_was_up(box: Running) -> None:
    """No program could have asked."""
    box.power_on()
    assert isinstance(box.box.report(PC, box.token, Reported(PC, "root-mounted"), ADDRESS), Reported)
    box.now += 1000
    box.script()
    assert isinstance(box.box.secrets(PC, box.token, ADDRESS), bytes)


def test_a_box_that_no_longer_hears_dhcp(box: Running) -> None:
    box.power_on()
    run(box)
    box.configure('[dhcp]\nmode = "off"')
    box.now += 1000
    box.script()
    assert isinstance(box.box.secrets(PC, box.token, ADDRESS), bytes)


def test_boots_that_a_program_opens_and_exchanges_all_day(box: Running) -> None:
    """Each is a boot, and two commits."""
    box.power_on()
    first = box.token
    for _ in range(1000):
        box.script()
        box.box.exchange(PC, box.token, ADDRESS)
    box.journal.flush()
    opened = box.registry.highest()[1]
    assert opened <= REPORTS + 2
    assert box.box.exchange(PC, box.token, ADDRESS) == Ignore(Reason.TOO_MANY_REPORTS)
    assert box.token != first


def running(box: Running) -> tuple[str, str]:
    """The PC is up; returns the token of its command line, and the one that its root has."""
    box.power_on()
    old = box.token
    new = box.box.exchange(PC, old, ADDRESS)
    assert isinstance(new, str)
    box.box.secrets(PC, new, ADDRESS)
    for stage in ("reported", "computing"):
        assert isinstance(box.box.report(PC, new, Reported(PC, stage), ADDRESS), Reported)
    return old, new


def change_the_key(box: Running) -> None:
    box.configure('[project]\nurl = "https://a.example/"\naccount_key = "2_new"\n')


def test_a_running_pc_gets_files_that_changed_once_it_says_that_it_has_others(box: Running) -> None:
    _, new = running(box)
    placed = box.box.files_tag(PC)
    box.box.files_placed(PC, placed)
    assert box.box.secrets(PC, new, ADDRESS) == SPENT, "it has what it should"
    change_the_key(box)
    assert box.box.files_tag(PC) != placed
    files = box.box.secrets(PC, new, ADDRESS)
    assert isinstance(files, bytes)
    assert b"2_new" in files
    box.box.files_placed(PC, box.box.files_tag(PC))
    assert box.box.secrets(PC, new, ADDRESS) == SPENT


def test_only_the_exchanged_token_of_this_boot_renews(box: Running) -> None:
    """Not the one on the command line, nor that of a script that a program asked for, nor one of an earlier boot."""
    old, new = running(box)
    box.box.files_placed(PC, "other")
    assert box.box.secrets(PC, old, ADDRESS) == INVALID
    assert isinstance(box.box.secrets(PC, new, ADDRESS), bytes)
    box.now += 1000
    box.script()
    asked_for = box.token
    assert box.box.secrets(PC, new, ADDRESS) == INVALID
    exchanged = box.box.exchange(PC, asked_for, ADDRESS)
    assert isinstance(exchanged, str)
    assert isinstance(box.box.report(PC, exchanged, Reported(PC, "reported"), ADDRESS), Reported)
    assert box.box.secrets(PC, exchanged, ADDRESS) == SPENT, "it has said nothing in this boot"
    box.box.files_placed(PC, "other")
    assert box.box.secrets(PC, exchanged, ADDRESS) == SPENT, "nobody knows who asked for its script"


def test_a_token_that_was_never_exchanged_renews_nothing(box: Running) -> None:
    """Every program can read it on the command line."""
    box.power_on()
    token = run(box)
    box.box.files_placed(PC, "other")
    assert box.box.secrets(PC, token, ADDRESS) == SPENT


def test_the_token_for_reports_renews_nothing(box: Running) -> None:
    _, new = running(box)
    box.box.files_placed(PC, "other")
    assert box.box.secrets(PC, policy.reporting_token(new), ADDRESS) == INVALID


def test_renewals_are_bounded(box: Running) -> None:
    _, new = running(box)
    box.box.files_placed(PC, "never placed")
    for _ in range(AT_ONCE):
        assert isinstance(box.box.secrets(PC, new, ADDRESS), bytes)
    assert box.box.secrets(PC, new, ADDRESS) == Ignore(Reason.TOO_MANY_REPORTS)


def test_a_pc_that_is_not_allowed_any_more_gets_no_files(box: Running) -> None:
    box.power_on()
    box.registry.disallow(MacRange(PC, PC))
    box.box.refresh_allowlist()
    assert box.box.files_tag(PC) == ""
    assert box.box.secrets(PC, box.token, ADDRESS) == Ignore(Reason.NOT_ALLOWED)
