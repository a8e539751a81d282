"""The registry of 0.1.0 moves once, with its log, to where it is today."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.errors import UserError
from appliance.registry.database import Registry
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.registry.schemas.make import load
from tests.unit.ownership import OTHER_GROUP, OTHER_USER, ROOT, open_to_others

MAC = MacAddress.parse("52:54:00:00:00:01")
# Like a server of 0.1.0 that was killed: its last commits are only in its log.
KILLED = """
import os, sqlite3, sys
sql = sqlite3.connect(sys.argv[1], isolation_level=None)
sql.execute("PRAGMA journal_mode = WAL")
sql.execute("INSERT INTO allowed VALUES (1, 1, 'in the log', 0)")
os._exit(0)
"""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """The registry of 0.1.0, owned by root, in a data directory that lets others through."""
    open_to_others(tmp_path)
    path = tmp_path / "registry.sqlite3"
    load(1, path)
    path.chmod(0o600)
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=True)
    assert path.with_name("registry.sqlite3-wal").stat().st_size
    yield path
    assert not list(tmp_path.rglob(".registry*")), "nothing unfinished is left"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "registry" / "registry.sqlite3"


def test_it_moves_with_its_log_and_belongs_to_the_server(old: Path, new: Path) -> None:
    new.parent.mkdir(mode=0o700)
    os.chown(new.parent, OTHER_USER, OTHER_GROUP)
    with Registry(new) as registry:
        assert [entry.label for entry in registry.allowlist().entries] == ["in the log", "", "room 12, window"]
        assert len(registry.clients()) == 2
        owners = {
            (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o777) for file in new.parent.iterdir()
        }
    assert owners == {(OTHER_USER, OTHER_GROUP, 0o600)}
    assert sorted(path.name for path in old.parent.iterdir()) == ["registry", "registry.sqlite3.taken-over"]


def test_it_happens_once(old: Path, new: Path) -> None:
    Registry(new).close()
    with Registry(new) as registry:
        registry.allow([Entry(MacRange(MAC, MAC), "since then")])
    with Registry(new) as registry:
        assert "since then" in {entry.label for entry in registry.allowlist().entries}
    for path in new.parent.iterdir():
        path.unlink()
    with Registry(new) as registry:
        assert registry.allowlist().entries == ()


def test_an_existing_registry_stays(old: Path, new: Path) -> None:
    moved = old.rename(old.with_name("elsewhere"))
    with Registry(new) as registry:
        registry.allow([Entry(MacRange(MAC, MAC), "here")])
    moved.rename(old)
    with Registry(new) as registry:
        assert [entry.label for entry in registry.allowlist().entries] == ["here"]
    assert old.exists()


def test_not_while_the_old_server_is_running(old: Path, new: Path) -> None:
    lock = f"import fcntl, sys; f = open({str(old.with_name('serve.lock'))!r}, 'a+'); fcntl.lockf(f, fcntl.LOCK_EX)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{lock}; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with pytest.raises(UserError, match=rf"process {server.pid}\) is still running"):
            Registry(new)
        server.kill()
    assert not new.exists()
    Registry(new).close()
    assert new.exists()


def test_a_user_who_may_not_read_it_is_told_what_to_do(old: Path, new: Path) -> None:
    new.parent.mkdir(mode=0o700)
    os.chown(new.parent, OTHER_USER, OTHER_GROUP)
    if not ROOT:
        old.chmod(0)
    # The other user may not be let into a checkout in somebody's home directory: modules are loaded before.
    code = "import os; from pathlib import Path; from appliance.registry.database import Registry"
    code = f"{code}; os.setuid({OTHER_USER})"
    script = f"{code}\ntry: Registry(Path({str(new)!r}))\nexcept Exception as error: print(error, '|', error.hint)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == (
        f"the registry of netboot-appliance 0.1.0 is still at {old} | to move it: sudo netboot-appliance status\n"
    )
    assert not new.exists()
