"""What is said when the wall before the NFS ports cannot be kept. The kernel is asked nothing here."""

from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.exports import wall
from services.linux import pins
from services.nfs import nftables
from services.nfs.backend import NfsError


def test_a_wall_that_cannot_be_kept_is_no_fault_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_up: list[str] = []
    monkeypatch.setattr(wall, "_served", lambda _: {})
    monkeypatch.setattr(wall, "wall_for", lambda *_: None)
    monkeypatch.setattr(wall, "render", lambda _: "a wall")
    monkeypatch.setattr(nftables, "heard", dict)
    monkeypatch.setattr(nftables, "put_up", put_up.append)
    monkeypatch.setattr(pins, "neighbours", dict)
    monkeypatch.setattr(pins, "next_hops", lambda _: {})
    monkeypatch.setattr(pins, "resolve", lambda *_: {})
    monkeypatch.setattr(pins, "change", lambda _: {})
    monkeypatch.setenv(wall.ENVIRONMENT, str(tmp_path / "missing"))
    with pytest.raises(NfsError, match="cannot be kept for the next boot") as caught:
        wall.put_up(parse("", tmp_path / "config.toml"), (), ())
    assert str(tmp_path / "missing") in caught.value.hint
    assert put_up == ["a wall"]
