"""`status` as its user types it."""

import json

from tests.unit.appliance.cli.program import Run


def test_status_without_a_server(run: Run) -> None:
    done = run("status")
    assert done.returncode == 3
    assert "not running" in done.stdout
    facts = json.loads(run("status", "--json").stdout)
    assert facts["server"]["pid"] is None
    assert facts["boots"] == []
    assert facts["image"] is None
