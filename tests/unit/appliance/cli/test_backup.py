"""`backup` and `restore` as their user types them."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.appliance.cli.program import ENVIRONMENT, PROGRAM, netboot_appliance


class Box:
    """A box that has nothing but its configuration."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "c.toml"
        self.config.write_text(f'[server]\ninterfaces = ["none0"]\ndata = "{directory}/data"\n')

    def run(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[Any]":
        words = ["--config", str(self.config), *arguments]
        if not options:
            return netboot_appliance(*words, cwd=self.directory)
        # With a standard output of its own.
        return subprocess.run([PROGRAM, *words], cwd=self.directory, env=ENVIRONMENT, check=False, **options)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    assert box.run("allow", "add", "52:54:00:aa:bb:cc", "--label", "room 12").returncode == 0
    return box


def test_there_and_back(box: Box) -> None:
    done = box.run("backup")
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = box.directory.glob("*.tar.gz")
    assert re.fullmatch(rf"netboot-appliance-{os.uname().nodename}-\d{{8}}-\d{{6}}\.tar\.gz", file.name)
    assert done.stdout.startswith(f"wrote {file.name} (")
    assert re.search(r"registry\.sqlite3 +\d.* kB  schema \d+; allowlist entries: 1, PCs: 0\n", done.stdout)
    assert done.stdout.endswith("keep it where only you can read it.\n")
    again = box.run("backup", file.name)
    assert (again.returncode, again.stdout) == (2, "")
    assert "already exists; nothing was changed" in again.stderr

    box.run("allow", "remove", "52:54:00:aa:bb:cc")
    done = box.run("restore", file.name, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing was changed\n")
    assert json.loads(box.run("allow", "list", "--json").stdout) == []
    done = box.run("restore", file.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"restored {box.directory}/data/registry/registry.sqlite3 (allowlist entries: 1, PCs: 0)" in done.stdout
    assert "to do: " in done.stdout
    assert "[server] interfaces: " in done.stdout, "the interface has another name on this machine"
    assert "netboot-appliance image build" in done.stdout
    assert box.run("allow", "export").stdout == "52:54:00:aa:bb:cc  room 12\n"


def test_to_another_program(box: Box) -> None:
    file = box.directory / "out.tar.gz"
    with file.open("wb") as output:
        done = box.run("backup", "-", text=True, stdout=output, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, "wrote standard output")
    assert box.run("restore", "out.tar.gz", "--dry-run").returncode == 0


def test_to_another_program_that_has_ended(box: Box) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = box.run("backup", "-", text=True, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (
        1,
        "error: the backup is incomplete: Broken pipe\nhint: do not use it\n",
    )


def test_not_to_a_terminal(box: Box) -> None:
    primary, terminal = pty.openpty()
    done = box.run("backup", "-", text=True, stdout=terminal, stderr=subprocess.PIPE)
    os.close(primary)
    os.close(terminal)
    assert done.returncode == 2
    assert "a backup cannot be written to a terminal" in done.stderr


def test_a_damaged_registry_is_one_message_with_a_hint_for_every_verb(box: Box) -> None:
    (box.directory / "data/registry/registry.sqlite3").write_bytes(b"nonsense" * 1000)
    for verb in (["status"], ["allow", "list"], ["clients", "list"], ["backup"]):
        done = box.run(*verb)
        assert (done.returncode, done.stdout) == (2, "")
        assert "registry.sqlite3 is damaged: file is not a database\nhint: restore a backup: " in done.stderr
    assert not list(box.directory.glob("*.tar.gz"))
