"""[notify]: addresses, the mail server, the rules, and what is never shown."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.config.file import Config, parse, redacted
from appliance.config.notify import NotifyAddress, WeeklyMoment
from appliance.errors import UserError

BOTH = """
[notify]
addresses = ["admin@example.org", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#room"]
quiet = ["22:00-06:30"]

[notify.mail]
host = "mail.example.org"
user = "box"
password = "quite-secret"
from = "box@example.org"

[notify.rules]
silent = 30
booted = "all"
digest = ""
"""


def read(text: str) -> Config:
    return parse(text, Path("/c.toml"))


def test_nothing_is_told_without_an_address_and_the_rules_are_on_by_default() -> None:
    settings = read("").notify
    assert settings.targets == ()
    rules = settings.rules
    assert (rules.booted, rules.faults, rules.silent, rules.digest) == ("new", True, 10, "Mon 08:00")


def test_what_is_written_is_what_counts() -> None:
    settings = read(BOTH).notify
    assert [target.mail for target in settings.targets] == [True, False]
    assert (settings.mail.effective_port, settings.mail.from_) == (587, "box@example.org")
    assert (settings.rules.silent, settings.rules.booted, settings.rules.digest) == (30, "all", "")
    assert read(BOTH).secret


def test_no_token_and_no_password_is_shown() -> None:
    shown = redacted(read(BOTH))["notify"]
    text = json.dumps(shown)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in text
    assert "quite-secret" not in text
    assert shown["addresses"][0] == "admin@example.org"
    assert shown["addresses"][1].startswith("slack://… (")
    assert shown["mail"]["password"] == "(set, not shown)"


MAIL = '[notify.mail]\nhost = "mail.example.org"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[notify]\naddresses = ["admin at example.org"]', "addresses: number 1: write a mail address, or a URL"),
        ('[notify]\naddresses = ["a@b.c\\nBcc: x@y.z"]', "write text on one line"),
        ('[notify]\naddresses = ["https://hooks.example.org/SECRET"]', "number 1: a web address: write json://"),
        ('[notify]\naddresses = ["admin@example.org"]', "needs a mail server: [notify.mail]"),
        (f'[notify]\naddresses = ["a@b.c", "a@b.c"]\n{MAIL}', "one appears twice"),
        ('[notify]\nquiet = ["at night"]', "write"),
        ('[notify]\npage = "boot.example.org"', "page: write the whole address"),
        ("[notify.rules]\nsilnet = 3", "unknown key 'silnet'"),
        ("[notify.rules]\nsilent = 1", "silent: at least 3 minutes"),
        ("[notify.rules]\ndisk = 101", "disk: must be from 0 (off) to 100 per cent"),
        ('[notify.rules]\nbooted = "yes"', "must be one of off, new, all"),
        ('[notify.rules]\ndigest = "Monday 8:00"', 'write a day and a time, as "Mon 08:00"'),
        ('[notify.mail]\nhost = "mail.example.org:25"\nport = 70000', "port: must be from 1 to 65535"),
        ('[notify.mail]\nuser = "box"', "user: needs a password"),
        ('[notify.mail]\nencryption = "none"\nuser = "a"\npassword = "b"', "send the password in the clear"),
        ('[notify.mail]\nfrom = "The box <box@example.org>"', "from: write a plain mail address"),
        ('[notify.mail]\nhost = "mail example"', "host: write a host name"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text)
    assert said in caught.value.message
    assert "SECRET" not in caught.value.message


def test_an_address_has_a_name_that_is_no_secret_and_a_key_of_its_own() -> None:
    one, other = NotifyAddress("tgram://123456789:token/1"), NotifyAddress("tgram://123456789:token/2")
    assert "token" not in one.shown + one.key
    assert one.key != other.key
    assert one.shown != other.shown


def test_a_weekly_moment_is_one_on_the_clock_of_the_wall() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    moment = WeeklyMoment("Mon 08:00")

    def at(*when: int) -> float:
        return datetime(*when, tzinfo=berlin).timestamp()  # type: ignore[arg-type,misc]

    assert moment.latest(at(2026, 11, 30, 8, 0), berlin) == at(2026, 11, 30, 8, 0)
    assert moment.latest(at(2026, 11, 30, 7, 59), berlin) == at(2026, 11, 23, 8, 0)
    # Clocks are put back on Sunday, October 25: the week has an hour more.
    assert moment.latest(at(2026, 10, 26, 9, 0), berlin) == at(2026, 10, 26, 8, 0)
    assert moment.latest(at(2026, 10, 26, 8, 0) - 1, berlin) == at(2026, 10, 19, 8, 0)
    assert moment.latest(datetime(2026, 11, 30, 8, 0, tzinfo=UTC).timestamp(), UTC) > 0
