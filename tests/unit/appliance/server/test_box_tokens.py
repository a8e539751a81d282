"""What the token of a boot opens, from its command line to the end of the boot."""

from services.decision import Ignore, Reason
from services.events import Reported
from tests.unit.appliance.server.test_boot_scripts import PC, Running, box

__all__ = ["box"]

INVALID, SPENT = Ignore(Reason.TOKEN_INVALID), Ignore(Reason.TOKEN_SPENT)


def test_the_live_system_exchanges_the_token_of_its_command_line(box: Running) -> None:
    box.power_on()
    old = box.token
    new = box.box.exchange(PC, old)
    assert isinstance(new, str)
    assert new != old
    assert box.box.exchange(PC, old) == new, "the answer may have been lost"
    assert box.box.secrets(PC, old) == INVALID
    assert box.box.report(PC, old, Reported(PC, "reported")) == INVALID
    assert isinstance(box.box.secrets(PC, new), bytes)
    assert box.box.exchange(PC, old) == INVALID, "the answer was not lost: the new token is in use"
    assert isinstance(box.box.secrets(PC, new), bytes), "that answer may have been lost, too"
    assert isinstance(box.box.report(PC, new, Reported(PC, "reported")), Reported)
    assert box.box.secrets(PC, new) == SPENT
