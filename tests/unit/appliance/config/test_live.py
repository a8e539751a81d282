"""[live] and its exceptions."""

import re
from pathlib import Path

import pytest

from appliance.config.file import Config, parse, redacted
from appliance.errors import UserError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF+j1mT//8SKGmdMhgA+PL15CNb0l1qd82G1KkXG7dmU an admin"
ALL = f"""\
[live]
time_zone = "Europe/Berlin"
host_name = "PC-{{mac}}"
keyboard = "de/nodeadkeys"
proxy = "http://user:s3cret@10.0.0.8:3128"
no_proxy = ["a.example"]
ssh_keys = ["{KEY}"]
overlay = ["base"]

[[live.exceptions]]
for = ["room 12"]
proxy = ""
overlay = ["lab"]
"""


def read(text: str) -> Config:
    return parse(text, Path("/etc/c.toml"))


def test_all_of_it() -> None:
    live = read(ALL).live
    assert (live.host_name, live.keyboard, live.overlays) == ("pc-{mac}", "de/nodeadkeys", ("all", "base", "lab"))
    assert live.web_proxy
    assert (live.web_proxy.host, live.web_proxy.exceptions) == ("10.0.0.8", ("a.example",))
    (exception,) = live.exceptions
    chosen = exception.over(live)
    assert (chosen.time_zone, chosen.overlay, chosen.web_proxy) == ("Europe/Berlin", ("lab",), None)
    assert read(ALL).secret


def test_nothing_is_set_by_default() -> None:
    live = read("").live
    assert (live.overlays, live.web_proxy, live.ssh_keys) == (("all",), None, None)
    assert not read("[live]\nkeyboard = 'de'\n").secret


def test_the_password_of_its_proxy_is_not_shown() -> None:
    shown = redacted(read(ALL))["live"]
    assert "s3cret" not in str(shown)
    assert shown["exceptions"] == [{"proxy": "", "overlay": ["lab"], "for": ["room 12"]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[live]\nkeyboard = "de"\ntime_zone = "Mars"', "/etc/c.toml:3: [live] time_zone: this server knows no"),
        ('[live]\nhost_name = "pc"', '/etc/c.toml:2: [live] host_name = "pc": all PCs would have one name'),
        ('[live]\nkeyboard = "Deutsch!"', "/etc/c.toml:2: [live] keyboard: write a layout of XKB"),
        ('[live]\nproxy = "10.0.0.8:3128"', '/etc/c.toml:2: [live] proxy: write "http://HOST:PORT"'),
        ('[live]\nno_proxy = ["a.example"]', "/etc/c.toml:2: [live] no_proxy: there is no proxy"),
        ('[live]\nca_file = "/nonexistent"', '/etc/c.toml:2: [live] ca_file = "/nonexistent": cannot be read'),
        ('[live]\nssh_keys = ["ssh-rsa"]', '/etc/c.toml:2: [live] ssh_keys = ["ssh-rsa"]: write the line of a .pub'),
        ('[live]\noverlay = ["../etc"]', "/etc/c.toml:2: [live] overlay: '../etc' is not the name of a directory"),
        ('[live]\noverlay = ["all"]', "/etc/c.toml:2: [live] overlay: 'all' is not"),
        ('[live]\ndirectory = "live"', "/etc/c.toml:2: [live] directory: write an absolute path"),
        ('[live]\n[[live.exceptions]]\nkeyboard = "de"', "/etc/c.toml:2: [[live.exceptions]] for is missing"),
        (
            '[[live.exceptions]]\nfor = ["a"]\n[[live.exceptions]]\nfor = ["b"]\nhost_name = "x"',
            '/etc/c.toml:5: [[live.exceptions]] host_name = "x": all PCs',
        ),
    ],
)
def test_each_wrong_value_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        read(text)


def test_a_key_of_another_section_is_told_where_it_belongs() -> None:
    with pytest.raises(UserError) as refused:
        read('[image]\ntime_zone = "UTC"\n')
    assert refused.value.hint == "it belongs to [live]"
