"""The page of a real box under attack, and what becomes of boots meanwhile: nothing.

docs/security.md ("The page") promises what is attacked here; tests/unit/appliance/control attacks the parts.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance.config.file import load
from appliance.control.door import MOST_CONNECTIONS, MOST_PER_ADDRESS, WAITING
from appliance.doctor import page
from appliance.registry.server_lock import holder
from services.ethernet import MacAddress
from tests.netns.inside import inside
from tests.netns.page_visitor import PORT, Visitor
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.processes import wait_until
from tests.room.room import BOX, NETWORK, Room

PASSWORD = "correct horse"
FLOOD = 10_000
ADDRESSES = 400
"""From which the flood comes."""
MOST_MEMORY = 120 << 20
"""Bytes that the flood may cost the control process."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("page"), page=True) as room:
        install_release(room.data / "images")
        room.appliance("allow", "add", "52:54:00:76:00:*")
        room.set_page_password(PASSWORD)
        room.start_box()
        yield room


@pytest.fixture
def box(room: Room) -> Iterator[Box]:
    box = Box(room.box, room.configuration, room.data, room.logs / "serve.log")
    box.process = room.serve
    since = box.mark()
    yield box
    assert box.complaints(since) == []


@pytest.fixture
def friend(room: Room) -> Visitor:
    """On the management host, which may connect."""
    return Visitor(room.management)


@pytest.fixture
def stranger(room: Room) -> Visitor:
    """On another host of the same network, which may not."""
    return Visitor(room.other)


@pytest.fixture
def pc(room: Room, request: pytest.FixtureRequest) -> Iterator[ScriptedPc]:
    number = sum(map(ord, request.node.name)) % 250
    with ScriptedPc(room.network, MacAddress.parse(f"52:54:00:76:00:{number:02x}"), f"pagepc{number}") as pc:
        yield pc


def control(box: Box) -> int | None:
    """The process id of the control process."""
    return holder(box.data / "registry" / "registry.sqlite3", "control")


def answers(visitor: Visitor) -> bool:
    with contextlib.suppress(OSError):
        return visitor.ask("GET", "/login").status == 200
    return False


def await_page(box: Box, visitor: Visitor, before: int | None = None) -> None:
    """Wait until the page answers, by another process than `before`."""
    wait_until(lambda: control(box) not in (None, before) and answers(visitor), TIMEOUT, "the page to answer", 0.1)


def test_strangers_do_not_get_a_byte(friend: Visitor, stranger: Visitor) -> None:
    for sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)):
        assert stranger.hears(sent) == b""
    assert answers(friend)


def test_the_box_itself_may_connect(room: Room) -> None:
    assert answers(Visitor(room.box, "127.0.0.1"))
    assert answers(Visitor(room.box))


def test_the_page_is_tls_only_and_says_who_it_is(friend: Visitor, box: Box) -> None:
    assert b"password" not in friend.hears(b"GET /login HTTP/1.1\r\nHost: box\r\n\r\n")
    assert f"https://{BOX}:{PORT}/" in box.verb("control", "fingerprint").stdout
    status = box.status()
    assert status["page"] == {"pid": control(box), "addresses": [f"https://{BOX}:{PORT}/"], "rejected": None}
    assert f"page      https://{BOX}:{PORT}/" in box.verb("status").stdout
    with inside(box.host):
        said = [each.what for each in page.check(load(box.configuration))]
    assert said[0] == f"the page answers at https://{BOX}:{PORT}/"
    assert "10.77.0.4/32" in said[1]


def test_a_name_of_somebody_else_is_refused(friend: Visitor) -> None:
    assert friend.ask("GET", "/login", Host="evil.example").status == 421
    assert friend.ask("GET", "/login", Host=f"{BOX}:{PORT}").status == 200


def test_login_forms_and_logout(friend: Visitor) -> None:
    assert friend.ask("GET", "/allowlist").status == 303
    assert friend.log_in(PASSWORD).status == 303
    shown = friend.ask("GET", "/allowlist")
    assert shown.status == 200
    # Another site's page has the browser send the cookie, and knows no secret.
    assert friend.ask("POST", "/logout", {}).status == 403
    assert friend.ask("POST", "/logout", {}, Origin="https://evil.example").status == 403
    assert friend.ask("GET", "/allowlist").status == 200
    secret = shown.text.partition('name="csrf" value="')[2].partition('"')[0]
    assert secret
    forged = friend.ask("POST", "/logout", {"csrf": secret}, Origin="https://evil.example")
    assert forged.status == 403
    assert friend.ask("POST", "/logout", {"csrf": secret}).status == 303
    assert friend.ask("GET", "/allowlist").status == 303


def test_another_password_ends_all_sessions(friend: Visitor, box: Box, room: Room) -> None:
    assert friend.log_in(PASSWORD).status == 303
    assert friend.ask("GET", "/allowlist").status == 200
    room.set_page_password(PASSWORD)
    assert friend.ask("GET", "/allowlist").status == 303


def test_tokens_of_the_api(friend: Visitor, box: Box) -> None:
    secret = box.verb("control", "token", "add", "test", "--read-only").stdout.strip()
    assert friend.ask("GET", "/api/v1/pcs", Authorization=f"Bearer {secret}").status == 200
    assert friend.ask("GET", "/api/v1/pcs", Authorization="Bearer x").status == 401
    box.verb("control", "token", "remove", "test")
    assert friend.ask("GET", "/api/v1/pcs", Authorization=f"Bearer {secret}").status == 401


async def test_guessing_passwords_is_stopped_and_costs_no_boot(room: Room, box: Box, pc: ScriptedPc) -> None:
    guesser = Visitor(room.site)
    box.configuration.write_text(_with_networks(box, f'"{NETWORK}"'))
    try:
        wait_until(lambda: answers(guesser), TIMEOUT, "the new networks to be in force", 0.1)
        statuses = [guesser.log_in(f"guess {number}").status for number in range(8)]
        assert statuses == [403] * 5 + [429] * 3
        assert guesser.log_in(PASSWORD).status == 429
        # Whoever is somewhere else gets in.
        assert Visitor(room.management).log_in(PASSWORD).status == 303
        assert (await pc.run_ipxe()).token
    finally:
        box.configuration.write_text(_with_networks(box, ""))
    wait_until(lambda: not answers(guesser), TIMEOUT, "the old networks to be in force", 0.1)


def _with_networks(box: Box, networks: str) -> str:
    """The configuration, in which these may connect; none: as by default."""
    lines = [line for line in box.configuration.read_text().splitlines() if not line.endswith("# of the page")]
    if networks:
        lines.insert(lines.index("[control]") + 1, f"networks = [{networks}] # of the page")
    return "\n".join(lines) + "\n"


def test_a_wrong_file_keeps_the_old_configuration_and_says_so(friend: Visitor, stranger: Visitor, box: Box) -> None:
    box.forgiven = ["the configuration was not reloaded; the old one stays"]
    before, since, pid = box.configuration.read_text(), box.mark(), control(box)
    box.configuration.write_text(before.replace("[control]", "[control]\nlisten = 7"))
    try:
        said = box.wait_for("the configuration was not reloaded; the old one stays", since)
        assert "[control] listen" in said["error"]
        assert answers(friend)
        assert stranger.hears(b"x") == b""
    finally:
        since = box.mark()
        box.configuration.write_text(before)
    box.wait_for("configuration reloaded", since)
    assert control(box) == pid


async def test_ten_thousand_connections_end_as_refused_ones(
    room: Room, box: Box, friend: Visitor, pc: ScriptedPc
) -> None:
    """From many addresses that may connect: the box keeps a bounded number, its memory stays, and PCs boot."""
    crowd = "10.76.0.0/16"
    room.management.ip("route", "add", "local", crowd, "dev", "lo")
    room.box.ip("route", "add", crowd, "via", "10.77.0.4")
    box.configuration.write_text(_with_networks(box, f'"{crowd}", "10.77.0.4/32"'))
    pid = control(box)
    assert pid is not None
    held: list[socket.socket] = []
    before = psutil.Process(pid).memory_info().rss
    try:
        wait_until(lambda: _joins(room, "10.76.255.1"), TIMEOUT, "the new networks to be in force", 0.1)
        for number in range(FLOOD):
            held.append(_join(room, f"10.76.{number % ADDRESSES // 200}.{1 + number % 200}", wait=False))
            if number % 2500 == 0:
                assert (await pc.run_ipxe()).token
        # One more than it was told: listen(2) of Linux.
        most = MOST_CONNECTIONS + WAITING + 1
        wait_until(lambda: _established(room) <= most, TIMEOUT, "the others to be kept out", 0.1)
        assert _established(room) > MOST_PER_ADDRESS
        assert psutil.Process(pid).memory_info().rss - before < MOST_MEMORY
        assert control(box) == pid
        assert (await pc.run_ipxe()).token
    finally:
        for tcp in held:
            tcp.close()
        box.configuration.write_text(_with_networks(box, ""))
    await_page(box, friend)
    assert control(box) == pid


def _join(room: Room, address: str, *, wait: bool) -> socket.socket:
    with inside(room.management):
        tcp = socket.socket()
    tcp.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    tcp.bind((address, 0))
    tcp.settimeout(5 if wait else 0)
    with contextlib.suppress(BlockingIOError):
        tcp.connect((str(BOX), PORT))
    return tcp


def _joins(room: Room, address: str) -> bool:
    """Whether a connection from this address stays open for a moment."""
    with contextlib.suppress(OSError), _join(room, address, wait=True) as tcp:
        tcp.settimeout(0.3)
        try:
            return tcp.recv(1) != b""
        except TimeoutError:
            return True
    return False


def _established(room: Room) -> int:
    lines = room.box.run(["ss", "-Htn", "state", "established", f"( sport = :{PORT} )"]).stdout.splitlines()
    return len(lines)


async def test_killing_control_changes_no_boot_and_it_comes_back(box: Box, friend: Visitor, pc: ScriptedPc) -> None:
    box.forgiven = ["the control process has ended; it is started again"]
    script = await pc.run_ipxe()
    before, serve = control(box), box.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert pc.load_image(script)
    assert (await pc.run_ipxe()).token
    await_page(box, friend, before)
    assert (box.running, box.pid) == (True, serve)


async def test_a_control_process_that_hangs_changes_no_boot(box: Box, friend: Visitor, pc: ScriptedPc) -> None:
    pid = control(box)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        script = await pc.run_ipxe()
        assert pc.load_image(script)
        assert pc.report(script.token, "computing") == 204
        assert time.monotonic() - begun < TIMEOUT / 2
        with inside(box.host):
            (found,) = page.check(load(box.configuration))
        assert "does not answer" in found.what
    finally:
        os.kill(pid, signal.SIGCONT)
    await_page(box, friend)


def test_killing_serve_ends_control_too_and_both_come_back(box: Box, room: Room, friend: Visitor) -> None:
    pid = control(box)
    assert pid is not None
    assert box.process is not None
    box.process.signal(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), TIMEOUT, "the control process to end", 0.05)
    with pytest.raises(OSError):
        friend.connect()
    box.start()
    room.serve = box.process
    await_page(box, friend, pid)
