"""`serve` as its user types it, where it cannot start."""

from pathlib import Path

from tests.unit.appliance.cli.program import Run


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
