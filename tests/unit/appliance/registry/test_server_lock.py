"""One server per data directory, enforced by a lock of the kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.registry.server_lock import holder, only_server

HOLD = """
import sys
from pathlib import Path
from appliance.registry.server_lock import only_server
with only_server(Path(sys.argv[1]) / "r"):
    print(flush=True)
    sys.stdin.read()
"""


def test_the_process_that_holds_the_lock_is_named_and_a_killed_one_releases_it(tmp_path: Path) -> None:
    assert holder(tmp_path / "r") is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert holder(tmp_path / "r") == other.pid
        with pytest.raises(UserError, match=f"process {other.pid}"), only_server(tmp_path / "r"):
            pass
        other.kill()
    assert holder(tmp_path / "r") is None
    with only_server(tmp_path / "r"):
        assert os.access(tmp_path / "serve.lock", os.F_OK)


def test_a_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"), only_server(tmp_path / "file" / "r"):
        pass


def test_who_holds_the_lock_may_look_and_keeps_it(tmp_path: Path) -> None:
    """The page says whether the control process runs: it is that process."""
    registry = tmp_path / "registry.sqlite3"
    look = "import sys; from pathlib import Path; from appliance.registry import server_lock as lock;"
    look += "print(lock.holder(Path(sys.argv[1])))"
    with only_server(registry):
        assert holder(registry) == os.getpid()
        others = subprocess.run([sys.executable, "-c", look, str(registry)], capture_output=True, text=True, check=True)
        assert others.stdout.strip() == str(os.getpid())
    assert holder(registry) is None
