"""How the doctor judges the kernel's limits."""

from pathlib import Path

import pytest

from appliance.config.file import Config
from appliance.doctor import kernel
from appliance.doctor.finding import Severity

# Linux's own defaults.
NEIGHBOURS, BUFFER = 512, 212_992


@pytest.mark.parametrize(
    ("pcs", "neighbours", "buffer", "said"),
    [
        (0, NEIGHBOURS, BUFFER, ["have room for all PCs"]),
        (30, NEIGHBOURS, BUFFER, ["have room for all PCs"]),
        (400, NEIGHBOURS, BUFFER, ["a socket of the server holds 332 requests, but there are 400 PCs"]),
        (600, NEIGHBOURS, 4 << 20, ["room for 512 machines, but there are 600 PCs"]),
        (5000, NEIGHBOURS, BUFFER, ["room for 512 machines", "holds 332 requests"]),
        (4000, 4096, 4 << 20, ["have room for all PCs"]),
        (30, None, BUFFER, ["have room for all PCs"]),
        (5000, None, None, []),
    ],
)
def test_the_limits_are_held_against_the_number_of_pcs(
    pcs: int, neighbours: int | None, buffer: int | None, said: list[str]
) -> None:
    found = kernel.judge(pcs, neighbours, buffer)
    assert len(found) == len(said)
    for finding, words in zip(found, said, strict=True):
        assert words in finding.what
        healthy = "have room" in words
        assert finding.severity is (Severity.OK if healthy else Severity.WARNING)
        assert healthy or "systemctl restart systemd-sysctl" in finding.what_to_do


def test_what_is_advised_is_enough() -> None:
    (neighbours, buffer) = kernel.judge(20_000, NEIGHBOURS, BUFFER)
    assert "gc_thresh2 = 40000 and net.ipv4.neigh.default.gc_thresh3 = 80000" in neighbours.what_to_do
    assert "rmem_max = 25600000" in buffer.what_to_do
    assert [each.severity for each in kernel.judge(20_000, 40_000, 25_600_000)] == [Severity.OK]


def test_what_this_kernel_does_not_show_is_not_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernel, "_NEIGHBOURS", tmp_path / "gc_thresh2")
    monkeypatch.setattr(kernel, "_BUFFER", tmp_path / "rmem_max")
    assert kernel.check(Config(tmp_path / "c.toml")) == []
    (tmp_path / "rmem_max").write_text(f"{BUFFER}\n")
    assert [each.severity for each in kernel.check(Config(tmp_path / "c.toml"))] == [Severity.OK]
