"""SIGHUP, SIGTERM and SIGKILL while PCs boot."""

import io
import signal
import tarfile
from collections.abc import Iterator

import pytest

from image.release import Release
from tests.fakes.boinc_project import ACCOUNT_KEY
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import Reader, ack, oack, rrq
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import BROADCAST, LOADERS, ScriptedPc
from tests.netns.served import TIMEOUT, Box
from tests.room.processes import RoomError, wait_until

NEW_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def configuration(box: Box) -> Iterator[str]:
    """The text of the configuration, which is restored after the test."""
    before = box.configuration.read_text()
    yield before
    box.configuration.write_text(before)
    if box.running:
        reload(box, "configuration reloaded")


def reload(box: Box, event: str) -> dict[str, str]:
    """Send SIGHUP, and return the log line with the result."""
    since = box.mark()
    assert box.process
    box.process.signal(signal.SIGHUP)
    return box.wait_for(event, since)


def account_of(pc: ScriptedPc, token: str) -> str:
    """The account file that the token opens."""
    status, archive = pc.secrets(token)
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (name,) = (name for name in tar.getnames() if name.startswith("account_"))
        file = tar.extractfile(name)
        assert file
        return file.read().decode()


async def test_a_changed_project_key_reaches_the_next_boot(box: Box, plug: Plug, configuration: str) -> None:
    pc, pid = plug(), box.pid
    script = await pc.run_ipxe()
    assert ACCOUNT_KEY in account_of(pc, script.token)
    box.configuration.write_text(configuration.replace(ACCOUNT_KEY, NEW_KEY))
    assert reload(box, "configuration reloaded")["file"] == str(box.configuration)
    script = await pc.run_ipxe()
    account = account_of(pc, script.token)
    assert NEW_KEY in account
    assert ACCOUNT_KEY not in account
    assert (box.running, box.pid) == (True, pid)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ("[project]\nulr = 1\n", "unknown key 'ulr' in [project]"),
        ("[project\n", "not valid TOML"),
        (None, "there is no configuration file"),
    ],
    ids=["unknown key", "not TOML", "gone"],
)
async def test_a_broken_file_changes_nothing(
    box: Box, plug: Plug, configuration: str, broken: str | None, complaint: str
) -> None:
    box.forgiven = ["the configuration was not reloaded; the old one stays"]
    if broken is None:
        box.configuration.unlink()
    else:
        box.configuration.write_text(configuration.partition("[project]")[0] + broken)
    line = reload(box, box.forgiven[0])
    assert complaint in line["error"]
    assert line["hint"]
    pc = plug()
    script = await pc.run_ipxe()
    assert ACCOUNT_KEY in account_of(pc, script.token)


async def test_sigterm_lets_a_transfer_finish_and_takes_no_new_one(box: Box, plug: Plug) -> None:
    slow, late = plug(), plug()
    await slow.power_on(firmware(7))
    await late.power_on(firmware(7))
    since = box.mark()
    content = (LOADERS / "snponly.efi").read_bytes()
    process = box.process
    assert process
    with slow.tftp() as tftp:
        assert oack(await tftp.ask(rrq(f"{slow.mac.bare}/snponly.efi", blksize=1468)))
        reader = Reader(1468)
        tftp.send(ack(0))
        for _ in range(5):
            if answer := reader.answer(await tftp.receive()):
                tftp.send(answer)
        process.signal(signal.SIGTERM)
        box.wait_for("draining", since)
        wait_until(lambda: refused(late), TIMEOUT, "the HTTP port to be closed")
        late.heard_from_box()
        with late.tftp() as another, late.nic() as nic:
            another.send(rrq(f"{late.mac.bare}/snponly.efi"))
            nic.say(message(DISCOVER, nic.mac, firmware(7), xid=1, flags=BROADCAST))
            await nic.hear(late.site)
        assert process.running
        while not reader.done:
            if answer := reader.answer(await tftp.receive()):
                tftp.send(answer)
    assert reader.content == content
    wait_until(lambda: not process.running, TIMEOUT, "serve to end")
    assert late.heard_from_box() == []
    with pytest.raises(RoomError, match="ended with exit code 0"):
        process.require()
    assert box.said("served", since, mac=str(slow.mac), path="snponly.efi")
    assert box.lines(since)[-1]["event"] == "stopped"
    assert box.host.run(["ss", "-Hlnut", "sport", "=", ":69"]).stdout == ""


def refused(pc: ScriptedPc) -> bool:
    """Whether the box accepts no HTTP connection."""
    try:
        pc.connect().close()
    except ConnectionRefusedError:
        return True
    return False


async def test_after_a_kill_a_boot_continues_where_it_was(box: Box, plug: Plug, release: Release) -> None:
    pc = plug()
    script = await pc.run_ipxe()
    assert pc.get(script.kernel)
    box.await_stage(pc.mac, "kernel")
    box.verb("allow", "add", "52:54:00:88:00:01")
    assert box.process
    box.process.kill()
    with pytest.raises(ConnectionRefusedError):
        pc.http(script.initrd)
    box.start()
    assert box.stages(pc.mac)[-1] == "kernel"
    assert pc.get(script.initrd) == (release.path / "initrd.img").read_bytes()
    assert ACCOUNT_KEY in account_of(pc, script.token)
    box.await_stage(pc.mac, "initrd")
    assert pc.report(script.token, "root-mounted") == 204
    stages = [reached["stage"] for reached in box.await_stage(pc.mac, "root mounted")["stages"]]
    assert stages == ["discovered", "offered", "script", "kernel", "initrd", "root mounted"]
    # Its mounts survive as well.
    box.await_exports({pc.mac: {pc.address}})
    assert box.verb("allow", "check", "52:54:00:88:00:01").returncode == 0, "what was allowed before stays"
    box.verb("allow", "remove", "52:54:00:88:00:01")
