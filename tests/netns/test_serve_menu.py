"""The boot menu of the running box: a reload enables it, a PC gets it, and a locked entry needs its password."""

import signal
from base64 import b64encode
from collections.abc import Iterator

import pytest

from appliance.config import menu_password
from image.release import Release
from tests.fakes.dhcp_client import firmware
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import IPXE, ScriptedPc
from tests.netns.served import TIMEOUT, Box
from tests.netns.test_probe import probe_pc
from tests.room.processes import wait_until

MENU = f"""
[menu]
entries = ["boinc", "local", "rescue"]
timeout = 10
locked = ["rescue"]
password = "{menu_password.scrypt("s3cret")}"
"""


@pytest.fixture
def menu(box: Box) -> Iterator[None]:
    """A configuration with a menu, in force for one test."""
    before = box.configuration.read_text()
    for text in (before + MENU, before):
        since = box.mark()
        box.configuration.write_text(text)
        assert box.process
        box.process.signal(signal.SIGHUP)
        box.wait_for("configuration reloaded", since)
        if text != before:
            yield


def choose(pc: ScriptedPc, key: str, password: str | None = None) -> tuple[int, str]:
    """Ask for the script of an entry; status and text."""
    credentials = b64encode(f"admin:{password}".encode()).decode()
    header = "" if password is None else f"Authorization: Basic {credentials}\r\n"
    path = pc.path(f"menu/{key}.ipxe")
    answer, _ = pc.say_http(f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n".encode())
    return int(answer.split()[1]), answer.decode()


async def test_a_menu_and_its_lock(box: Box, plug: Plug, release: Release, menu: None) -> None:
    pc = plug()
    assert probe_pc(pc, box, "ipxe").verdict["outcome"] == "boots", "by its default"
    await pc.power_on(firmware(0, *IPXE))
    script = pc.get(pc.path("boot.ipxe")).decode()
    assert f"item --key 1 boinc 1 BOINC (image {release.id})" in script
    assert "init=" not in script
    assert "sanboot" in choose(pc, "local")[1]
    wait_until(lambda: box.boot(pc.mac)["entry"] == "local", TIMEOUT, "the box to know what was chosen")
    status, text = choose(pc, "rescue")
    assert (status, "WWW-Authenticate: Basic" in text, "init=" in text) == (401, True, False)
    statuses = [choose(pc, "rescue", "wrong")[0] for _ in range(5)]
    assert statuses == [403] * 5
    assert choose(pc, "rescue", "s3cret")[0] == 429
    another = plug()
    await another.power_on(firmware(0, *IPXE))
    status, text = choose(another, "rescue", "s3cret")
    assert (status, "init=/bin/bash" in text) == (200, True)


async def test_boot_next_without_a_menu(box: Box, plug: Plug) -> None:
    pc = plug()
    since = box.mark()
    box.verb("boot", "next", str(pc.mac), "local")
    box.wait_for("allowlist read", since)
    for expected in (True, False):
        await pc.power_on(firmware(0, *IPXE))
        assert ("sanboot" in pc.get(pc.path("boot.ipxe")).decode()) is expected
