"""`image ls`, `cat`, `diff` and `sbom` as their user types them, on real squashfs files, without root."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli.image_choice import _idents
from appliance.cli.main import app
from image import release
from tests.unit.appliance.cli.program import ENVIRONMENT, PROGRAM, netboot_appliance
from tests.unit.image.layers import WHITEOUT, File, directory, link, publish_layers
from tests.unit.image.test_release import NEW, OLD

BINARY = bytes(range(256)) * 2000
PASSWD = File(b"root:x:0:0::/root:/bin/sh\nboinc:x:105:111::/:/bin/false\nbroken\n")
BASE = {
    "etc/passwd": PASSWD,
    "etc/group": File(b"root:x:0:\nboinc:x:111:\n"),
    "etc/hostname": File(b"old\n"),
    "usr/bin/tool": File(BINARY, 0o4755, owner=(105, 111)),
    "usr/lib/old/a": File(b"12345"),
    "usr/lib/old/b": File(b"12345"),
    "usr/lib/kept": File(b"same"),
    "bin": link("usr/bin"),
    "evil\x1b]0;x\x07": File(b"\x1b[31mred\n"),
}
UPPER = {
    "etc/hostname": File(b"new name\n"),
    "etc/motd": File(b"hello\n"),
    "usr/bin/tool": File(BINARY, 0o755, owner=(0, 0)),
    "usr/lib/old": WHITEOUT,
    "usr/lib/new": directory(),
    "usr/lib/new/c": File(b"123"),
    "bin": link("usr/sbin"),
}
PACKAGES = ("apt 2.6.1\nbash 5.2\ncurl 7.88\n", "apt 2.6.2\nbash 5.2\nlibc6:amd64 1:2.36-9+deb12u1\n")


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """The configuration of a box whose newer release, with a layer above the base, is the active one."""
    images = tmp_path / "images"
    publish_layers(images, OLD, BASE, packages=PACKAGES[0])
    publish_layers(images, NEW, BASE, UPPER, packages=PACKAGES[1])
    for each in (OLD, NEW):
        release.activate(images, each)
    (tmp_path / "c.toml").write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}"\n')
    return tmp_path / "c.toml"


def run(box: Path, *arguments: str, fails: bool = False) -> str:
    done = netboot_appliance("--config", box, "image", *arguments)
    assert bool(done.returncode) == fails, done
    assert fails or done.stderr == ""
    return done.stderr if fails else done.stdout


def test_ls_lists_a_directory_as_pcs_see_it(box: Path) -> None:
    assert run(box, "ls", "/etc").splitlines() == [
        f"-rw-r--r-- root root 23 {when()} /etc/group",
        f"-rw-r--r-- root root  9 {when()} /etc/hostname",
        f"-rw-r--r-- root root  6 {when()} /etc/motd",
        f"-rw-r--r-- root root 63 {when()} /etc/passwd",
    ]
    assert run(box, "ls", "previous", "/etc/hostname").endswith(" 4 " + when() + " /etc/hostname\n")
    assert f"-rwsr-xr-x boinc boinc 512,000 {when()} /usr/bin/tool" in run(box, "ls", OLD, "/bin/")
    assert run(box, "ls", "/bin").endswith("/bin -> usr/sbin\n")
    assert "/usr/lib/old" not in run(box, "ls", "--recursive")
    assert "/usr/lib/new/c" in run(box, "ls", "-R", "/usr")


def when() -> str:
    """The time of all files in these layers, here."""
    return subprocess.run(
        ["date", "-d", "@1700000000", "+%Y-%m-%d %H:%M"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_ls_for_scripts(box: Path) -> None:
    found = {each["path"]: each for each in json.loads(run(box, "ls", "current", "-R", "--json"))}
    assert found["/usr/bin/tool"] == {
        "path": "/usr/bin/tool",
        "kind": "file",
        "mode": "-rwxr-xr-x",
        "uid": 0,
        "gid": 0,
        "owner": "root",
        "group": "root",
        "size": 512_000,
        "modified": "2023-11-14T22:13:20+00:00",
        "target": "",
        "device": None,
    }
    assert (found["/bin"]["kind"], found["/bin"]["target"]) == ("link", "usr/sbin")
    assert "/evil\x1b]0;x\x07" in found


def test_names_and_contents_do_not_steer_a_terminal(box: Path) -> None:
    assert "/evil\\x1b]0;x\\x07\n" in run(box, "ls", "/")
    evil = "/evil\x1b]0;x\x07"
    assert "\x1b" not in run(box, "ls", f"{evil}/x", fails=True)
    # To a file as it is, to a terminal as a text.
    assert netboot_appliance("--config", box, "image", "cat", evil).stdout == "\x1b[31mred\n"
    master, slave = pty.openpty()
    command = [str(PROGRAM), "--config", str(box), "image", "cat", evil]
    subprocess.run(command, stdout=slave, env=ENVIRONMENT, check=True)
    os.close(slave)
    assert os.read(master, 1000) == b"\\x1b[31mred\r\n"
    os.close(master)


def test_cat_is_binary_safe_and_quiet_if_the_reader_leaves(box: Path) -> None:
    done = CliRunner().invoke(app, ["--config", str(box), "image", "cat", OLD, "/bin/tool"])
    assert done.stdout_bytes == BINARY
    assert run(box, "cat", "/etc/hostname") == "new name\n"
    command = f"{PROGRAM} --config {box} image cat /usr/bin/tool | head -c 1"
    left = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, env=ENVIRONMENT, check=False)
    assert (left.stdout, left.stderr, left.returncode) == (b"\0", b"", 141)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ls", "/none"), "there is no /none"),
        (("cat", "/etc/none"), "there is no /etc/none"),
        (("cat", "/etc"), f"/etc is not a regular file\nhint: see what it is: netboot-appliance image ls {NEW} /etc"),
        (("cat", NEW), "which file?"),
        (("ls", "20260101-000000-00000000"), "there is no release '20260101-000000-00000000'"),
        (("diff", "nonsense"), "there is no release 'nonsense'"),
        (("ls", "../../../etc"), "there is no release"),
    ],
)
def test_what_is_not_there_is_one_error(box: Path, arguments: tuple[str, ...], words: str) -> None:
    said = run(box, *arguments, fails=True)
    assert said.startswith("error: ")
    assert words in said


def test_a_box_without_releases_says_what_to_do(box: Path) -> None:
    for link_ in ("current", "previous"):
        (box.parent / "images" / link_).unlink()
    assert "no release is active\nhint: build one" in run(box, "ls", fails=True)
    assert "there is no previous release" in run(box, "sbom", "previous", fails=True)


def test_a_damaged_live_system_is_one_error(box: Path) -> None:
    path = box.parent / "images" / NEW / release.SQUASHFS
    path.write_bytes(path.read_bytes()[:96] + bytes(path.stat().st_size - 96))
    for arguments in (("ls",), ("cat", "/etc/hostname"), ("diff", "previous")):
        said = run(box, *arguments, fails=True)
        assert f"the live system of {NEW} cannot be read: filesystem.squashfs: " in said
        assert f"image show {NEW}" in said


def test_diff_names_packages_files_and_sizes(box: Path) -> None:
    shown = run(box, "diff", "previous").splitlines()
    assert shown[0].split() == [OLD, NEW]
    at = shown.index("packages: 1 added, 1 removed, 1 changed")
    assert shown[at + 1 : at + 4] == ["  + libc6:amd64 1:2.36-9+deb12u1", "  - curl 7.88", "  ~ apt 2.6.1 -> 2.6.2"]
    at = shown.index("files: 3 added, 3 removed, 3 changed")
    assert shown[at + 1 :] == [
        "  + -rw-r--r-- 0:0       6 B /etc/motd",
        "  + drwxr-xr-x 0:0       3 B /usr/lib/new and 1 in it",
        "  - drwxr-xr-x 0:0      10 B /usr/lib/old and 2 in it",
        "  ~ /bin: usr/bin -> usr/sbin",
        "  ~ /etc/hostname: 4 B -> 9 B",
        "  ~ /usr/bin/tool: -rwsr-xr-x -> -rwxr-xr-x; owner 105:111 -> 0:0",
    ]
    assert any(line.split()[0] == "live/layer1.squashfs" and line.split()[1] == "-" for line in shown if line)


def test_diff_for_scripts(box: Path) -> None:
    found = json.loads(run(box, "diff", OLD, NEW, "--json"))
    assert [each["name"] for each in found["packages"]["added"]] == ["libc6:amd64"]
    assert found["packages"]["changed"] == [{"name": "apt", "old": "2.6.1", "new": "2.6.2"}]
    assert [each["path"] for each in found["files"]["removed"]] == ["/usr/lib/old", "/usr/lib/old/a", "/usr/lib/old/b"]
    hostname = next(each for each in found["files"]["changed"] if each["path"] == "/etc/hostname")
    assert (hostname["what"], hostname["old"]["size"], hostname["new"]["size"]) == (["size", "content"], 4, 9)
    layer = next(each for each in found["parts"] if each["name"] == "live/layer1.squashfs")
    assert (layer["old"], layer["new"] > 0) == (None, True)
    same = json.loads(run(box, "diff", "current", "--json"))
    assert same["packages"] == same["files"] == {"added": [], "removed": [], "changed": []}
    assert same["parts"] == same["recipe"] == []


def test_a_release_of_another_image_is_compared_with_the_active_one_of_that(box: Path) -> None:
    images, lab = box.parent / "images", "20261201-090000-cccccccc"
    publish_layers(images, lab, BASE, packages=PACKAGES[0])
    manifest = images / lab / release.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"image": "lab"}))
    release.activate(images, lab)
    assert run(box, "diff", "current.lab").split()[:2] == [lab, lab]


def test_the_bill_of_materials_is_the_same_each_time(box: Path) -> None:
    found = json.loads(run(box, "sbom"))
    assert found == json.loads(run(box, "sbom", NEW))
    assert found["creationInfo"]["created"] == "2026-11-23T15:01:02Z"
    assert found["documentNamespace"] != json.loads(run(box, "sbom", OLD))["documentNamespace"]
    names = [each["name"] for each in found["packages"]]
    assert names[0] == "live-system"
    assert {"apt", "bash", "libc6", "vmlinuz", "live/layer1.squashfs"} <= set(names)


def test_ids_are_completed(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETBOOT_APPLIANCE_CONFIG", str(box))
    assert _idents("2026") == [NEW, OLD]
    assert _idents("pre") == ["previous"]
    box.write_text("nonsense")
    assert _idents("") == []
