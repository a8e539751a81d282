"""Packets that crash other servers, one by one, and disordered conversations. After each an honest PC is served."""

import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address

import pytest

from services.decision import Reason
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.fakes.tftp_peer import Reader, ack, data, rrq
from tests.netns.attacked_box import ATTACKER, GATEWAY, LOADER, TIMEOUT, AttackedBox, FarPc, Forger
from tests.netns.inside import inside
from tests.netns.malformed_input import DHCP, HTTP, LEAVE, MINE, PXE, TFTP
from tests.netns.scripted_pc import BROADCAST
from tests.room.processes import wait_until
from tests.room.room import BOX

MEMORY = 32 << 20
VICTIM = IPv4Address("10.99.0.1")
"""In none of the served networks."""


@pytest.fixture
def honest(attacked: AttackedBox) -> Iterator[FarPc]:
    """A PC that is served as usual after each of these."""
    with attacked.unharmed(MEMORY):
        yield attacked.pc(2)


def is_served(pc: FarPc) -> None:
    """Ask each of the four ports once, and check the answers."""
    assert pc.discover(firmware(7)).file == pc.ask_boot_server(firmware(7)).file == f"{pc.mac.bare}/{LOADER.name}"
    assert pc.load(f"{pc.mac.bare}/{LOADER.name}", windowsize=16) == LOADER.read_bytes()
    assert pc.get(f"/boot/{pc.mac.bare}/boot.ipxe").startswith(b"#!ipxe\n")


def senders(box: AttackedBox, stack: ExitStack) -> list[socket.socket]:
    """Sockets of a PC that may boot, and of a stranger."""
    with inside(box.attacker):
        stranger = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    return [stack.enter_context(box.pc(1).udp()), stranger]


@pytest.mark.parametrize(
    ("port", "killer"),
    [
        pytest.param(port, killer, id=f"{port}-{number}")
        for port, killers in ((69, TFTP), (67, DHCP), (4011, DHCP))
        for number, killer in enumerate(killers)
    ],
)
def test_a_datagram_that_crashes_other_servers(attacked: AttackedBox, honest: FarPc, port: int, killer: bytes) -> None:
    with ExitStack() as stack:
        asking = senders(attacked, stack)
        for sender in asking:
            sender.sendto(killer, (str(BOX), port))
        is_served(honest)
        for sender in asking:
            sender.sendto(LEAVE, (str(BOX), 69))


@pytest.mark.parametrize("killer", HTTP, ids=range(len(HTTP)))
def test_a_request_that_crashes_other_servers(attacked: AttackedBox, honest: FarPc, killer: bytes) -> None:
    # Reset: the answer to something that is no request.
    with attacked.pc(1).connect() as connection, contextlib.suppress(OSError):
        connection.sendall(killer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    is_served(honest)


def test_datagrams_from_addresses_that_cannot_be_answered(attacked: AttackedBox, honest: FarPc) -> None:
    """Port 0; broadcast and null addresses, and the box's own, with which it would answer itself forever."""
    odd = ["255.255.255.255", "224.0.0.1", "127.0.0.1", "0.0.0.0", "10.77.0.255", "10.77.0.0", str(BOX)]
    with Forger(attacked.gateway) as forger:
        for source, source_port in [("10.80.0.1", 0), *((each, port) for each in odd for port in (67, 68, 69, 4011))]:
            forger.say(rrq(f"{MINE}/no-such-file"), source, source_port, 69)
            forger.say(ack(0), source, source_port, 69)
            for port in (67, 4011):
                forger.say(PXE, source, source_port, port)
                forger.say(message(REQUEST, bytes.fromhex(MINE), firmware(0)), source, source_port, port)
    is_served(honest)


class Disorder:
    """A client behind a bad network, which duplicates and reorders its packets. `came`: the DATA packets it got."""

    def __init__(self, pc: FarPc, request: bytes) -> None:
        self.udp = pc.udp()
        self.udp.settimeout(TIMEOUT)
        self.box = (pc.box, 69)
        self.came = 0
        self.say(request)

    def __enter__(self) -> "Disorder":
        return self

    def __exit__(self, *_: object) -> None:
        self.udp.close()

    def say(self, *datagrams: bytes) -> None:
        """Send these packets in this order."""
        for datagram in datagrams:
            self.udp.sendto(datagram, self.box)

    def hear(self) -> bytes:
        """The next packet of the transfer."""
        datagram, sender = self.udp.recvfrom(65536)
        assert sender == self.box
        self.came += datagram[:2] == b"\0\3"
        return datagram

    def read(self, reader: Reader, answers: Callable[[bytes], list[bytes]]) -> bytes:
        """Read to the end; `answers` turns each ACK into what reaches the box."""
        while not reader.done:
            if answer := reader.answer(self.hear()):
                self.say(*answers(answer))
        return bytes(reader.content)


WHOLE = LOADER.read_bytes()
BLOCKS = len(WHOLE) // 1468 + 1


def test_everything_arrives_twice(honest: FarPc) -> None:
    """The file is right, and packets do not multiply (the Sorcerer's Apprentice bug)."""
    request = rrq(f"{honest.mac.bare}/{LOADER.name}", blksize=1468)
    with Disorder(honest, request) as client:
        client.say(request)
        assert client.read(Reader(1468), lambda answer: [answer, answer]) == WHOLE
    assert client.came < BLOCKS * 1.5


def test_acknowledgements_arrive_in_any_order(honest: FarPc) -> None:
    """Old requests after new ones, some twice: the client gets the file, and not one copy per request."""
    chance, said = random.Random(7), []

    def shuffled(answer: bytes) -> list[bytes]:
        said.append(answer)
        late = chance.sample(said, min(len(said), 5))
        return [*late, answer] if chance.random() < 0.5 else [answer, *late]

    with Disorder(honest, rrq(f"{honest.mac.bare}/{LOADER.name}", blksize=1468, windowsize=4)) as client:
        assert client.read(Reader(1468, 4), shuffled) == WHOLE
    assert client.came < BLOCKS * 2


def test_acknowledgements_of_blocks_never_sent(honest: FarPc) -> None:
    """They change nothing: an ACK for a block not yet sent is no ACK."""

    def ahead(answer: bytes) -> list[bytes]:
        number = int.from_bytes(answer[2:], "big")
        return [*(ack(number + step) for step in (2, 17, 0x7FFF, 0xFFF0)), answer]

    with Disorder(honest, rrq(f"{honest.mac.bare}/{LOADER.name}", blksize=1468)) as client:
        assert client.read(Reader(1468), ahead) == WHOLE
    assert client.came < BLOCKS * 1.5


def test_others_send_into_a_transfer(attacked: AttackedBox, honest: FarPc) -> None:
    """ACKs and ERRORs from another port of the same PC, from another PC and from a stranger are ignored."""
    with ExitStack() as stack:
        others = [*senders(attacked, stack), stack.enter_context(honest.udp())]

        def disturbed(answer: bytes) -> list[bytes]:
            for other in others:
                for said in (answer, ack(int.from_bytes(answer[2:], "big") + 1), b"\0\5\0\0stop\0", b"\0\5\0\5\0"):
                    other.sendto(said, (honest.box, 69))
            return [answer]

        with Disorder(honest, rrq(f"{honest.mac.bare}/{LOADER.name}", blksize=1468)) as client:
            assert client.read(Reader(1468), disturbed) == WHOLE
        for other in others:
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.recv(100)


def test_a_client_goes_away_in_the_middle(attacked: AttackedBox, honest: FarPc) -> None:
    """Its port is closed, so each packet to it causes an ICMP error on the socket that all the others share."""
    request = rrq(f"{honest.mac.bare}/{LOADER.name}", blksize=1468, windowsize=16, timeout=1)
    with Disorder(honest, request) as client:
        client.say(ack(0))
        assert client.hear()[:2] == b"\0\6"
        gone = [
            Disorder(
                attacked.pc(number), request.replace(honest.mac.bare.encode(), attacked.pc(number).mac.bare.encode())
            )
            for number in range(3, 13)
        ]
        for each in gone:
            assert each.hear()[:2] == b"\0\6"
            each.say(ack(0))
            while (first := each.hear())[:2] == b"\0\6":  # sent again before the answer came
                pass
            assert data(first)[0] == 1
            each.udp.close()
        reader = Reader(1468, 16)
        assert client.read(reader, lambda answer: [answer]) == WHOLE


def test_dhcp_out_of_order(attacked: AttackedBox) -> None:
    """Port 4011 before any DISCOVER, an old DISCOVER after a new one, each three times: all are answered correctly."""
    pc = attacked.pc(500)
    with pc.udp(68, "") as udp, pc.udp(4011) as unicast:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
        for each in (udp, unicast):
            each.settimeout(TIMEOUT)
        for _ in range(3):
            unicast.sendto(message(REQUEST, bytes(pc.mac), firmware(7), xid=9, ciaddr=pc.address), (pc.box, 4011))
            assert Answer.parse(unicast.recv(2048)).file == f"{pc.mac.bare}/{LOADER.name}"
        for xid in (2, 1, 2, 3, 1, 2):
            udp.sendto(message(DISCOVER, bytes(pc.mac), firmware(7), xid=xid, flags=BROADCAST), ("255.255.255.255", 67))
            answer = Answer.parse(udp.recv(2048))
            assert (answer.kind, answer.xid, answer.mac) == ("OFFER", xid, bytes(pc.mac))
    pc.boot(attacked.release)


def test_answers_go_to_served_networks_only(attacked: AttackedBox, honest: FarPc) -> None:
    """A victim whose address somebody names as the relay's, or forges as the source on port 4011."""
    attacked.gateway.ip("route", "add", "local", str(VICTIM), "dev", "lo")
    attacked.host.ip("route", "add", str(VICTIM), "via", str(GATEWAY))
    since, mac = attacked.mark(), bytes(attacked.pc(3).mac)
    with ExitStack() as stack, Forger(attacked.gateway) as forger:
        with inside(attacked.gateway):
            victims = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for victim, port in zip(victims, (67, 4011), strict=True):
            victim.setblocking(False)
            victim.bind((str(VICTIM), port))
        forger.say(message(DISCOVER, mac, firmware(7), giaddr=str(VICTIM)), str(ATTACKER), 67, 67)
        forger.say(message(REQUEST, mac, firmware(7), ciaddr=str(VICTIM)), str(VICTIM), 4011, 4011)
        attacked.wait_for("ignored", since, client=str(VICTIM), reason=Reason.UNKNOWN_RELAY.value)
        attacked.wait_for("ignored", since, client=str(attacked.pc(3).mac), reason=Reason.OUTSIDE_NETWORKS.value)
        is_served(honest)
        for victim in victims:
            with pytest.raises(BlockingIOError):
                victim.recv(2048)

    def told() -> bool:
        return f'relays = ["{VICTIM}"]' in attacked.verb("doctor", check=False).stdout

    # What was refused is written a moment after it is logged.
    wait_until(told, TIMEOUT, "the doctor to name the relay")
