"""The kernel's command line and what its token opens: the BOINC files, for this boot, this PC and a short time."""

import io
import re
import tarfile

from appliance.boot.policy import reporting_token
from image.recipe import BOINC_GID, BOINC_UID
from image.release import Release
from services.decision import Reason
from tests.fakes.boinc_project import ACCOUNT_KEY
from tests.fakes.dhcp_client import firmware
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import BootScript, ScriptedPc
from tests.netns.served import Box
from tests.room.processes import wait_until
from tests.room.room import BOX, MANAGEMENT, PROJECT, Room


def unpack(archive: bytes) -> dict[str, str]:
    """The files of a tar; each must be readable by its owner alone."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
        assert {(m.isreg(), m.mode, m.uid, m.gid) for m in members} == {(True, 0o600, BOINC_UID, BOINC_GID)}
        contents = {member.name: tar.extractfile(member) for member in members}
        return {name: content.read().decode() for name, content in contents.items() if content}


def password(box: Box, pc: ScriptedPc) -> str:
    """The GUI RPC password of a PC, as `clients show` prints it."""
    shown = re.search(r"^GUI RPC password +(\S+)$", box.verb("clients", "show", str(pc.mac)).stdout, re.MULTILINE)
    assert shown
    return shown[1]


def assert_refused(answer: tuple[int, bytes]) -> None:
    """An allowed PC that may not have the secrets is told so, without revealing any."""
    status, text = answer
    assert status == 403
    assert len(text) < 100
    assert ACCOUNT_KEY.encode() not in text


def assert_reset(pc: ScriptedPc, path: str) -> None:
    """A request that gets not one byte of answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: {pc.box}\r\n\r\n".encode()
    assert pc.say_http(request) == (b"", "reset")


async def test_the_command_line_says_all_that_the_live_system_needs(
    box: Box, room: Room, plug: Plug, release: Release
) -> None:
    pc = plug()
    script = await pc.run_ipxe()
    assert len(re.findall(rf"\b{re.escape(str(BOX))}\b", script.text)) == 1, "the server's address stands there once"
    assert script.argument("nfsroot") == f"{BOX}:{release.path}"
    assert script.argument("BOOTIF") == "01-" + str(pc.mac).replace(":", "-")
    assert script.argument("netboot_appliance.state") == str(room.state(pc.mac))
    assert script.argument("netboot_appliance.port") == "80"
    assert len(script.token) >= 20
    assert "console=ttyS0,115200" in script.words
    assert "eth0" not in script.text
    again = await pc.run_ipxe()
    assert again.token != script.token, "each power-on has a token of its own"


async def test_the_token_opens_the_files_of_this_pc(box: Box, plug: Plug) -> None:
    pc, other = plug(), plug()
    since = box.mark()
    script, others_script = await pc.run_ipxe(), await other.run_ipxe()
    status, archive = pc.secrets(script.token)
    assert status == 200
    files = unpack(archive)
    account = files[f"account_{PROJECT}_fake.xml"]
    assert f"<authenticator>{ACCOUNT_KEY}</authenticator>" in account
    assert f"<master_url>http://{PROJECT}/fake/</master_url>" in account
    assert files["gui_rpc_auth.cfg"].strip() == password(box, pc)
    assert files["remote_hosts.cfg"].split() == [str(MANAGEMENT)]
    others_password = unpack(other.secrets(others_script.token)[1])["gui_rpc_auth.cfg"].strip()
    assert others_password == password(box, other) != password(box, pc), "each PC has a password of its own"
    log = box.log.read_bytes()[since:].decode()
    for secret in (script.token, others_script.token, ACCOUNT_KEY, others_password, password(box, pc)):
        assert secret not in log


async def test_a_wrong_token_opens_nothing(box: Box, plug: Plug) -> None:
    pc, other = plug(), plug()
    script, others_script = await pc.run_ipxe(), await other.run_ipxe()
    wrong = script.token[:-1] + ("A" if script.token[-1] != "A" else "B")
    for token in (wrong, script.token[:-1], script.token + "A", "A", others_script.token):
        assert_refused(pc.secrets(token))
        assert pc.report(token, "computing") == 403
    assert pc.secrets(script.token)[0] == 200, "the right one still does"
    assert pc.report(script.token, "root-mounted") == 204
    assert box.await_stage(pc.mac, "root mounted")["stage"] == "root mounted", "no wrong report was taken"


async def test_a_token_is_worth_nothing_at_another_pcs_address(box: Box, plug: Plug) -> None:
    pc, other = plug(), plug()
    script = await pc.run_ipxe()
    await other.run_ipxe()
    assert_reset(other, pc.path(f"{script.token}/boinc.tar"))
    assert_reset(other, pc.path("boot.ipxe"))
    assert_refused(other.secrets(script.token))
    box.await_ignored({(str(pc.mac), "http", Reason.MAC_MISMATCH.value): 2})
    assert pc.secrets(script.token)[0] == 200


async def test_once_userspace_has_reported_the_token_only_reports(box: Box, plug: Plug) -> None:
    pc = plug()
    script = await pc.run_ipxe()
    assert pc.report(script.token, "root-mounted", uptime="4.2") == 204
    assert pc.secrets(script.token)[0] == 200
    assert pc.report(script.token, "reported", uptime="9.5") == 204
    assert_refused(pc.secrets(script.token))
    assert pc.report(script.token, "attached", hostid="17") == 204
    assert pc.report(script.token, "computing") == 204
    assert box.await_stage(pc.mac, "computing")["host_id"] == "17"
    assert_refused(pc.secrets(script.token))


async def test_the_token_of_the_command_line_is_worthless_once_it_is_exchanged(box: Box, plug: Plug) -> None:
    pc = plug()
    since = box.mark()
    old = (await pc.run_ipxe()).token
    status, answer = pc.http(pc.path(f"{old}/exchange"), {})
    new = answer.decode()
    assert status == 200
    assert len(new) >= 20
    assert new != old
    assert pc.http(pc.path(f"{old}/exchange"), {}) == (200, answer), "the first answer may have been lost"
    assert_refused(pc.secrets(old))
    assert pc.report(old, "root-mounted") == 403
    assert pc.secrets(new)[0] == 200
    assert_refused(pc.http(pc.path(f"{old}/exchange"), {}))
    assert pc.report(new, "reported") == 204
    log = box.log.read_bytes()[since:].decode()
    assert old not in log
    assert new not in log


def heartbeat(pc: ScriptedPc, token: str, placed: str) -> str:
    """The tag that the reply to a heartbeat names, of the files that this PC should have; "" if it came too soon."""
    body = f"uptime=61\nfiles={placed}\n\n"
    head = f"POST {pc.path(f'{token}/heartbeat')} HTTP/1.1\r\nHost: {pc.box}\r\nConnection: close\r\n"
    answer, _ = pc.say_http(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    if answer.startswith(b"HTTP/1.1 429"):
        return ""
    assert answer.startswith(b"HTTP/1.1 200")
    found = re.search(r"^files=([0-9a-f]{16})$", answer.decode(), re.MULTILINE)
    assert found
    return found[1]


async def test_a_running_pc_gets_new_files_with_the_token_that_its_root_has_and_with_no_other(
    box: Box, plug: Plug
) -> None:
    pc = plug()
    since = box.mark()
    old = (await pc.run_ipxe()).token
    new = pc.http(pc.path(f"{old}/exchange"), {})[1].decode()
    placed = unpack(pc.secrets(new)[1])["netboot-files-tag"].strip()
    assert pc.report(new, "reported") == 204
    assert_refused(pc.secrets(new))
    assert heartbeat(pc, new, "0123456789abcdef") == placed, "it has other files than it should"
    assert_refused(pc.secrets(old))
    assert_refused(pc.secrets(reporting_token(new)))
    status, archive = pc.secrets(new)
    assert status == 200
    assert ACCOUNT_KEY in unpack(archive)[f"account_{PROJECT}_fake.xml"]
    url = pc.path("boot.ipxe")
    fetched = BootScript.parse(pc.get(url).decode(), f"http://{pc.box}{url}").token
    wait_until(lambda: bool(heartbeat(pc, fetched, "0123456789abcdef")), 30, "a second heartbeat", 0.5)
    assert_refused(pc.secrets(fetched))
    exchanged = pc.http(pc.path(f"{fetched}/exchange"), {})[1].decode()
    assert_refused(pc.secrets(exchanged))
    assert_refused(pc.secrets(new))
    log = box.log.read_bytes()[since:].decode()
    assert not [secret for secret in (old, new, fetched, exchanged, ACCOUNT_KEY) if secret in log]


async def test_a_program_of_a_running_pc_gets_no_secrets_with_a_script_of_its_own(box: Box, plug: Plug) -> None:
    pc = plug()
    token = (await pc.run_ipxe()).token
    assert pc.report(token, "reported") == 204
    url = pc.path("boot.ipxe")
    fetched = BootScript.parse(pc.get(url).decode(), f"http://{pc.box}{url}").token
    assert_refused(pc.secrets(fetched))
    assert_refused(pc.secrets(token))
    await pc.power_on(firmware(0))
    after = (await pc.run_ipxe()).token
    assert pc.secrets(after)[0] == 200, "a real power-on"


async def test_the_next_power_on_makes_the_old_token_worthless(box: Box, plug: Plug) -> None:
    pc = plug()
    before = await pc.run_ipxe()
    after = await pc.run_ipxe()
    assert_refused(pc.secrets(before.token))
    assert pc.report(before.token, "failed", reason="an old one") == 403
    assert pc.secrets(after.token)[0] == 200


async def test_a_pc_that_has_not_booted_gets_no_secrets(box: Box, plug: Plug) -> None:
    pc = plug()
    pc.use("10.77.0.90")
    assert_refused(pc.secrets("A"))
    assert box.boot(pc.mac) is None


async def test_the_script_request_opens_a_boot_whose_dhcp_was_not_seen(box: Box, plug: Plug) -> None:
    pc = plug()
    pc.use("10.77.0.93")
    script = BootScript.parse(pc.get(pc.path("boot.ipxe")).decode(), "http://10.77.0.1" + pc.path("boot.ipxe"))
    assert pc.secrets(script.token)[0] == 200
    assert [each["stage"] for each in box.await_stage(pc.mac, "script")["stages"]] == ["script"]
