"""`reload` as its user types it."""

from pathlib import Path

from tests.unit.appliance.cli.program import Run


def test_reload_without_a_server(run: Run, tmp_path: Path) -> None:
    done = run("reload")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the server is not running" in done.stderr
    assert not (tmp_path / "data").exists()
