"""[wake] as it is written, and whose SecureOn password is whose."""

from pathlib import Path

import pytest

from appliance.config.file import parse, redacted
from appliance.config.wake import WakeSettings
from appliance.errors import UserError
from services.ethernet import MacAddress, MacRange

PATH = Path("/etc/c.toml")
WRITTEN = """
[wake]
per_minute = 6
[[wake.passwords]]
for = ["52:54:00:*"]
password = "00:11:22:33:44:55"
[[wake.passwords]]
for = ["room 12"]
password = "1.2.3.4"
"""
A = MacAddress.parse("52:54:00:aa:bb:01")


def test_what_is_not_written_has_its_default() -> None:
    config = parse("", PATH)
    assert config.wake == WakeSettings(30, 60, 5)
    assert not config.secret


def test_the_narrowest_range_has_the_password() -> None:
    wake = parse(WRITTEN, PATH).wake
    assert wake.password(A, MacRange.parse("52:54:00:aa:*"), "Room 12") == bytes([1, 2, 3, 4])
    assert wake.password(A, MacRange.parse("52:54:00:aa:*"), "") == bytes.fromhex("001122334455")
    assert wake.password(MacAddress(1), MacRange(A, A), "room 13") == b""


def test_a_password_is_a_secret() -> None:
    config = parse(WRITTEN, PATH)
    assert config.secret, "config check and the doctor look at the mode of the file"
    shown = redacted(config)["wake"]
    assert shown["per_minute"] == 6
    assert shown["passwords"][0] == {"for": ["52:54:00:*"], "password": "(set, not shown)"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[wake]\nper_minute = 0", "/etc/c.toml:2: .* per_minute: must be from 1 to 6000 PCs"),
        ("[wake]\nretry_every = 5", "retry_every: must be from 10 to 3600 seconds"),
        ("[wake]\ntries = 101", "tries: must be from 1 to 100 packets"),
        ('[[wake.passwords]]\npassword = "1.2.3.4"', "for is missing"),
        ('[[wake.passwords]]\nfor = ["a"]\npassword = "hunter2"', "password: write six bytes"),
        ('[schedules.night]\nwindows = ["Sat"]\nat_start = "boot"', "at_start"),
    ],
)
def test_what_cannot_be_meant(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        parse(text, PATH)
    assert "hunter2" not in str(error.value)
