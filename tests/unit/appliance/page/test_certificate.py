"""The box's own certificate, and those of administrators."""

import os
import shutil
import ssl
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.config.control import ControlSettings, ListenAddress
from appliance.config.file import Config, ServerSettings
from appliance.errors import UserError
from appliance.page import certificate
from tests.unit.debian import need

NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    need("openssl")
    control = ControlSettings(names=("netboot.example.org",))
    return Config(tmp_path / "c.toml", server=ServerSettings(data=tmp_path), control=control)


def test_the_first_start_makes_one_that_only_the_service_can_read(config: Config) -> None:
    made = certificate.ensure(config, NOW)
    assert made.path == config.registry.with_name("control.pem")
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert {"localhost", "netboot.example.org"} <= set(made.names)
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-fingerprint", "-sha256", "-in", made.path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"sha256 Fingerprint={made.fingerprint}\n" in shown
    assert "NIST CURVE: P-256" in shown
    assert "IP Address:127.0.0.1" in shown
    # Whoever trusts it trusts this page, and nothing that its key may sign.
    assert "CA:FALSE" in shown
    assert "TLS Web Server Authentication" in shown
    assert not [each for each in made.path.parent.iterdir() if each != made.path]


def test_it_stays_until_a_month_before_its_end(config: Config) -> None:
    made = certificate.ensure(config, NOW)
    assert certificate.ensure(config, made.ends - 31 * DAY) == made
    assert certificate.ensure(config, made.ends - 29 * DAY).fingerprint != made.fingerprint


def test_it_is_made_again_when_the_page_has_an_address_or_a_name_that_it_does_not_name(config: Config) -> None:
    made = certificate.ensure(config, NOW)
    elsewhere = replace(config.control, listen=ListenAddress("10.77.0.9:8443"))
    moved = certificate.ensure(replace(config, control=elsewhere), NOW)
    assert moved.fingerprint != made.fingerprint
    assert IPv4Address("10.77.0.9") in moved.addresses
    assert certificate.ensure(replace(config, control=elsewhere), NOW) == moved
    # Fewer addresses or names are no reason: whoever compared the fingerprint need not do it again.
    assert certificate.ensure(replace(config, control=replace(config.control, names=())), NOW) == moved
    named = replace(config, control=replace(config.control, names=("other.example.org",)))
    assert "other.example.org" in certificate.ensure(named, NOW).names


def test_it_serves_tls(config: Config) -> None:
    made = certificate.ensure(config, NOW)
    context = certificate.context(config)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    client = ssl.create_default_context(cafile=str(made.path))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(there, back, server_side=True)
    theirs = client.wrap_bio(back, there, server_hostname="netboot.example.org")
    done = 0
    while done < 2:
        done = 0
        for side in (theirs, ours):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
    assert theirs.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("nothing\n", "holds no certificate in PEM form"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "a certificate that cannot be read"),
        ("ü\n", "not text in PEM form"),
    ],
)
def test_an_unusable_one_of_the_administrator_is_named_and_left_alone(
    config: Config, tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "theirs.pem"
    if content is not None:
        path.write_text(content)
    theirs = replace(config, control=ControlSettings(certificate=str(path)))
    with pytest.raises(UserError, match=words) as refused:
        certificate.ensure(theirs, NOW)
    assert str(path) in f"{refused.value.message} {refused.value.hint}"
    assert path.exists() == (content is not None)
    with pytest.raises(UserError, match="cannot use the certificate"):
        certificate.context(theirs)


def test_a_key_with_a_passphrase_asks_nobody(config: Config, tmp_path: Path) -> None:
    made = certificate.ensure(config, NOW)
    key = tmp_path / "locked.key"
    lock = ["openssl", "pkey", "-in", str(made.path), "-out", str(key), "-aes128", "-passout", "pass:secret"]
    subprocess.run(lock, check=True)
    shutil.copy(made.path, tmp_path / "c.pem")
    theirs = replace(config, control=ControlSettings(certificate=str(tmp_path / "c.pem"), key=str(key)))
    with pytest.raises(UserError, match="cannot use the certificate"):
        certificate.context(theirs)


def test_without_openssl_the_hint_is_to_install_it(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("services.linux.programs.find", lambda _name: None)
    with pytest.raises(UserError, match="openssl is not installed") as refused:
        certificate.ensure(config, NOW)
    assert refused.value.hint == "sudo apt install openssl"


def test_what_is_no_file_is_not_waited_for(config: Config, tmp_path: Path) -> None:
    certificate.ensure(config, NOW)
    own = str(certificate.own_path(config))
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero", str(tmp_path)):
        with pytest.raises(UserError, match="cannot read the certificate"):
            certificate.ensure(replace(config, control=replace(config.control, certificate=path, key=own)), NOW)
        with pytest.raises(UserError, match="cannot use the certificate"):
            certificate.context(replace(config, control=replace(config.control, certificate=own, key=path)))
