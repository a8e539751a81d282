"""`image test` with a real emulated PC: a release that is not bootable fails, and nothing is left, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.images import notes
from image import release
from tests.netns.served import TIMEOUT, install_release
from tests.room.processes import wait_until

# Has the keyboard controller reset the PC, as the oldest way to do that, and waits.
_RESET = bytes.fromhex("b0fe e664 f4 ebfd")


def kernel() -> bytes:
    """A kernel for a BIOS that loaders start, and that restarts the PC at once. Linux, Documentation/arch/x86/boot.rst;
    its code begins at 0x200 with a jump over the header."""
    image = bytearray(4 * 512)
    image[0x1F1] = 1  # sectors of its real mode part, beside the first
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x200:0x202] = b"\xeb\x66"
    image[0x202:0x206] = b"HdrS"
    image[0x206:0x208] = b"\x06\x02"  # version 2.06 of the protocol
    image[0x211] = 1  # the rest of it belongs above the first megabyte
    image[0x22C:0x230] = b"\xff\xff\xff\x37"  # the highest address of an initrd
    image[0x238:0x23C] = b"\xff\x07\0\0"  # bytes of a command line
    image[0x268 : 0x268 + len(_RESET)] = _RESET
    return bytes(image)


PROGRAM = """\
import sys
from pathlib import Path
from appliance.config.file import load
from appliance.images import emulated_boot
from image import release
config = load(Path(sys.argv[1]))
done, _ = emulated_boot.boot(
    config, release.current(config.images), lambda *each: print(*each, flush=True), "bios", seconds=float(sys.argv[2])
)
print(done.why)
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    made = install_release(tmp_path / "images")
    (made.path / release.KERNEL).write_bytes(kernel())
    files = {**made.files, release.KERNEL: release.describe(made.path / release.KERNEL)}
    (made.path / release.MANIFEST).write_bytes(release.render_manifest(replace(made, files=files)))
    (tmp_path / "c.toml").write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}"\n')
    before = leftovers()
    yield tmp_path
    wait_until(lambda: leftovers() <= before, TIMEOUT, "all of the test to end")
    assert "netboot-appliance-test" not in Path("/proc/self/mountinfo").read_text()


def leftovers() -> set[str]:
    """The processes of tests, and the network namespaces that have names."""
    found = set(os.listdir("/run/netns")) if Path("/run/netns").is_dir() else set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "/run/netboot-appliance-test" in line or "appliance.images.emulated_room" in line:
            found.add(f"{process.name} {line}")
    return {each for each in found if not each.startswith("nbaroom")}


def start(box: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(box / "c.toml"), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_release_that_restarts_the_pc_fails_and_that_is_kept(box: Path) -> None:
    with start(box, 600) as test:
        said, _ = test.communicate(timeout=TIMEOUT + 60)
    assert test.returncode == 0, said
    lines = said.splitlines()
    assert lines[0] == "power on 0.0"
    assert lines[1].startswith("discovered "), said
    active = release.active_id(box / "images")
    assert active
    kept = notes.test_of(box / "images", active)
    assert kept
    assert not kept.passed
    assert kept.why == lines[-1]
    assert kept.why in {
        f"the PC restarted or went off; it had come as far as: {stage}" for stage in ("script", "kernel", "initrd")
    }
    log = Path(kept.log).read_text()
    assert "server: " in log
    assert "console: iPXE" in log
    # What it was mounted from is as it was.
    assert release.verify(release.read(box / "images", active)) == []


def test_one_that_does_not_come_up_in_time_fails(box: Path) -> None:
    with start(box, 1) as test:
        said, _ = test.communicate(timeout=TIMEOUT)
    assert "it did not come up within 1 s; it came as far as: " in said.splitlines()[-1], said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_one_that_is_stopped_in_the_middle_leaves_nothing(box: Path, number: signal.Signals) -> None:
    with start(box, 600) as test:
        assert test.stdout is not None
        assert test.stdout.readline() == "power on 0.0\n"
        assert leftovers() != set()
        test.send_signal(number)
        test.wait(TIMEOUT)
    active = release.active_id(box / "images")
    assert active
    assert notes.test_of(box / "images", active) is None
