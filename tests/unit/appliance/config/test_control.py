"""[control]: the address, the certificate, and settings that exclude each other."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.config.control import ListenAddress
from appliance.config.file import parse, redacted
from appliance.errors import UserError

PATH = Path("/c.toml")
BOX = '[[control.boxes]]\nname = "east"\ntoken_file = "/t"'


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        (":8443", "0.0.0.0", 8443),
        ("0.0.0.0:443", "0.0.0.0", 443),
        ("127.0.0.1:9000", "127.0.0.1", 9000),
        ("10.77.0.1", "10.77.0.1", 8443),
    ],
)
def test_an_address_a_port_or_both(text: str, address: str, port: int) -> None:
    found = ListenAddress(text)
    assert (found.address, found.port) == (IPv4Address(address), port)
    assert parse(f'[control]\nlisten = "{text}"', PATH).control.listen == text


@pytest.mark.parametrize(
    "text", ["", ":", ":0", ":65536", ":-1", "10.0.0.1:", "10.0.0:80", "box:8443", "::1", "[::1]:80", ":٣", ":80:80"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r'/c\.toml:2: .*write "ADDRESS:PORT"'):
        parse(f'[control]\nlisten = "{text}"', PATH)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('key = "/k.pem"', "key: there is no certificate"),
        ('certificate = "c.pem"', "certificate: write an absolute path"),
        ('certificate = "/c.pem"\nkey = "k.pem"', "key: write an absolute path"),
        ("behind_proxy = true", "behind_proxy: needs a loopback address"),
        ('behind_proxy = true\nlisten = "127.0.0.1:80"\ncertificate = "/c"', "the certificate belongs to the proxy"),
        ('networks = ["10.0.0.1/24"]', "10.0.0.1/24 has host bits set"),
        ('names = ["https://box"]', "'https://box' is not a host name"),
        ('names = ["*"]', "'\\*' is not a host name"),
        ("networks = [" + ", ".join(['"10.0.0.0/8"'] * 65) + "]", "at most 64"),
        ("enabeld = false", "did you mean enabled"),
        ('[[control.boxes]]\nurl = "https://a"\ntoken_file = "/t"', "name: 1 to 60"),
        (f'{BOX}\nurl = "http://a:8443"', 'write "https://NAME:8443"'),
        (f'{BOX}\nurl = "https://a:8443/x"', 'write "https://NAME:8443"'),
        (f'{BOX}\nurl = "https://user:word@a"', 'write "https://NAME:8443"'),
        (f'{BOX}\nurl = "https://a:99999"', 'write "https://NAME:8443"'),
        (f'{BOX}\nurl = "https://a"\nfingerprint = "AB:CD"', "fingerprint: the SHA-256"),
        (f'{BOX}\nurl = "https://a"\n{BOX}\nurl = "https://b"', "two have one name"),
    ],
)
def test_what_cannot_be_meant_is_refused(lines: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(f"[control]\n{lines}", PATH)
    shown = f"{refused.value.message} {refused.value.hint}"
    assert words.replace("\\", "") in shown


def test_config_show_has_all_of_it() -> None:
    shown = redacted(parse('[control]\nnetworks = ["10.0.0.0/24"]', PATH))["control"]
    assert shown["listen"] == ":8443"
    assert shown["networks"] == ["10.0.0.0/24"]
    assert shown["view_without_login"] is False


def test_another_box() -> None:
    digest = "AB" * 32
    (box,) = parse(f'{BOX}\nurl = "https://box2.example.org:8444/"\nfingerprint = "{digest}"', PATH).control.boxes
    assert (box.host, box.port, box.digest) == ("box2.example.org", 8444, digest.lower())
    (box,) = parse(f'{BOX}\nurl = "https://10.77.1.1"', PATH).control.boxes
    assert (box.host, box.port, box.digest) == ("10.77.1.1", 443, "")
