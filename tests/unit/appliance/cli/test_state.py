"""`state` as its user types it. What happens to the work itself: tests/netns/test_volumes.py."""

import json
from pathlib import Path

import pytest

from tests.unit.appliance.cli.program import Run, assert_refused

OLD, NEW = "525400aabbcc", "525400aabbdd"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What a box keeps of two PCs; one has a file system of its own."""
    data = tmp_path / "data"
    for name in (OLD, NEW, "somebody's"):
        (data / "state" / name).mkdir(parents=True)
    (data / "volumes").mkdir()
    (data / "volumes" / f"{NEW}.img").write_bytes(b"x" * 5000)
    (data / "state" / OLD / "client_state.xml").write_bytes(b"x" * 5000)
    return data


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("state", "pack"), "name the PCs, or --all"),
        (("state", "unpack"), "name the PCs, or --all"),
        (("state", "pack", "52:54:00:00:00:09", "--all"), "name the PCs, or --all"),
        (("state", "unpack", "x"), "is not a MAC address"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run, arguments, words)


@pytest.mark.usefixtures("data")
def test_list_says_in_what_each_pcs_work_is(run: Run) -> None:
    lines = run("state", "list").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["MAC", "52:54:00:aa:bb:cc", "52:54:00:aa:bb:dd"]
    assert "plain directory" in lines[1]
    assert "file system of its own" in lines[2]
    old, new = json.loads(run("state", "list", "--json").stdout)
    assert (old["mac"], old["kind"], old["mounted"]) == ("52:54:00:aa:bb:cc", "plain directory", False)
    assert (new["mac"], new["kind"], new["mounted"]) == ("52:54:00:aa:bb:dd", "file system of its own", False)
    assert old["used"] >= 5000
    assert new["used"] >= 5000


def test_a_box_without_pcs_has_nothing_to_list(run: Run) -> None:
    assert run("state", "list").stdout == "No PC has any work here yet.\n"
