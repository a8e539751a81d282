"""The congestion control that the servers of the benchmarks get."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import site
from bench.site import set_up_tcp
from tests.room.namespaces import Namespace


class Host(Namespace):
    """A namespace whose kernel gives out what the first namespace allows."""

    def __init__(self, allowed: Path, *, has_cubic: bool = True) -> None:
        super().__init__("host", "room")
        self.allowed = allowed
        self.has_cubic = has_cubic
        self.current = "bbr"

    def run(
        self, command: Sequence[str], *, timeout: float = 30, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        assert command[0] == "sysctl"
        if "--write" not in command:
            return subprocess.CompletedProcess(command, 0, f"{self.current}\n", "")
        wanted = command[-1].partition("=")[2]
        may = self.has_cubic and wanted in self.allowed.read_text().split()
        self.current = wanted if may else self.current
        assert may or not check, "sysctl: permission denied"
        return subprocess.CompletedProcess(command, 0 if may else 255, "", "")


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "allowed"
    file.write_text("reno bbr\n")
    monkeypatch.setattr(site, "_ALLOWED", file)
    return file


def test_a_namespace_that_may_has_cubic(allowed: Path) -> None:
    allowed.write_text("reno cubic\n")
    assert set_up_tcp(Host(allowed)) == "cubic"
    assert allowed.read_text() == "reno cubic\n"


def test_cubic_is_allowed_to_namespaces_where_it_was_not(allowed: Path) -> None:
    assert set_up_tcp(Host(allowed)) == "cubic"
    assert allowed.read_text().split() == ["reno", "bbr", "cubic"]


def test_without_cubic_the_bench_goes_on_and_says_with_what(allowed: Path) -> None:
    assert set_up_tcp(Host(allowed, has_cubic=False)) == "bbr"


def test_where_nothing_can_be_allowed_the_bench_goes_on(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "_ALLOWED", allowed / "read-only")
    assert set_up_tcp(Host(allowed)) == "bbr"
