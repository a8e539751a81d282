"""[boinc], [[boinc.exceptions]], [[projects]] and [account_manager]: what is read, and how mistakes are answered."""

import json
import subprocess
from pathlib import Path

import pytest

from appliance.config.file import Config, parse, redacted
from appliance.errors import UserError
from services.boinc.accounts import AccountManager, login_hash
from tests.unit.debian import need

HERE = Path("/etc/c.toml")
PROJECT = '[project]\nurl = "https://a.example/"\naccount_key = "1_secret"\n'
TWO = """
[[projects]]
url = "https://a.example/"
account_key = "1_secret"
resource_share = 200

[[projects]]
url = "http://10.0.0.8/b/"
account_key = "2_secret"
backup = true
for = ["52:54:00:*", "room 12"]
"""
MANAGER = '[account_manager]\nurl = "https://10.0.0.9/am"\nname = "Me"\npassword = "hunter2"\n'
HASH = '[account_manager]\nurl = "https://m.example/"\nname = "Me"\nlogin_hash = "00112233445566778899aabbccddeeff"\n'
EXCEPTIONS = """
[boinc.preferences]
start_hour = 18
end_hour = 7
max_ncpus_pct = 50

[[boinc.exceptions]]
for = ["52:54:00:*"]
max_ncpus_pct = 25

[[boinc.exceptions]]
for = ["library"]
start_hour = 0
end_hour = 24
"""


def read(text: str) -> Config:
    return parse(text, HERE)


def test_one_project_is_one_of_several() -> None:
    old = read(PROJECT)
    new = read(PROJECT.replace("[project]", "[[projects]]"))
    assert [entry.account for entry in old.all_projects] == [entry.account for entry in new.all_projects]
    assert old.joined == new.joined == ("https://a.example/",)
    assert read("").joined == ()


def test_several_projects() -> None:
    config = read(TWO)
    assert [(e.account.url, e.account.resource_share, e.for_) for e in config.all_projects] == [
        ("https://a.example/", 200, ()),
        ("http://10.0.0.8/b/", 0, ("52:54:00:*", "room 12")),
    ]
    assert config.boinc_network(config.boinc.web_proxy) == "internet,10.0.0.8"


def test_an_account_manager() -> None:
    config = read(MANAGER)
    assert config.manager == AccountManager("https://10.0.0.9/am/", "Me", login_hash("Me", "hunter2"))
    assert config.joined == ("https://10.0.0.9/am/",)
    assert config.boinc_network(config.boinc.web_proxy) == "internet,10.0.0.9"
    hashed = read(HASH).manager
    assert hashed
    assert hashed.login_hash == "00112233445566778899aabbccddeeff"


def test_exceptions_have_what_they_name() -> None:
    config = read(EXCEPTIONS)
    first, second = config.boinc.exceptions
    assert (first.for_, first.max_ncpus_pct, first.start_hour) == (("52:54:00:*",), 25, None)
    assert (second.start_hour, second.end_hour, second.max_ncpus_pct) == (0, 24, None)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (PROJECT + TWO, "/etc/c.toml: [project] and [[projects]] are both there", "move url and account_key"),
        (PROJECT + MANAGER, "/etc/c.toml: [project] and [account_manager] are both there", "remove one"),
        (TWO + MANAGER, "/etc/c.toml: [[projects]] and [account_manager] are both there", "remove one"),
        (TWO.replace('for = ["52:54:00:*", "room 12"]', "") * 5, "10 [[projects]]: at most 8", "account manager"),
        (TWO + PROJECT.replace("[project]", "[[projects]]"), "there twice for all PCs", "for ="),
        ("[[projects]]\n", "/etc/c.toml:1: [[projects]] each project needs url and account_key", ""),
        (TWO + "resource_share = 5", "/etc/c.toml:12: [[projects]] resource_share: a backup project has none", ""),
        (TWO.replace("200", "-1"), "/etc/c.toml:5: [[projects]] resource_share is -1", "0 to 1,000,000"),
        (TWO.replace("200", '"x"'), "/etc/c.toml:5: [[projects]] resource_share", "write a number"),
        (TWO.replace("backup", "bakup"), "/etc/c.toml:10: unknown key 'bakup' in [[projects]]", "did you mean backup?"),
        (TWO.replace('"room 12"', '""'), "/etc/c.toml:11: [[projects]] for: write ranges", "allow list"),
        (TWO.replace('"room 12"', "5"), "/etc/c.toml:11: [[projects]] for", "write text in quotes"),
        ("[projects]\nurl = 1\n", "/etc/c.toml:1: projects is a list of sections", "write [[projects]]"),
        ("projects = 5\n", "projects is a list of sections", "write [[projects]]"),
        ("[boinc]\nexceptions = 5\n", "/etc/c.toml:2: exceptions is a list of sections", "[[boinc.exceptions]]"),
        ("[account_manager]\nname = 'x'\n", "/etc/c.toml:1: [account_manager] url is missing", ""),
        (MANAGER.replace('name = "Me"\n', ""), "[account_manager] name is missing", ""),
        (MANAGER + "login_hash = 'x'", "/etc/c.toml:4: [account_manager] password: set either", ""),
        (HASH.replace("0011", "0G11"), "[account_manager] the login hash must be 32 hexadecimal digits", ""),
        (EXCEPTIONS.replace("25", "250"), "/etc/c.toml:9: [[boinc.exceptions]] max_ncpus_pct is 250", "1 to 100"),
        (EXCEPTIONS.replace("end_hour = 24", ""), "/etc/c.toml:13: [[boinc.exceptions]] start_hour and", "both"),
        (EXCEPTIONS.replace('for = ["library"]', ""), "[[boinc.exceptions]] for is missing", 'for = ["52:54'),
        ('[boinc]\nproxy = "socks://10.0.0.8:1"', "/etc/c.toml:2: [boinc] proxy: write", "http://HOST:PORT"),
        ('[boinc]\nproxy = "10.0.0.8:3128"', "/etc/c.toml:2: [boinc] proxy: write", ""),
        ('[boinc]\nproxy = "http://10.0.0.8:x"', "/etc/c.toml:2: [boinc] proxy: write", ""),
        ('[boinc]\nno_proxy = ["a.example"]', "/etc/c.toml:2: [boinc] no_proxy: there is no proxy", ""),
        (
            '[boinc]\nproxy = "http://10.0.0.8"\nno_proxy = ["local"]',
            "/etc/c.toml:3: [boinc] no_proxy: 'local' is not a host",
            "",
        ),
        ('[boinc]\nca_file = "ca.pem"', "/etc/c.toml:2: [boinc] ca_file", "absolute path"),
        ('[boinc]\nca_file = "/nonexistent/ca.pem"', "/etc/c.toml:2: [boinc] ca_file", "No such file"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_hint(text: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text)
    assert message in caught.value.message
    assert hint in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("text", [PROJECT, TWO, MANAGER, HASH, '[boinc]\nproxy = "http://u:hunter2@10.0.0.8:3128"\n'])
def test_no_secret_is_ever_shown(text: str) -> None:
    config = read(text)
    shown = json.dumps(redacted(config))
    assert config.secret
    for secret in ("1_secret", "2_secret", "hunter2", "00112233445566778899aabbccddeeff"):
        assert secret not in shown
        assert secret not in repr(config.manager)
    assert "(set, not shown)" in shown


def test_what_is_shown_is_what_holds() -> None:
    shown = redacted(read(EXCEPTIONS))["boinc"]
    assert shown["preferences"]["max_ncpus_pct"] == 50
    assert shown["preferences"]["disk_max_used_gb"] == 10
    assert shown["exceptions"] == [
        {"for": ["52:54:00:*"], "max_ncpus_pct": 25},
        {"for": ["library"], "start_hour": 0, "end_hour": 24},
    ]
    assert redacted(read('[boinc]\nproxy = "http://10.0.0.8:3128"\n'))["boinc"]["proxy"] == "http://10.0.0.8:3128"


@pytest.mark.parametrize(
    ("proxy", "opened"), [("http://10.0.0.8:3128", "internet,10.0.0.8"), ("http://proxy.example", "internet")]
)
def test_a_proxys_address_is_open_to_boinc(proxy: str, opened: str) -> None:
    config = read(f'[boinc]\nproxy = "{proxy}"\n')
    assert config.boinc_network(config.boinc.web_proxy) == opened
    assert config.boinc.web_proxy
    assert config.boinc.web_proxy.port == 3128


def test_user_and_password_of_a_proxy_are_read_as_in_a_url() -> None:
    proxy = read('[boinc]\nproxy = "http://me:a%40b@p.example:8080"\nno_proxy = ["a.example"]\n').boinc.web_proxy
    assert proxy
    assert (proxy.user, proxy.password, proxy.port, proxy.exceptions) == ("me", "a@b", 8080, ("a.example",))


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate of a CA and its key, in PEM form."""
    need("openssl")
    directory = tmp_path_factory.mktemp("ca")
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout key.pem -out ca.pem -subj"
    subprocess.run(["openssl", *kind.split(), "/CN=Our CA"], cwd=directory, check=True, capture_output=True)
    return (directory / "ca.pem").read_text(), (directory / "key.pem").read_text()


def read_ca(path: Path, content: str) -> Config:
    path.write_text(content)
    return read(f'[boinc]\nca_file = "{path}"\n')


def test_certificates_are_read_with_the_configuration(tmp_path: Path, ca: tuple[str, str]) -> None:
    path = tmp_path / "ca.pem"
    config = read_ca(path, ca[0])
    path.unlink()
    assert config.boinc.ca_file.pem == ca[0]
    assert redacted(config)["boinc"]["ca_file"] == str(path)
    assert read("").boinc.ca_file.pem == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{ca}{key}", "contains a private key"),
        ("nonsense", "holds no certificates"),
        ("", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", "holds no certificates"),
        ("{ca}" * 200, "more than 64 kB"),
        ("é{ca}", "holds no certificates"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, ca: tuple[str, str], content: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_ca(tmp_path / "ca.pem", content.format(ca=ca[0], key=ca[1]))
    assert "ca_file" in caught.value.message
