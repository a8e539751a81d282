"""The list of work that was set aside: written by root with each change, read by everybody."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from appliance.config.file import Config, ServerSettings
from appliance.exports import kept_list, kept_work
from appliance.exports.forgotten_work import ForgottenWork
from services.ethernet import MacAddress
from services.linux import atomic_file

A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A box with the work of two PCs, in plain directories."""
    # Its directory is root's.
    monkeypatch.setattr(kept_work, "locked", lambda *_: contextlib.nullcontext())
    found = Config(tmp_path / "c.toml", server=ServerSettings(data=tmp_path))
    for mac in (A, B):
        (found.state / mac.bare).mkdir(parents=True)
        (found.state / mac.bare / "work").write_text("x")
    return found


def test_each_change_is_in_the_list_at_once(config: Config) -> None:
    assert kept_list.read(config) == ()
    kept_work.set_aside(config, A, 2000.5)
    kept_work.set_aside(config, B, 1000.0)
    assert kept_list.read(config) == (ForgottenWork(1000, B), ForgottenWork(2000, A))
    assert kept_list.read(config)[0].until == 1000 + 7 * 86400
    kept_work.restore(config, A, 3000.0)
    assert kept_list.read(config) == (ForgottenWork(1000, B),)
    kept_work.purge(config, *kept_work.find_of(config, B))
    assert kept_list.read(config) == ()
    # Others can read it, though they may not look into the directory.
    assert (config.state / ".forgotten.json").stat().st_mode & 0o777 == 0o644


def test_a_full_disk_keeps_no_work_from_being_set_aside(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(atomic_file, "write", full)
        kept_work.set_aside(config, A, 1000.0)
        assert kept_list.read(config) == ()
    kept_work.note(config)
    assert kept_list.read(config) == (ForgottenWork(1000, A),)


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"[", b"{}", b"7", b"[7]", b"\xff", b"[" * 100_000, b'[{"mac": "x", "at": 1}]', b'[{"at": 1}]'),
        *(b'[{"mac": "52:54:00:aa:bb:01", "at": 1e999}]', b'[{"mac": 7, "at": 1}]'),
        *(b'[{"mac": "52:54:00:aa:bb:01", "at": 999999999999}]', b'[{"mac": "52:54:00:aa:bb:01", "at": -1}]'),
    ],
)
def test_a_damaged_list_is_none(config: Config, damaged: bytes) -> None:
    (config.state / ".forgotten.json").write_bytes(damaged)
    assert kept_list.read(config) == ()
