"""File access by root in another user's directory."""

import os
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.registry.database import Registry
from appliance.registry.file_owner import acting_as_owner
from appliance.registry.server_lock import only_server
from services.ethernet import MacAddress, MacRange
from tests.unit.ownership import OTHER_GROUP, OTHER_USER, needs_root, open_to_others


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory of another user, whom its path lets through."""
    open_to_others(tmp_path)
    directory = tmp_path / "registry"
    directory.mkdir(mode=0o700)
    os.chown(directory, OTHER_USER, OTHER_GROUP)
    return directory


def test_what_root_creates_in_the_registry_belongs_to_the_server(theirs: Path) -> None:
    mac = MacAddress.parse("52:54:00:00:00:01")
    with only_server(theirs / "registry.sqlite3"), Registry(theirs / "registry.sqlite3") as registry:
        registry.allow([Entry(MacRange(mac, mac), "")])
        made = {path.name: path.stat() for path in theirs.iterdir()}
    assert {"registry.sqlite3", "registry.sqlite3-wal", "registry.sqlite3-shm", "serve.lock"} <= set(made)
    assert {(each.st_uid, each.st_gid) for each in made.values()} == {(OTHER_USER, OTHER_GROUP)}


@needs_root
def test_root_does_not_follow_a_link_that_was_planted_there(theirs: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("of root")
    target.chmod(0o600)
    (theirs / "link").symlink_to(target)
    with acting_as_owner(theirs), pytest.raises(PermissionError):
        (theirs / "link").write_text("of the server")
    with pytest.raises(PermissionError), acting_as_owner(theirs):
        (tmp_path / "elsewhere").touch()
    assert target.read_text() == "of root"
    (tmp_path / "elsewhere").touch()
    assert (tmp_path / "elsewhere").stat().st_uid == 0
