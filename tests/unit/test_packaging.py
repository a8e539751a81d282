"""What the packages add to the program: the man page, the configuration, one version."""

import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from appliance.cli.main import app
from appliance.config import file as config
from services.dhcp import udp_port as dhcp
from tests.unit.debian import need

ROOT = Path(__file__).parents[2]


def printed(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "packaging" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The rendered man page; man must give no warning."""
    need("man")
    source = tmp_path_factory.mktemp("man") / "netboot-appliance.8"
    source.write_text(printed("manpage.py"))
    done = subprocess.run(
        ["man", "--local-file", "--warnings", source],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "MANWIDTH": "1000", "MAN_KEEP_FORMATTING": "", "PATH": os.defpath},
    )
    assert not done.stderr
    return " ".join(done.stdout.split())


def verbs(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, verb in getattr(command, "commands", {}).items():
        yield f"{path}{name}", verb
        yield from verbs(verb, f"{path}{name} ")


def test_the_man_page_has_every_verb_with_its_options_and_help(page: str) -> None:
    for path, verb in verbs(typer.main.get_command(app)):
        assert f"netboot-appliance {path} " in page or hasattr(verb, "commands"), path
        for text in (verb.help, verb.epilog):
            assert " ".join((text or "").split()) in page
        for parameter in verb.params:
            if not getattr(parameter, "hidden", False):
                assert all(option in page for option in parameter.opts if option.startswith("--"))


def test_the_man_page_says_where_things_are(page: str) -> None:
    for path in ("/etc/netboot-appliance/config.toml", "/var/lib/netboot-appliance/state"):
        assert path in page


def test_the_packaged_configuration_is_valid_and_sets_nothing() -> None:
    text = printed("configuration.py")
    found = config.parse(text, config.DEFAULT_PATH)
    assert found == config.Config(config.DEFAULT_PATH)
    settings = re.findall(r"^# ([a-z_]+) = ", text, re.MULTILINE)
    assert {"interfaces", "url", "account_key"} <= set(settings)
    assert "Found here" not in text


def test_every_setting_of_the_packaged_configuration_is_valid_once_uncommented() -> None:
    text = re.sub(r"^# (?=[a-z_]+ = )", "", printed("configuration.py"), flags=re.MULTILINE)
    assert config.parse(text, config.DEFAULT_PATH).project.url


def test_the_sysctl_file_allows_the_servers_buffers_and_tolerates_a_container() -> None:
    text = (ROOT / "systemd/netboot-appliance.sysctl").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("-") for line in lines)
    values = {key.strip(" -"): int(value) for key, _, value in (line.partition("=") for line in lines)}
    assert values["net.core.rmem_max"] >= dhcp.RECEIVE_BUFFER
    thresholds = [values[f"net.ipv4.neigh.default.gc_thresh{number}"] for number in (1, 2, 3)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] > 1024


def test_the_changelog_has_the_programs_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (ROOT / "debian/changelog").read_text().startswith(f"netboot-appliance ({version}) ")


def test_two_paths_are_swapped_in_one_step_or_not_at_all(tmp_path: Path) -> None:
    exchange = runpy.run_path(str(ROOT / "packaging/exchange.py"))["exchange"]
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "old/new").exists()
    assert (tmp_path / "new/old").exists()
    with pytest.raises(OSError, match="No such file"):
        exchange(str(tmp_path / "old"), str(tmp_path / "gone"))
    assert (tmp_path / "old/new").exists()


def test_withdrawing_leaves_no_export_in_the_file_even_when_the_nfs_server_is_off(tmp_path: Path) -> None:
    need("ganesha.nfsd")
    ours, configuration = tmp_path / "ours.conf", tmp_path / "config.toml"
    ours.write_text("EXPORT { Path = /srv; }\n")
    configuration.write_text(
        f'[server]\ndata = "{tmp_path}/data"\n[nfs]\nbackend = "ganesha"\n'
        f'ganesha_config = "{ours}"\nganesha_pid_file = "{tmp_path}/no/pid"\n'
    )
    program = Path(sys.executable).with_name("netboot-appliance")
    done = subprocess.run(
        [program, "--config", configuration, "exports", "withdraw"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "NFS-Ganesha is not running" in done.stderr
    assert "EXPORT {" not in ours.read_text()


def test_every_unit_is_stopped_and_those_that_start_by_themselves_are_switched_on_and_off() -> None:
    before_remove, uninstall, rules = (
        (ROOT / name).read_text() for name in ("packaging/before-remove", "packaging/uninstall", "debian/rules")
    )
    units = [p for kind in ("service", "path", "timer") for p in (ROOT / "systemd").glob(f"*.{kind}")]
    assert len(units) > 8
    for unit in units:
        assert unit.name in before_remove, unit.name
        if "\n[Install]\n" in unit.read_text():
            assert unit.name in uninstall, unit.name
            assert unit.name in rules, unit.name


def test_a_server_without_systemd_gets_the_words_about_the_page_too(tmp_path: Path) -> None:
    """What the package says after its installation, with a program that stands in for ours."""
    program = tmp_path / "netboot-appliance"
    program.write_text('#!/bin/sh\necho "said: $*"\n')
    program.chmod(0o755)
    script = (ROOT / "packaging/after-install").read_text()
    script = script.replace("/opt/netboot-appliance/bin/netboot-appliance", str(program))
    script = script.replace("/run/systemd/system", "/nonexistent")
    done = subprocess.run(["sh", "-s", "first"], input=script, capture_output=True, text=True, check=True)
    assert "said: control password --random --if-none\nsaid: control fingerprint\n" in done.stdout
    program.write_text("#!/bin/sh\nexit 1\n")
    subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=True)
