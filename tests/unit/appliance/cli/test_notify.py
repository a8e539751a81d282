"""`notify` as its user types it, and which libraries may be in one process."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.config.file import load
from appliance.control.notify import outbox
from appliance.control.notify.notices import Notice
from appliance.control.notify.rules import RuleName
from appliance.registry.database import Registry
from tests.unit.appliance.cli.program import Run, assert_refused
from tests.unit.appliance.control.notify.servers import mail_server, webhook

MAIL = '[notify.mail]\nhost = "127.0.0.1"\nport = {port}\nencryption = "none"\n'


@pytest.fixture
def configure(tmp_path: Path) -> "Configure":
    return Configure(tmp_path)


class Configure:
    """Adds to the configuration that `run` uses."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "c.toml"

    def __call__(self, addresses: list[str], more: str = "") -> None:
        before = self.path.read_text() if self.path.exists() else ""
        self.path.write_text(f"{before}\n[notify]\naddresses = {json.dumps(addresses)}\n{more}")


def test_a_test_says_what_each_address_answered(run: Run, configure: Configure) -> None:
    with mail_server() as mail, webhook() as hook:
        hook.answer = lambda _: 403
        configure(["admin@example.org", hook.url], MAIL.format(port=mail.port))
        done = run("notify", "test")
        assert done.returncode == 1
        first, second = done.stdout.splitlines()
        assert first == "sent    admin@example.org: 127.0.0.1 took it: 250 2.0.0 OK, queued as 7F2A"
        assert second.startswith("FAILED  json://… (")
        assert "error=403" in second
        only = run("notify", "test", "other@example.org", "--json")
        assert only.returncode == 0
        assert json.loads(only.stdout)[0]["taken"] is True
    assert [each["To"] for each in mail.taken] == ["admin@example.org", "other@example.org"]
    assert "notices reach you" in mail.taken[0]["Subject"]


def test_a_test_without_anybody_to_tell(run: Run, configure: Configure) -> None:
    assert_refused(run, ("notify", "test"), "nobody is told anything: [notify] addresses is empty")
    assert_refused(run, ("notify", "test", "nobody"), "not an address")
    assert_refused(run, ("notify", "test", "a@example.org"), "there is no mail server")


def test_what_was_told_is_listed(run: Run, configure: Configure) -> None:
    assert "Nobody is told anything" in run("notify", "list").stdout
    configure(["json://127.0.0.1:9/secret-token"])
    assert run("notify", "list").stdout == "Nothing was told yet.\n"
    config = load(configure.path)
    with Registry(config.registry) as registry:
        with registry.transaction():
            told = Notice(RuleName.SILENT, "warning", "[boot] Silent: 30 PCs", "30 PCs\nDo: look")
            outbox._add(registry, told, config.notify.targets, time.time())
        (delivery,) = outbox.claim(registry, config.notify.targets, (), time.time())
        outbox.record(registry, delivery, "503 not now", time.time())
    shown = run("notify", "list").stdout
    assert "[boot] Silent: 30 PCs" in shown
    assert f"1  {config.notify.targets[0].shown}: waiting: 503 not now" in shown
    assert "secret-token" not in shown
    (silent,) = [line for line in run("notify", "rules").stdout.splitlines() if line.startswith("silent")]
    assert " s ago" in silent
    (notice,) = json.loads(run("notify", "list", "--json").stdout)
    assert (notice["title"], notice["deliveries"][0]["state"]) == ("[boot] Silent: 30 PCs", "waiting")


def test_the_rules_are_listed_with_their_settings(run: Run, configure: Configure) -> None:
    configure(["json://127.0.0.1:9/x"], '[notify.rules]\nsilent = 30\nfaults = false\nbooted = "all"\n')
    lines = {line.split()[0]: line for line in run("notify", "rules").stdout.splitlines()}
    assert "for 30 min" in lines["silent"]
    assert "off" in lines["faults"]
    assert "each time" in lines["booted"]
    assert {each["rule"] for each in json.loads(run("notify", "rules", "--json").stdout)} == set(RuleName)


def test_a_misspelt_url_is_noted_when_the_configuration_is_checked(run: Run, configure: Configure) -> None:
    configure(["slak://secret-token/x"])
    checked = run("config", "check")
    assert "apprise knows no service slak://" in checked.stdout + checked.stderr
    assert "secret-token" not in checked.stdout + checked.stderr


@pytest.mark.parametrize("verb", [("notify", "test"), ("config", "check")])
def test_no_process_has_both_apprise_and_scapy(verb: tuple[str, ...], tmp_path: Path) -> None:
    """apprise brings requests, under Apache-2.0; scapy is under GPL-2.0 only."""
    path = tmp_path / "c.toml"
    path.write_text(f'[server]\ndata = "{tmp_path}"\n[notify]\naddresses = ["slak://a/b"]\n')
    line = (
        "import sys, appliance.cli.main as main\n"
        f"sys.argv = ['netboot-appliance', '--config', {str(path)!r}, *{verb!r}]\n"
        "try:\n    main.run()\nexcept SystemExit:\n    pass\n"
        "assert 'apprise' in sys.modules and 'scapy' not in sys.modules, 'both, or not even apprise'\n"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
