"""`config` as its user types it."""

import json
from pathlib import Path

from tests.unit.appliance.cli.program import Run


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
