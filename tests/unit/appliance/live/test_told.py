"""What one PC is told: its exception, its files, its name."""

import shlex
import subprocess
from pathlib import Path

import pytest

from appliance.allowlist import Allowlist, Entry
from appliance.config.file import Config, parse
from appliance.config.live import LiveChoices
from appliance.live import choice
from appliance.live.host_name import host_name
from appliance.live.settings_files import CA_FILE, settings_files
from appliance.registry.records import Client
from services.ethernet import MacAddress, MacRange
from services.ssh.host_key import HostKey, host_key
from tests.unit.appliance.config.test_live import KEY

FIRST, SECOND = MacAddress.parse("52:54:00:aa:bb:cc"), MacAddress.parse("52:54:01:00:bb:cc")
ALLOWED = Allowlist.of(
    [Entry(MacRange.parse("52:54:00:*"), "Lab"), Entry(MacRange.parse("52:54:01:*"), "lab")],
)
SHORT = parse('[live]\nhost_name = "{label}-{mac4}"\n', Path("c.toml"))


def chosen(text: str, mac: MacAddress = FIRST) -> LiveChoices:
    return choice.choices(parse(text, Path("c.toml")), mac, ALLOWED.decide(mac))


def no_key() -> HostKey:
    raise AssertionError("no key is needed")


def test_of_the_exceptions_the_one_with_the_narrowest_range_counts() -> None:
    text = (
        '[live]\nkeyboard = "us"\n'
        '[[live.exceptions]]\nfor = ["lab"]\nkeyboard = "fr"\noverlay = ["wide"]\n'
        f'[[live.exceptions]]\nfor = ["{FIRST}"]\nkeyboard = "de"\n'
    )
    assert (chosen(text).keyboard, choice.overlays(chosen(text))) == ("de", ("all",))
    assert (chosen(text, SECOND).keyboard, choice.overlays(chosen(text, SECOND))) == ("fr", ("all", "wide"))


def test_boincs_own_proxy_comes_before_that_of_the_system() -> None:
    text = '[live]\nproxy = "http://10.0.0.8:3128"\n'
    config = parse(text, Path("c.toml"))
    both = parse(f'{text}[boinc]\nproxy = "http://10.0.0.9"\n', Path("c.toml"))
    found = [choice.boinc_proxy(each, each.live) for each in (config, both)]
    assert [proxy.host for proxy in found if proxy] == ["10.0.0.8", "10.0.0.9"]


def test_without_settings_there_are_no_files() -> None:
    assert settings_files(chosen(""), no_key) == {}


def test_a_proxy_with_a_password_is_roots_alone_and_survives_the_shell() -> None:
    text = '[live]\nproxy = "http://me:a%22$(id)%40@10.0.0.8:3128"\nno_proxy = ["a.example"]\n'
    (path, file), *others = settings_files(chosen(text), no_key).items()
    assert (path, file.mode, others) == ("etc/environment", 0o600, [])
    read = dict(word.split("=", 1) for word in shlex.split(file.content.decode()))
    assert read["https_proxy"] == "http://me:a%22%24%28id%29%40@10.0.0.8:3128"
    assert read["no_proxy"] == "localhost,127.0.0.1,a.example"


def test_ssh_is_off_without_keys_and_root_alone_can_read_the_host_key() -> None:
    key = host_key("secret", FIRST)
    files = settings_files(chosen(f'[live]\nssh_keys = ["{KEY}"]\n'), lambda: key)
    assert (files["etc/ssh/netboot_host_key"].content.decode(), files["etc/ssh/netboot_host_key"].mode) == (
        key.private,
        0o600,
    )
    assert files["etc/ssh/netboot_authorized_keys"].content.decode() == f"{KEY}\n"
    assert "etc/systemd/system/multi-user.target.wants/ssh.service" in files


@pytest.mark.parametrize("setupcon", [True, False])
def test_the_keyboard_is_loaded_or_its_hook_says_what_is_missing(tmp_path: Path, setupcon: bool) -> None:
    files = settings_files(chosen('[live]\nkeyboard = "de/nodeadkeys"\n'), no_key)
    assert b'XKBLAYOUT="de"\nXKBVARIANT="nodeadkeys"\n' in files["etc/default/keyboard"].content
    hook = tmp_path / "hook"
    hook.write_bytes(files["etc/netboot-hooks/00-keyboard"].content)
    if setupcon:
        (tmp_path / "setupcon").write_text('#!/bin/sh\necho "asked: $*"\n')
        (tmp_path / "setupcon").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", hook], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=20
    )
    said = "asked: --keyboard-only --force\n"
    assert (done.returncode, done.stdout == said) == ((0, True) if setupcon else (1, False))
    assert setupcon or "console-setup" in done.stdout


def test_certificates_are_for_all_programs(tmp_path: Path) -> None:
    debian = Path("/etc/ssl/certs/ca-certificates.crt")
    if not debian.exists():
        pytest.skip("ca-certificates is not installed: sudo apt install ca-certificates")
    text = debian.read_text()
    (tmp_path / "ca.pem").write_text(text[: text.index("-----END CERTIFICATE-----") + 26])
    files = settings_files(chosen(f'[live]\nca_file = "{tmp_path}/ca.pem"\n'), no_key)
    assert files[CA_FILE].content == (tmp_path / "ca.pem").read_bytes()


def name(mac: MacAddress, *known: tuple[MacAddress, float], config: Config = SHORT) -> str:
    clients = [Client(0, each, first_seen, "") for each, first_seen in known]
    return host_name(
        config,
        ALLOWED,
        mac,
        lambda: [client.mac.value for client in clients],
        lambda numbers: [client for client in clients if client.mac.value in numbers],
    )


def test_two_pcs_never_have_one_name() -> None:
    assert name(FIRST) == name(FIRST, (FIRST, 2.0)) == "lab-bbcc"
    both = (FIRST, 2.0), (SECOND, 1.0)
    assert (name(FIRST, *both), name(SECOND, *both)) == ("lab-525400aabbcc", "lab-bbcc")
    assert name(FIRST, (SECOND, 1.0)) == "lab-525400aabbcc", "a PC that is new comes last"


def test_names_with_the_whole_address_need_no_look_at_the_others() -> None:
    config = parse("", Path("c.toml"))
    assert host_name(config, ALLOWED, FIRST, no_key, no_key) == "boinc-525400aabbcc"  # type: ignore[arg-type]
