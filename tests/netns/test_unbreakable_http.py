"""Thousands of very slow HTTP clients: honest PCs boot among them without delay."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from image.release import INITRD
from tests.netns.attacked_box import ATTACKER
from tests.netns.slow_http_clients import SlowClients, many_descriptors
from tests.netns.storage_faults import FaultyDiskBox, status
from tests.room.namespaces import Network, assert_nothing_left
from tests.room.processes import wait_until

TIMEOUT = 240.0
MOST_MEMORY = 128 << 20
STRANGERS = [str(ATTACKER + number) for number in range(1, 101)]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyDiskBox]:
    with Network() as network, many_descriptors():
        box = FaultyDiskBox(network, tmp_path_factory.mktemp("http"))
        for address in STRANGERS:
            box.attacker.ip("address", "add", f"{address}/24", "dev", "lan0")
        yield box
        assert box.complaints(0) == []
    assert_nothing_left(network.room)


def boot_all(box: FaultyDiskBox, *numbers: int, few: bool = False) -> None:
    """These honest PCs boot at the same time, and each of their connections is answered at the first try. With `few`
    descriptors, a connection whose request is late may be closed to make room, and is opened again."""
    pcs = [box.pc(number) for number in numbers]
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(pc.boot, box.release) for pc in pcs]:
            done.result()
    if few:
        for pc in pcs * 10:
            assert pc.get(f"/boot/{pc.mac.bare}/boot.ipxe").startswith(b"#!ipxe\n")
    else:
        assert [status(pc, "boot.ipxe") for pc in pcs * 10] == [200] * 10 * len(pcs)


def request(method: str, path: str, *fields: str) -> bytes:
    """A request without its body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 10.77.0.1", *fields, "", ""]).encode()


def test_strangers_that_never_finish_a_request(box: FaultyDiskBox) -> None:
    """More connections than the server accepts at all, from a hundred addresses; half of them start a request."""
    with box.unharmed(MOST_MEMORY):
        with (
            SlowClients(box.attacker, STRANGERS[:50], 30) as idle,
            SlowClients(box.attacker, STRANGERS[50:], 30, b"GET /boot/", b"a") as slow,
        ):
            wait_until(lambda: idle.turns > 1 and slow.turns > 1, TIMEOUT, "the strangers to be there")
            boot_all(box, 1, 2, 3, 4, 5)
            wait_until(lambda: idle.ended > 2000 and slow.ended > 2000, TIMEOUT, "them to be sent away and come back")
            boot_all(box, 6, 7, 8, 9, 10)
        wait_until(lambda: not idle.left() and not slow.left(), TIMEOUT, "the strangers to be gone")


def test_allowed_pcs_that_take_their_time(box: FaultyDiskBox) -> None:
    """Slow at reading answers, at sending a report, at sending a request, and between two requests."""
    bad = [box.booting(number) for number in range(100, 104)]
    paths = [f"/boot/{pc.mac.bare}" for pc in bad]
    words = [
        (request("GET", f"{paths[0]}/boot.ipxe"), b"", 4096),
        (request("POST", f"{paths[1]}/{bad[1].script.token}/report", "Content-Length: 3000"), b"a", 0),
        (request("GET", f"{paths[2]}/boot.ipxe")[:-2] + b"X: ", b"a", 0),
        (request("GET", f"{paths[3]}/image/{box.release.id}/{INITRD}"), b"", 50),
    ]
    with box.unharmed(MOST_MEMORY):
        with ExitStack() as stack:
            crowds = [
                stack.enter_context(SlowClients(each.pc.host, [each.pc.address], 100, *said))
                for each, said in zip(bad, words, strict=True)
            ]
            wait_until(lambda: all(each.turns > 1 for each in crowds), TIMEOUT, "them to be there")
            boot_all(box, 11, 12, 13, 14, 15)
        *ending, readers = crowds
        wait_until(lambda: not any(each.left() for each in ending), TIMEOUT, "them to be sent away")
        boot_all(box, 16)
        readers.close()  # the server waits longer for these


def test_few_descriptors(box: FaultyDiskBox) -> None:
    """It has few descriptors, and clients want more: it neither spins nor fills its log, and honest PCs boot."""
    box.end()
    since, told = box.mark(), len(box.notified)
    box.launch(within=["prlimit", "--nofile=512:512"])
    box.await_word("READY=1", told)
    with box.unharmed(MOST_MEMORY):
        with SlowClients(box.attacker, STRANGERS[:40], 20) as idle:
            wait_until(lambda: idle.turns > 1, TIMEOUT, "the strangers to be there")
            before = cpu(box.pid)
            boot_all(box, 21, 22, 23, few=True)
            wait_until(lambda: idle.ended > 300, TIMEOUT, "them to be sent away and come back")
        assert cpu(box.pid) - before < 500, "hundredths of a second"
        wait_until(lambda: not idle.left(), TIMEOUT, "the strangers to be gone")
    assert len(box.lines(since)) < 200
    box.end()


def cpu(pid: int) -> int:
    """Processor time of a process in clock ticks: proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
