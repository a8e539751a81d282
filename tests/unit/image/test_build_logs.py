"""The logs of builds: kept, compressed, read again."""

import gzip
from pathlib import Path

import pytest

from image import build_logs

NAME = "20261123-150102-1a2b3c4d"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def test_a_log_is_read_before_and_after_it_is_compressed(tmp_path: Path, logs: Path) -> None:
    with build_logs.written(logs / f"{NAME}.log") as log:
        log.write("E: no\n" * 100_000)
    assert b"".join(build_logs.read(tmp_path, NAME)) == b"E: no\n" * 100_000
    build_logs.compress(logs / "20261124-150102-1a2b3c4d.log")
    assert not (logs / f"{NAME}.log").exists()
    assert b"".join(build_logs.read(tmp_path, NAME)) == b"E: no\n" * 100_000
    assert build_logs.names(tmp_path) == [NAME]


def test_only_the_latest_are_kept(tmp_path: Path, logs: Path) -> None:
    for day in range(60):
        (logs / f"202611{day:02}-150102-1a2b3c4d.log").write_text("")
    build_logs.compress(logs / "20261199-150102-1a2b3c4d.log")
    found = build_logs.names(tmp_path)
    assert (len(found), found[0], found[-1]) == (50, "20261159-150102-1a2b3c4d", "20261110-150102-1a2b3c4d")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "20261123-150102-00000000"])
def test_what_is_no_log_is_not_there(tmp_path: Path, logs: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        list(build_logs.read(tmp_path, name))


def test_of_a_damaged_log_the_beginning_is_read(tmp_path: Path, logs: Path) -> None:
    whole = gzip.compress(bytes(range(256)) * 1000, mtime=0)
    (logs / f"{NAME}.log.gz").write_bytes(whole[:-20])
    assert b"".join(build_logs.read(tmp_path, NAME)).startswith(bytes(range(256)))
    (logs / f"{NAME}.log.gz").write_bytes(b"no gzip")
    assert b"".join(build_logs.read(tmp_path, NAME)) == b""
