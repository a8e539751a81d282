"""`live`: what a PC would be told."""

import json
import os
from pathlib import Path

from tests.unit.appliance.cli.program import Run
from tests.unit.appliance.config.test_live import KEY

MAC = "52:54:00:aa:bb:cc"


def prepare(run: Run, tmp_path: Path) -> Path:
    live = tmp_path / "live"
    with (tmp_path / "c.toml").open("a") as file:
        file.write(
            f'[live]\ndirectory = "{live}"\nhost_name = "{{label}}-{{mac4}}"\ntime_zone = "Asia/Kolkata"\n'
            f'proxy = "http://me:s3cret@10.0.0.8:3128"\nssh_keys = ["{KEY}"]\n'
        )
    (live / "all/files/etc").mkdir(parents=True)
    (live / "all/files/etc/motd").write_text("hello\n")
    (live / "all/hooks").mkdir()
    (live / "all/hooks/10-mount").touch(mode=0o755)
    assert run("allow", "add", MAC, "--label", "Lab").returncode == 0
    return live


def test_what_a_pc_is_told(run: Run, tmp_path: Path) -> None:
    prepare(run, tmp_path)
    shown = run("live", "show", MAC)
    assert shown.returncode == 0, shown.stderr
    for words in ("host name  lab-bbcc", "time zone  Asia/Kolkata", "10.0.0.8:3128", "an admin", "hook 10-mount"):
        assert words in shown.stdout
    assert "/etc/motd" in shown.stdout
    assert "s3cret" not in shown.stdout
    document = json.loads(run("live", "show", MAC, "--json").stdout)
    (overlay,) = document["overlays"]
    assert overlay["files"] == [{"path": "/etc/motd", "mode": "0644", "size": 6, "link": ""}]
    assert "s3cret" not in json.dumps(document)


def test_an_overlay_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    live = prepare(run, tmp_path)
    os.mkfifo(live / "all/files/pipe")
    shown = run("live", "show", MAC)
    assert (shown.returncode, "pipe: is a FIFO" in shown.stdout) == (1, True)
    assert "pipe: is a FIFO" in run("config", "check").stderr


def test_strangers_are_told_nothing_and_no_key_is_made_up(run: Run, tmp_path: Path) -> None:
    for verb, words in (("show", "is not allowed: it is told nothing"), ("known-hosts", "no PC has had a host key")):
        refused = run("live", verb, MAC)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert words in refused.stderr
        if verb == "show":
            prepare(run, tmp_path)
