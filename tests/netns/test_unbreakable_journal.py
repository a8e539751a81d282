"""Made-up names by the ten thousand: MAC addresses of an allowed range, claims by TFTP, senders. What the server keeps
of them is little, and what really happened stays to be seen.
"""

import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

import pytest

from appliance.journal.newcomers import MOST_NEWCOMERS
from appliance.journal.refusals import MOST_SENDERS, ROWS_OF_A_SENDER
from appliance.registry.database import Registry
from appliance.registry.records import IgnoredRow
from services.decision import Reason
from tests.fakes.dhcp_client import firmware
from tests.fakes.tftp_peer import rrq
from tests.netns.attacked_box import ATTACKER, FORGED, GATEWAY, TIMEOUT, AttackedBox, Forger
from tests.netns.inside import inside
from tests.netns.test_unbreakable_network_load import arrived, flood
from tests.room.processes import wait_until
from tests.room.room import host_mac

RATE, MADE_UP = 800, 10_000
MEMORY = 12 << 20
"""The newcomers that are kept, and what lies between the server and its log."""

LOG, REGISTRY = 1 << 20, 8 << 20


def size(box: AttackedBox) -> int:
    """Bytes of the registry with SQLite's log."""
    return sum(file.stat().st_size for file in (box.data / "registry").iterdir() if "sqlite3" in file.name)


def test_made_up_macs_push_out_no_pc(attacked: AttackedBox, record_property: Callable[[str, object], None]) -> None:
    """An honest PC boots for the first time, and one that hangs after its offer is to be seen until the end."""
    attacked.verb("allow", "add", "02:*", "--yes")
    hanging, booting = attacked.pc(101), attacked.pc(102)
    log, registry = attacked.mark(), size(attacked)
    with attacked.unharmed(MEMORY), flood(attacked, "macs", RATE) as sent:
        before = arrived(attacked)
        wait_until(lambda: arrived(attacked) - before > 2 * MOST_NEWCOMERS, TIMEOUT, "the flood", 0.01)
        assert hanging.discover(firmware(7)).file
        wait_until(lambda: arrived(attacked) - before > 4 * MOST_NEWCOMERS, TIMEOUT, "the flood", 0.01)
        assert hanging.discover(firmware(7)).file, "firmware asks again"
        booting.boot(attacked.release)
        wait_until(lambda: arrived(attacked) - before > MADE_UP + 1000, TIMEOUT, "all the flood", 0.01)
        asked = time.monotonic()
        boot = attacked.boot(hanging.mac)
        record_property("status, s", round(time.monotonic() - asked, 2))
    assert sent[0] > MADE_UP
    assert boot, "a PC that hangs is shown"
    assert boot["stage"] == "offered"
    assert attacked.stages(booting.mac) == ["discovered", "offered", "loader", "script", "kernel", "initrd"]
    state = attacked.status()
    assert state["counted"]["newcomers"] <= MOST_NEWCOMERS
    assert state["counted"]["clients"] <= 110, "only who loads something is a client"
    assert state["forgotten"]["newcomers"] > MADE_UP // 2
    assert "never loaded anything" in attacked.verb("status").stdout
    assert attacked.mark() - log < LOG
    assert size(attacked) - registry < REGISTRY
    with Registry(attacked.data / "registry" / "registry.sqlite3") as opened:
        assert opened.highest()[0] <= 110, "no number of an export is wasted"


@pytest.fixture
def refusals(attacked: AttackedBox) -> Callable[[], list[IgnoredRow]]:
    """What the registry holds."""

    def read() -> list[IgnoredRow]:
        with Registry(attacked.data / "registry" / "registry.sqlite3") as registry:
            return registry.ignored()

    return read


def test_one_sender_has_few_rows(attacked: AttackedBox, refusals: Callable[[], list[IgnoredRow]]) -> None:
    """It asks as another PC each time. The refusal of somebody else stays, and the sender is named."""
    with inside(attacked.gateway):
        name = "525400aaaa01/snponly.efi"
        honest = attacked.pc(103)
        honest.address = str(GATEWAY)
    with honest.udp() as udp:
        udp.sendto(rrq(name), (honest.box, 69))

    def counts(client: str) -> list[IgnoredRow]:
        return [row for row in refusals() if row.client == client]

    wait_until(lambda: bool(counts("52:54:00:aa:aa:01")), TIMEOUT, "the honest refusal", 0.05)
    log = attacked.mark()
    with attacked.unharmed(MEMORY), flood(attacked, "claims", RATE) as sent:
        before = arrived(attacked)
        wait_until(lambda: arrived(attacked) - before > MADE_UP, TIMEOUT, "the flood", 0.01)

    def of_the_attacker() -> list[IgnoredRow]:
        return [row for row in refusals() if row.sender == str(ATTACKER)]

    # Rows that others have taken the place of are deleted with the next batch.
    wait_until(lambda: 1 < len(of_the_attacker()) <= 2 * ROWS_OF_A_SENDER, TIMEOUT, "few rows", 0.1)
    found = of_the_attacker()
    assert {row.sender_mac for row in found} == {str(host_mac(ATTACKER))}
    assert max(row.count for row in found if not row.client) > MADE_UP // 2 or sent[0] < MADE_UP
    (kept,) = counts("52:54:00:aa:aa:01")
    assert (kept.sender, kept.reason) == (str(GATEWAY), Reason.MAC_MISMATCH.value)
    assert attacked.mark() - log < 100_000, "a few lines, not one for each packet"
    assert f"{ATTACKER} ({host_mac(ATTACKER)})" in attacked.verb("status").stdout


def test_made_up_senders_push_out_no_machine_that_asks_again(
    attacked: AttackedBox, refusals: Callable[[], list[IgnoredRow]]
) -> None:
    """Each datagram has another source address. A machine that is refused, and asks again as machines do, is kept."""
    honest = attacked.pc(104)
    honest.address = str(IPv4Address("10.79.200.1"))
    addresses = map(str, islice(IPv4Network(FORGED).hosts(), 6 * MOST_SENDERS))
    log = attacked.mark()
    with attacked.unharmed(MEMORY), Forger(attacked.gateway) as forger, honest.udp() as udp:
        for number, address in enumerate(addresses):
            if number % MOST_SENDERS == 0:
                udp.sendto(rrq("525400aaaa02/snponly.efi"), (honest.box, 69))
                time.sleep(1)  # as firmware does
            forger.say(rrq("0600deadbeef/snponly.efi"), address, 4000)
        wait_until(
            lambda: any(row.client == "52:54:00:aa:aa:02" and row.count > 3 for row in refusals()), TIMEOUT, "it", 0.05
        )
    assert len(refusals()) <= MOST_SENDERS * 2
    assert attacked.mark() - log < 200_000
