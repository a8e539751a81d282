"""The command line as its user types it: words, exit codes, and that bad input changes nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.appliance.cli.program import ENVIRONMENT, netboot_appliance

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PROGRAM = Path(sys.executable).with_name("netboot-appliance")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = tmp_path / "c.toml"
    config.write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}/data"\n')

    def call(
        *arguments: str, stdin: str = "", as_root: bool = False, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        variables = ENVIRONMENT | environment
        return netboot_appliance("--config", config, *arguments, stdin=stdin, environment=variables, as_root=as_root)

    return call


def test_allow_add_list_check_remove(run: Run) -> None:
    assert run("allow", "list").stdout == "Nobody may boot: the allowlist is empty.\n"
    added = run("allow", "add", "52-54-00-AA-BB-CC", "--label", "room 12")
    assert (added.returncode, added.stdout) == (0, "allowed 52:54:00:aa:bb:cc (room 12)\n")
    assert run("allow", "add", "52:55:*").stdout == "allowed 52:55:00:00:00:00/16: 4,294,967,296 addresses\n"
    assert json.loads(run("allow", "list", "--json").stdout)[0] == {
        "range": "52:54:00:aa:bb:cc",
        "first": "52:54:00:aa:bb:cc",
        "last": "52:54:00:aa:bb:cc",
        "label": "room 12",
        "default": None,
        "timeout": None,
        "root": None,
    }
    assert "room 12" in run("allow", "list").stdout
    yes = run("allow", "check", "525400aabbcc")
    assert (yes.returncode, yes.stdout) == (0, "52:54:00:aa:bb:cc is allowed by 52:54:00:aa:bb:cc (room 12)\n")
    no = run("allow", "check", "525400aabbcd")
    assert (no.returncode, no.stdout) == (1, "52:54:00:aa:bb:cd is not allowed: no entry holds it\n")
    assert run("allow", "remove", "5254.00aa.bbcc").stdout == "removed 52:54:00:aa:bb:cc\n"
    assert run("allow", "export").stdout == "52:55:00:00:00:00/16\n"


def test_removing_what_a_range_allows_names_the_range(run: Run) -> None:
    run("allow", "add", "52:54:00:*", "--label", "all")
    done = run("allow", "remove", "52:54:00:aa:bb:cc")
    assert done.returncode == 2
    assert "it is allowed by 52:54:00:00:00:00/24 (all)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("allow", "add", "banana"), "'banana' is not a MAC address"),
        (("allow", "add", "52:54:00:00:00:09-52:54:00:00:00:01"), "runs backwards"),
        (("allow", "remove", "52:54:00:00:00:09"), "there is no entry"),
        (("allow", "check", "52:54:00"), "is not a MAC address"),
        (("allow", "import", "/nonexistent/macs"), "cannot read /nonexistent/macs: No such file"),
        (("clients", "show", "52:54:00:00:00:09"), "has not booted yet"),
        (("clients", "show", "x"), "is not a MAC address"),
        (("clients", "forget", "x"), "is not a MAC address"),
        (("clients", "forget", "52:54:00:00:00:09"), "nothing was learned of 52:54:00:00:00:09"),
        (("clients", "forget"), "name a MAC address, or give --all"),
        (("clients", "forget", "52:54:00:00:00:09", "--all"), "name a MAC address, or give --all"),
        (("image", "activate", "nonsense"), "nonsense"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert run("allow", "export").stdout == ""


def test_import_takes_all_or_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "macs.txt"
    file.write_text("52:54:00:* room\n00:11:22:33:44:55\nbanana\n")
    done = run("allow", "import", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}:3: 'banana'" in done.stderr
    assert run("allow", "export").stdout == ""
    done = run("allow", "import", "-", stdin="52:54:00:* room\n00:11:22:33:44:55\n")
    assert done.stdout == "imported 2 entries: 2 new, 0 known\n"
    assert run("allow", "export").stdout == "00:11:22:33:44:55\n52:54:00:00:00:00/24  room\n"


def test_ten_thousand_ranges(run: Run) -> None:
    lines = "".join(f"52:54:{n >> 8:02x}:{n & 255:02x}:00:00/36 r{n}\n" for n in range(10_000))
    assert run("allow", "import", "-", stdin=lines).stdout == "imported 10000 entries: 10000 new, 0 known\n"
    assert run("allow", "check", "52:54:27:0f:00:01").stdout.endswith("(r9999)\n")


def editor(tmp_path: Path, content: str) -> str:
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\nprintf '{content}' > \"$1\"\n")
    script.chmod(0o755)
    return str(script)


def test_edit_saves_what_is_valid(run: Run, tmp_path: Path) -> None:
    run("allow", "add", "52:54:00:*")
    done = run("allow", "edit", EDITOR=editor(tmp_path, "00:11:22:33:44:55 mine\\n"))
    assert done.stdout == "saved: 1 added, 1 removed, 1 entries in all\n"
    assert run("allow", "export").stdout == "00:11:22:33:44:55  mine\n"


def test_edit_saves_nothing_when_a_line_is_wrong(run: Run, tmp_path: Path) -> None:
    run("allow", "add", "52:54:00:*")
    done = run("allow", "edit", EDITOR=editor(tmp_path, "00:11:22:33:44:55\\nbanana\\n"))
    assert done.returncode == 2
    assert "line:2: 'banana'" in done.stderr
    assert run("allow", "export").stdout == "52:54:00:00:00:00/24\n"


def test_a_broken_editor_changes_nothing(run: Run) -> None:
    done = run("allow", "edit", EDITOR="/bin/false")
    assert done.returncode == 2
    assert "the editor '/bin/false' failed" in done.stderr


def test_status_without_a_server(run: Run) -> None:
    done = run("status")
    assert done.returncode == 3
    assert "not running" in done.stdout
    facts = json.loads(run("status", "--json").stdout)
    assert facts["server"]["pid"] is None
    assert facts["boots"] == []
    assert facts["image"] is None


def test_what_is_not_there_yet_may_come_so_systemd_tries_again(run: Run) -> None:
    done = run("serve", as_root=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "[server] interfaces: " in done.stderr


def test_a_broken_configuration_is_not_tried_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[server\n")
    for verb in ("serve", "status"):
        done = run(verb, as_root=True)
        assert done.returncode == 2
        assert "not valid TOML" in done.stderr


def test_reload_without_a_server(run: Run, tmp_path: Path) -> None:
    done = run("reload")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"no server runs on {tmp_path}/data" in done.stderr
    assert not (tmp_path / "data").exists()


def test_config_show_hides_the_account_key(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "c.toml").open("a") as file:
        file.write('[project]\nurl = "https://project.example.org/"\naccount_key = "secret123"\n')
    done = run("config", "show")
    assert json.loads(done.stdout)["project"]["url"] == "https://project.example.org/"
    assert "secret123" not in done.stdout


def test_config_init_never_overwrites(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / "c.toml").read_text()
    done = run("config", "init", "--interface", "nosuch0")
    assert (done.returncode, (tmp_path / "c.toml").read_text()) == (2, before)
    assert "nosuch0" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(run: Run, tmp_path: Path) -> None:
    run("allow", "import", "-", stdin="".join(f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}\n" for n in range(20_000)))
    shell = f"set -o pipefail; {PROGRAM} --config {tmp_path}/c.toml allow export | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("52:54:00:00:00:00\n", "")


def test_help_has_examples() -> None:
    verbs = ("allow add", "allow import", "image build", "clients show", "clients forget", "config init")
    for verb in map(str.split, verbs):
        assert "Example" in netboot_appliance(*verb, "--help").stdout, verb


def test_config_dhcp_lists_the_servers_and_names_the_way_a_server_can_go(run: Run) -> None:
    listed = run("config", "dhcp")
    assert [line.split()[3] for line in listed.stdout.splitlines()] == ["dnsmasq", "isc", "kea", "windows", "mikrotik"]
    wrong = run("config", "dhcp", "windows", "--way", "pxe")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.endswith("hint: netboot-appliance config dhcp windows --way options\n")
