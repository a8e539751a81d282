"""Addresses of PCs that others claim, take over and give back. The real neighbour table: tests/netns."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.exports.grants import ExportGrant
from appliance.exports.request import ExportAnswer
from appliance.journal.recorder import Journal
from appliance.journal.timeline import MOST_ADDRESSES
from appliance.registry.database import Registry
from appliance.server import client_addresses
from appliance.server.client_addresses import ClientAddresses
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Reported, ScriptServed
from services.linux.interfaces import Interface
from services.linux.neighbours import Neighbours, Sighting

PC, NEXT, STRANGER = (MacAddress.parse(f"52:54:00:aa:bb:{number:02x}") for number in (1, 2, 0x66))
A, B = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6")
FAR, FAR_TOO = IPv4Address("10.9.0.5"), IPv4Address("10.9.0.6")


class Table(Neighbours):
    """A neighbour table whose entries a test writes."""

    def __init__(self) -> None:
        super().__init__([Interface("lan0", 1, IPv4Interface("10.0.0.1/24"), MacAddress(1))])
        self.entries: dict[IPv4Address, Sighting] = {}
        self.nudged: list[IPv4Address] = []

    def sighting(self, address: IPv4Address) -> Sighting | None:
        return self.entries.get(address)

    def nudge(self, address: IPv4Address) -> None:
        self.nudged.append(address)


class Site:
    """Two allowed PCs; `now` is the clock. A PC boots by `boot`; `heard` says what root's helper heard of it."""

    def __init__(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10_000.0
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
        monkeypatch.setattr(client_addresses, "time", clock)
        self.table = Table()
        self.changes = 0
        self.mode_off = False
        self.registry = registry
        self.journal = Journal(registry, lambda: self.now, lambda *_: None)
        self.addresses = self.start()

    def start(self) -> ClientAddresses:
        """Restart the part of the server that is tested."""
        self.addresses = ClientAddresses(
            self.journal, self.table, {PC, NEXT}.__contains__, lambda: self.mode_off, self._changed
        )
        self.addresses.recheck_all()
        return self.addresses

    def _changed(self) -> None:
        self.changes += 1

    def boot(self, mac: MacAddress, *at: IPv4Address) -> None:
        self.journal.open_or_continue(Discovered(mac, 0, ipxe=False, xid=int(self.now), secs=0), "r")
        self.journal.open_or_continue(ScriptServed(mac), "r")
        for address in at:
            self.addresses.met(mac, address)

    def of(self, mac: MacAddress) -> tuple[IPv4Address, ...]:
        boot = self.journal.boot(mac)
        assert boot
        return boot.known_addresses

    def heard(self, mac: MacAddress, address: IPv4Address, *claimants: MacAddress) -> bool:
        grant = ExportGrant(mac, 1, self.of(mac), pinned=mac in self.addresses.running())
        claims = tuple((str(address), str(each)) for each in claimants)
        return self.addresses.hear([grant], ExportAnswer("", heard={str(address): 0.0}, claims=claims))

    @property
    def claims(self) -> list[tuple[IPv4Address, MacAddress, MacAddress]]:
        return [(each.address, each.claimant, each.holder) for each in self.addresses.claims()]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield Site(registry, monkeypatch)


def test_a_running_pc_keeps_its_address_and_the_claim_is_remembered(site: Site) -> None:
    site.boot(PC, A)
    before = site.changes
    site.addresses.neighbour_changed(A, STRANGER)
    assert site.of(PC) == (A,)
    assert site.claims == [(A, STRANGER, PC)]
    assert site.changes == before + 1, "the entry is to be pinned, at once"
    for _ in range(1000):
        site.addresses.neighbour_changed(A, STRANGER)
    assert site.changes == before + 1


def test_a_forged_arp_flood_takes_nothing_from_running_pcs(site: Site) -> None:
    """DISCOVERs in the PCs' names do not help: a PC is as alive as before."""
    site.boot(PC, A)
    site.boot(NEXT, B)
    site.journal.open_or_continue(Discovered(PC, 0, ipxe=False, xid=7, secs=0), "r")
    for last in range(1, 255):
        site.addresses.neighbour_changed(IPv4Address(f"10.0.0.{last}"), STRANGER)
    assert (site.of(PC), site.of(NEXT)) == ((A,), (B,))


def test_a_pc_that_computes_stays_alive_by_nfs_alone(site: Site) -> None:
    site.boot(PC, A)
    site.journal.record(Reported(PC, "computing"))
    for _ in range(20):
        site.now += 60
        site.heard(PC, A)
        site.addresses.look()
        site.addresses.neighbour_changed(A, STRANGER)
    assert site.of(PC) == (A,)
    site.now += 241
    site.addresses.neighbour_changed(A, STRANGER)
    assert site.of(PC) == ()


def test_forged_dhcp_keeps_no_silent_pc_alive(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    site.table.entries[A] = Sighting(PC, fresh=False)
    site.journal.open_or_continue(Discovered(PC, 0, ipxe=False, xid=7, secs=0), "r")
    site.addresses.confirm(AddressSeen(PC, A))
    assert site.addresses.running() == frozenset()


def test_the_next_holder_gets_the_address_of_a_silent_pc(site: Site) -> None:
    site.boot(PC, A)
    site.boot(NEXT)
    site.table.entries[A] = Sighting(NEXT, fresh=True)
    site.addresses.met(NEXT, A)
    assert (site.of(PC), site.of(NEXT)) == ((A,), ())
    assert site.claims == [(A, NEXT, PC)]
    site.now += 241
    site.addresses.look()
    assert (site.of(PC), site.of(NEXT)) == ((), (A,)), "without another request"
    assert site.claims == [(A, NEXT, PC)], "still remembered"


def test_a_pc_gets_its_address_back_once_it_answers_there(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    site.addresses.neighbour_changed(A, STRANGER)
    assert site.of(PC) == ()
    site.table.entries[A] = Sighting(PC, fresh=False)
    site.addresses.neighbour_changed(A, PC)
    assert (site.of(PC), site.table.nudged) == ((), [A]), "the entry may be an old one: ask"
    site.table.entries[A] = Sighting(PC, fresh=True)
    site.addresses.neighbour_changed(A, PC)
    assert site.of(PC) == (A,)


def test_a_forged_discover_does_not_make_it_forget_what_it_lost(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    site.addresses.neighbour_changed(A, STRANGER)
    site.journal.open_or_continue(Discovered(PC, 0, ipxe=False, xid=7, secs=0), "r")
    site.table.entries[A] = Sighting(PC, fresh=True)
    site.addresses.look()
    assert site.of(PC) == (A,)


def test_a_request_gives_a_lost_address_back_at_once(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    site.addresses.neighbour_changed(A, STRANGER)
    site.addresses.requested(PC, B)
    assert site.of(PC) == (), "another address is not taken from a mere request"
    site.addresses.requested(PC, A)
    assert site.of(PC) == (A,)
    site.addresses.neighbour_changed(A, STRANGER)
    assert site.of(PC) == (A,)


def test_of_two_pcs_with_one_address_the_running_one_keeps_it(site: Site) -> None:
    site.boot(PC, A)
    site.heard(PC, A)
    site.boot(NEXT, A)
    site.mode_off = True
    site.addresses.neighbour_changed(A, NEXT)
    site.addresses.given(A, NEXT)
    assert (site.of(PC), site.of(NEXT)) == ((A,), ())
    assert site.claims == [(A, NEXT, PC)]


def test_what_root_saw_is_a_claim_and_asks_for_no_exports(site: Site) -> None:
    site.boot(PC, A)
    before = site.changes
    assert not site.heard(PC, A, STRANGER, PC)
    assert site.claims == [(A, STRANGER, PC)]
    assert site.changes == before


def test_a_claim_on_the_address_of_a_silent_pc_is_none(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    site.addresses.hear([ExportGrant(PC, 1, (A,))], ExportAnswer("", claims=((str(A), str(NEXT)),)))
    assert (site.claims, site.of(PC)) == ([], (A,))


def test_pcs_that_run_after_all_are_to_be_pinned(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    assert site.addresses.running() == frozenset()
    assert site.heard(PC, A)
    assert site.addresses.running() == {PC}
    assert not site.heard(PC, A)


def test_after_a_restart_a_booting_pc_is_still_alive(site: Site) -> None:
    site.boot(PC, A)
    site.now += 50
    site.start()
    assert site.addresses.running() == {PC}
    site.now += 41
    assert site.addresses.running() == frozenset()


def test_nobody_loses_an_address_before_root_has_said_who_was_heard(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    addresses = ClientAddresses(site.journal, site.table, {PC}.__contains__, lambda: False, lambda: None)
    addresses.neighbour_changed(A, STRANGER)
    assert (site.of(PC), addresses.claims()) == ((A,), ())
    site.table.entries[A] = Sighting(STRANGER, fresh=True)
    addresses.recheck_all()
    assert site.of(PC) == ()


def test_a_first_request_after_silence_pins_the_pc_again(site: Site) -> None:
    site.boot(PC, A)
    site.now += 241
    before = site.changes
    site.addresses.requested(PC, A)
    site.addresses.requested(PC, A)
    assert site.changes == before + 1


def test_an_address_that_only_the_firmware_had_is_given_up(site: Site) -> None:
    site.boot(PC, A, B)
    site.now += 241
    site.heard(PC, B)
    site.addresses.look()
    assert site.of(PC) == (B,)
    site.table.entries[A] = Sighting(NEXT, fresh=True)
    site.boot(NEXT, A)
    assert (site.of(NEXT), site.claims) == ((A,), [])


def test_a_pc_that_answers_at_two_addresses_keeps_both(site: Site) -> None:
    site.boot(PC, A, B)
    site.now += 241
    site.heard(PC, B)
    site.table.entries[A] = Sighting(PC, fresh=True)
    for _ in range(20):
        site.addresses.look()
        site.now += 30
        site.heard(PC, B)
    assert set(site.of(PC)) == {A, B}


def test_behind_a_router_a_stranger_with_its_name_ends_no_running_pc(site: Site) -> None:
    site.boot(PC, FAR)
    site.heard(PC, FAR)
    site.journal.record(Reported(PC, "computing"))
    assert site.addresses.mounted_behind_routers(PC) == (FAR,)
    for last in range(2, 60):
        site.now += 1
        site.addresses.met(PC, IPv4Address(f"10.9.1.{last}"))
    assert FAR in site.of(PC)
    assert len(site.of(PC)) <= MOST_ADDRESSES


def test_behind_a_router_the_next_holder_waits_for_silence_too(site: Site) -> None:
    site.boot(PC, FAR)
    site.now += 80
    site.boot(NEXT, FAR)
    assert (site.of(PC), site.of(NEXT)) == ((FAR,), ())
    site.now += 11
    site.addresses.look()
    assert (site.of(PC), site.of(NEXT)) == ((), (FAR,))


def test_on_the_link_nothing_is_kept_past_the_script(site: Site) -> None:
    site.boot(PC, A)
    site.heard(PC, A)
    assert site.addresses.mounted_behind_routers(PC) == ()


def test_the_box_never_takes_an_address_for_a_machine_that_is_not_allowed(site: Site) -> None:
    site.boot(STRANGER)
    site.mode_off = True
    site.addresses.neighbour_changed(A, STRANGER)
    assert site.of(STRANGER) == ()
    site.addresses.neighbour_changed(A, PC)  # never booted
    site.boot(NEXT)
    site.addresses.neighbour_changed(A, NEXT)
    assert site.of(NEXT) == (A,)
