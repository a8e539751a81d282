"""A PC that may not boot gets not one byte, whatever it claims to be; and nonsense harms nobody."""

import random

from image.release import Release
from services.decision import Reason
from tests.fakes.dhcp_client import DISCOVER, REQUEST, firmware, message
from tests.fakes.tftp_peer import rrq
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import BROADCAST, IPXE, ScriptedPc
from tests.netns.served import Box
from tests.room.room import Room

NOT_ALLOWED = Reason.NOT_ALLOWED.value
MISMATCH = Reason.MAC_MISMATCH.value


def get(path: str) -> bytes:
    """A request as iPXE writes it."""
    return f"GET {path} HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: iPXE\r\nHost: 10.77.0.1\r\n\r\n".encode()


def ask_all(pc: ScriptedPc, claim: str, release: Release) -> int:
    """Ask for everything, claiming the MAC address `claim` (`""`: none); returns the number of HTTP requests."""
    folder = f"{claim}/" if claim else ""
    with pc.tftp() as tftp:
        for name in ("undionly.kpxe", "snponly.efi", "no-such-file", "../registry/registry.sqlite3"):
            tftp.send(rrq(folder + name, tsize=0))
        tftp.send(b"\0\2" + f"{folder}undionly.kpxe".encode() + b"\0octet\0")
    files = ["boot.ipxe", f"image/{release.id}/vmlinuz", "AAAA/boinc.tar", "no-such-file"]
    paths = [f"/boot/{folder}{file}" for file in files]
    paths.append(f"http://{pc.box}{paths[0]}")
    for path in [*paths, f"/boot/{claim.upper()}/boot.ipxe"] if claim else paths:
        assert pc.say_http(get(path)) == (b"", "reset")
    report = get(f"/boot/{folder}AAAA/report").replace(b"GET", b"POST").removesuffix(b"\r\n")
    report += b"Content-Length: 15\r\nExpect: 100-continue\r\n\r\nstage=computing"
    assert pc.say_http(report) == (b"", "reset")
    return len(paths) + 2 if claim else len(paths) + 1


async def test_a_stranger_gets_its_lease_and_nothing_else(box: Box, room: Room, plug: Plug, release: Release) -> None:
    stranger = plug(stranger=True)
    for options in (firmware(0), firmware(7), firmware(0, *IPXE)):
        await stranger.power_on(options, alone=True)
        assert str(room.leased(stranger.mac)) == stranger.address
    for port in (68, 4011):
        with stranger.nic(port) as nic:
            nic.say(message(REQUEST, nic.mac, firmware(7), ciaddr=stranger.address), stranger.box, 4011)
    asked = ask_all(stranger, stranger.mac.bare, release)
    unnamed = ask_all(stranger, "", release)
    name = str(stranger.mac)
    box.await_ignored(
        {
            (name, "dhcp", NOT_ALLOWED): 3 + 2,
            (name, "tftp", NOT_ALLOWED): 5,
            (name, "http", NOT_ALLOWED): asked,
            # A peer without a claim is named by its address.
            (stranger.address, "tftp", NOT_ALLOWED): 5,
            (stranger.address, "http", NOT_ALLOWED): unnamed,
        }
    )
    assert stranger.heard_from_box() == []
    assert box.boot(name) is None
    assert name not in box.verb("clients", "list").stdout


async def test_a_stranger_that_claims_to_be_another_gets_nothing(box: Box, plug: Plug, release: Release) -> None:
    pc, stranger = plug(), plug(stranger=True)
    script = await pc.run_ipxe()
    await stranger.power_on([], alone=True)
    asked = ask_all(stranger, pc.mac.bare, release)
    assert stranger.say_http(get(pc.path(f"{script.token}/boinc.tar"))) == (b"", "reset")
    box.await_ignored({(str(pc.mac), "tftp", MISMATCH): 5, (str(pc.mac), "http", MISMATCH): asked + 1})
    assert stranger.heard_from_box() == []


async def test_a_forged_dhcp_request_wins_an_offer_and_no_file(box: Box, plug: Plug, release: Release) -> None:
    """DHCP knows only what the packet says (docs/adr), but an offer reveals no secret. File requests ask the kernel."""
    pc, stranger = plug(), plug(stranger=True)
    await stranger.power_on([], alone=True)
    with stranger.nic() as nic:
        nic.mac = bytes(pc.mac)
        offers = await stranger.discover(nic, firmware(0))
    assert offers[stranger.box].file == f"{pc.mac.bare}/undionly.kpxe"
    stranger.heard_from_box()
    asked = ask_all(stranger, pc.mac.bare, release)
    box.await_ignored({(str(pc.mac), "tftp", MISMATCH): 5, (str(pc.mac), "http", MISMATCH): asked})
    assert stranger.heard_from_box() == []


async def test_what_is_ignored_is_logged_once_and_counted(box: Box, plug: Plug) -> None:
    # Earlier floods have used up what may be logged.
    assert box.process
    box.process.stop()
    box.start()
    pc, stranger = plug(), plug(stranger=True)
    since = box.mark()
    name = str(stranger.mac)
    await stranger.power_on([], alone=True)
    # Another service is another line. After these the box's kernel knows the stranger's MAC address.
    for _ in range(3):
        assert stranger.say_http(get(stranger.path("boot.ipxe"))) == (b"", "reset")
    with stranger.nic() as nic, stranger.tftp() as tftp:
        for number in range(20):
            nic.say(message(DISCOVER, nic.mac, firmware(0), secs=number, flags=BROADCAST))
            tftp.send(rrq(f"{pc.mac.bare}/undionly.kpxe"))
    counts = {(name, "dhcp", NOT_ALLOWED): 20, (name, "http", NOT_ALLOWED): 3}
    box.await_ignored(counts)
    box.await_ignored({(str(pc.mac), "tftp", MISMATCH): 20})
    lines = [(line["client"], line["service"], line["reason"]) for line in box.said("ignored", since)]
    assert sorted(lines) == sorted([*counts, (str(pc.mac), "tftp", MISMATCH)])
    shown = box.verb("status").stdout
    (row,) = (line for line in shown.splitlines() if line.startswith(name) and " dhcp " in line)
    assert row.split()[1:4] == [stranger.address, f"({name})", "dhcp"], "the client, who sent it, and the service"
    assert NOT_ALLOWED in row
    assert " 20 " in row
    assert {r["count"] for r in box.status()["ignored"] if r["client"] == str(pc.mac)} == {20}


def garbage(chance: random.Random) -> list[bytes]:
    """Datagrams of pure noise, and some that are almost valid."""
    nearly = [
        message(DISCOVER, chance.randbytes(6), firmware(0)),
        rrq("undionly.kpxe", blksize=1468, windowsize=64),
        get("/boot/525400770001/boot.ipxe"),
    ]
    random_bytes = [chance.randbytes(chance.choice([0, 1, 4, 60, 300, 1400])) for _ in range(40)]
    return random_bytes + [
        bytes(byte ^ (chance.random() < 0.02) * chance.randrange(256) for byte in packet[: chance.randrange(400)])
        for packet in nearly * 30
    ]


HOSTILE_HTTP = [
    b"\0" * 5000,
    b"GET " + b"A" * 100_000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET http://10.77.0.1:80:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nffffffffffffffffff\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


async def test_hostile_bytes_harm_nobody(box: Box, plug: Plug, release: Release) -> None:
    pc, stranger, honest = plug(), plug(stranger=True), plug()
    pid = box.pid
    await pc.power_on(firmware(0))
    await stranger.power_on([], alone=True)
    stranger.heard_from_box()
    for attacker in (pc, stranger):
        chance = random.Random(4)
        for port in (67, 4011, 69):
            with attacker.nic() as nic:
                for datagram in garbage(chance):
                    nic.say(datagram, attacker.box, port)
                    # As if it came from the allowed PC itself.
                    nic.say(datagram[:28] + bytes(pc.mac) + datagram[34:], attacker.box, port)
        for request in HOSTILE_HTTP + [chance.randbytes(3000) for _ in range(10)]:
            received, _ = attacker.say_http(request + b"\r\n\r\n")
            assert received[:13] in (b"", b"HTTP/1.1 404 ", b"HTTP/1.1 400 ", b"HTTP/1.1 405 ")
            assert attacker is pc or received == b"", "a stranger hears nothing"
    # Both end with a valid request: once it is answered, the box has handled everything before.
    script = await honest.run_ipxe()
    assert await honest.load(f"{honest.mac.bare}/snponly.efi", 1468, 4)
    assert honest.get(script.kernel) == (release.path / "vmlinuz").read_bytes()
    assert honest.secrets(script.token)[0] == 200
    heard = [frame for frame in stranger.heard_from_box() if frame.source_port in (69, 80)]
    assert heard == []
    assert (box.running, box.pid) == (True, pid)
