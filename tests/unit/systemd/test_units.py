"""The units: systemd accepts them, the daemon is sandboxed, and its user and directories are right."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.debian import need
from tests.unit.ownership import AS_ROOT, ROOT

SYSTEMD = Path(__file__).parents[3] / "systemd"
UNITS = sorted(path for path in SYSTEMD.iterdir() if path.suffix in (".service", ".path", ".socket", ".timer"))
DAEMON = SYSTEMD / "netboot-appliance.service"
MOST_EXPOSED = 2.0
"""The highest allowed figure of `systemd-analyze security` for the daemon; 10 is a service without any sandbox."""

OWNED = {
    "etc/netboot-appliance": (0o755, "root"),
    "var/lib/netboot-appliance": (0o755, "root"),
    "var/lib/netboot-appliance/registry": (0o700, "netboot-appliance"),
    "var/lib/netboot-appliance/boot": (0o755, "netboot-appliance"),
    "var/lib/netboot-appliance/images": (0o755, "root"),
    "var/lib/netboot-appliance/image-keys": (0o755, "root"),
    "var/lib/netboot-appliance/state": (0o711, "root"),
    "var/lib/netboot-appliance/build": (0o700, "root"),
}


def run(*command: str | Path) -> str:
    """Run a tool, which must succeed; returns all its output."""
    need("systemd-analyze")
    environment = {**os.environ, "SYSTEMD_PAGER": "", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_systemd_verify_has_no_complaint_about_any_unit(tmp_path: Path) -> None:
    # The programs they start are not installed here.
    for unit in UNITS:
        text = unit.read_text()
        for program in ("bin/netboot-appliance", "bin/python3", "libexec/restore-wall"):
            text = text.replace(f"/opt/netboot-appliance/{program}", "/bin/true")
        assert "/opt" not in text
        (tmp_path / unit.name).write_text(text)
    assert run("systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())) == ""


def test_what_units_leave_below_run_is_removed_with_the_program() -> None:
    removed = (SYSTEMD.parent / "packaging" / "before-remove").read_text().split()
    for unit in UNITS:
        lines = unit.read_text().splitlines()
        kept = [
            line for line in lines if line.startswith("RuntimeDirectory=") and "RuntimeDirectoryPreserve=yes" in lines
        ]
        for name in " ".join(line.partition("=")[2] for line in kept).split():
            assert f"/run/{name}" in removed, unit.name


def test_old_releases_are_deleted_also_after_an_update_that_has_failed() -> None:
    lines = (SYSTEMD / "netboot-appliance-rebuild.service").read_text().splitlines()
    assert [line.partition("=")[0] for line in lines if line.endswith("netboot-appliance image prune")] == [
        "ExecStopPost"
    ]


def test_the_daemon_is_sandboxed(capsys: pytest.CaptureFixture[str]) -> None:
    last = run("systemd-analyze", "security", "--offline=true", DAEMON).splitlines()[-1]
    assert "Overall exposure level" in last
    figure = float(last.split(":")[1].split()[0])
    with capsys.disabled():
        print(f"\n{last.removeprefix('→ ')} (at most {MOST_EXPOSED})")
    assert 0 < figure <= MOST_EXPOSED


def test_the_daemon_has_only_the_capability_to_bind_its_ports() -> None:
    lines = DAEMON.read_text().splitlines()
    capabilities = [line for line in lines if "Capabilit" in line and not line.startswith("#")]
    assert capabilities == [
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    ]
    assert "User=netboot-appliance" in lines
    assert [line for line in lines if line.startswith("ReadWritePaths=")] == [
        "ReadWritePaths=/var/lib/netboot-appliance/registry /var/lib/netboot-appliance/boot"
    ]


def test_user_and_directories_are_created_and_files_left_by_root_change_owner(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("root:x:0:0:root:/root:/bin/sh\n" if name == "passwd" else "root:x:0:\n")
    # A box that was run by hand before there was a unit.
    registry = tmp_path / "var/lib/netboot-appliance/registry"
    registry.mkdir(parents=True)
    (registry / "registry.sqlite3").touch(mode=0o600)
    config = tmp_path / "etc/netboot-appliance/config.toml"
    config.parent.mkdir()
    config.touch(mode=0o600)

    run("systemd-sysusers", f"--root={tmp_path}", SYSTEMD / "netboot-appliance.sysusers")
    assert {line[0]: line[-1] for line in _fields(tmp_path / "etc/passwd")}["netboot-appliance"].endswith("nologin")
    users, groups = _ids(tmp_path / "etc/passwd"), _ids(tmp_path / "etc/group")
    if not ROOT:
        # A user namespace has nobody but root: everything is root's there, who is the user that runs the tests.
        for name in ("passwd", "group"):
            (tmp_path / "etc" / name).write_text("root:x:0:0::/:\nnetboot-appliance:x:0:0::/:\n")
        users, groups = dict.fromkeys(users, os.geteuid()), dict.fromkeys(groups, os.getegid())
    for _ in range(2):
        run(*AS_ROOT, "systemd-tmpfiles", f"--root={tmp_path}", "--create", SYSTEMD / "netboot-appliance.tmpfiles")
        for name, (mode, owner) in OWNED.items():
            found = (tmp_path / name).stat()
            assert (found.st_mode & 0o7777, found.st_uid) == (mode, users[owner]), name
        database, file = (registry / "registry.sqlite3").stat(), config.stat()
        assert (database.st_mode & 0o7777, database.st_uid) == (0o600, users["netboot-appliance"])
        assert (file.st_mode & 0o7777, file.st_uid) == (0o640, users["root"])
        assert file.st_gid == groups["netboot-appliance"]


def _ids(path: Path) -> dict[str, int]:
    return {name: int(number) for name, _, number, *_ in _fields(path)}


def _fields(path: Path) -> list[list[str]]:
    return [line.split(":") for line in path.read_text().splitlines()]
