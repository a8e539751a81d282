"""What PCs are told at boot, by the real server: an edit counts within a second, and nobody else gets a byte."""

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.decision import Reason
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import BootScript, ScriptedPc
from tests.netns.served import Box
from tests.netns.test_serve_life import configuration, reload
from tests.netns.test_serve_secrets import assert_refused, assert_reset
from tests.room.processes import wait_until

__all__ = ["configuration"]


@pytest.fixture
def live(box: Box, configuration: str, tmp_path: Path) -> Path:
    """The directory of the overlays; that of all PCs has a file."""
    put(tmp_path / "all/files/etc/motd", "before")
    box.configuration.write_text(f'{configuration}\n[live]\ndirectory = "{tmp_path}"\nhost_name = "pc-{{mac}}"\n')
    since = box.mark()
    reload(box, "configuration reloaded")
    box.wait_for("overlay", since, name="all")
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def files(pc: ScriptedPc, script: BootScript) -> dict[str, str]:
    """What the initramfs gets."""
    found: dict[str, str] = {}
    for line in pc.get(pc.path(f"{script.token}/live")).decode().splitlines():
        digest, size = line.split()
        archive = pc.get(pc.path(f"{script.token}/live/{digest}.tar"))
        assert (hashlib.sha256(archive).hexdigest(), len(archive)) == (digest, int(size))
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            contents = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.isreg()}
            found |= {name: content.read().decode() for name, content in contents.items() if content}
    return found


def seconds_until(done: Callable[[], bool]) -> float:
    begun = time.monotonic()
    wait_until(done, 60, "the edit to count", 0.02)
    return time.monotonic() - begun


async def test_an_edit_counts_within_a_second_and_one_that_cannot_be_used_changes_nothing(
    box: Box, plug: Plug, live: Path
) -> None:
    pc = plug()
    script = await pc.run_ipxe()
    assert script.argument("netboot_appliance.name") == f"pc-{pc.mac.bare}"
    assert script.argument("netboot_appliance.live") == "1"
    assert files(pc, script) == {"etc/motd": "before"}
    put(live / "all/files/etc/motd", "after")
    took = seconds_until(lambda: files(pc, script) == {"etc/motd": "after"})
    # Twice as long as promised: the machine is busy with other tests.
    assert took < 2
    box.forgiven = ["an overlay cannot be used"]
    since = box.mark()
    put(live / "all/files/etc/late", "late")
    os.mkfifo(live / "all/files/pipe")
    said = box.wait_for("an overlay cannot be used; PCs get it as it was", since)
    assert said["error"] == f"{live}/all/files/pipe: is a FIFO"
    assert files(pc, script) == {"etc/motd": "after"}
    (live / "all/files/pipe").unlink()
    seconds_until(lambda: files(pc, script) == {"etc/motd": "after", "etc/late": "late"})


async def test_nobody_else_gets_a_byte(box: Box, plug: Plug, live: Path) -> None:
    pc, other, stranger = plug(), plug(), plug(stranger=True)
    script = await pc.run_ipxe()
    await other.run_ipxe()
    stranger.use("10.77.0.250")
    listing = pc.path(f"{script.token}/live")
    digest = pc.get(listing).decode().split()[0]
    for path in (listing, pc.path(f"{script.token}/live/{digest}.tar")):
        assert_reset(other, path)
        assert_reset(stranger, path)
        assert_reset(stranger, path.replace(pc.mac.bare, stranger.mac.bare))
    assert_refused(other.http(other.path(f"{script.token}/live")))
    assert_refused(other.http(other.path(f"{script.token}/live/{digest}.tar")))
    assert pc.http(pc.path(f"{script.token}/live/{'0' * 64}.tar"))[0] == 404
    assert pc.report(script.token, "reported") == 204
    assert_refused(pc.http(listing))
    assert_refused(pc.http(pc.path(f"{script.token}/live/{digest}.tar")))
    box.await_ignored({(str(stranger.mac), "http", Reason.NOT_ALLOWED.value): 2})
