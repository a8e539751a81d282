"""Where each PC is: which addresses the journal keeps for it, who takes one over, and who only claims one.

appliance/exports/ownership.py decides; this asks the kernel's neighbour table, tells the journal, and reports when the
exports have to follow.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from itertools import islice

import structlog

from appliance.exports.grants import ExportGrant
from appliance.exports.ownership import ForeignClaim, Ownership
from appliance.exports.request import ExportAnswer
from appliance.journal.recorder import Journal
from appliance.journal.timeline import MOST_ADDRESSES, Boot
from services.ethernet import MacAddress
from services.events import AddressSeen
from services.linux.neighbours import Neighbours

# A lookup and a nudge take 0.03 ms: one look takes no more than a hundredth of a second from the other services.
_LOOKUPS_A_LOOK = 300
# A PC that answers at two addresses keeps both, although it has NFS mounted from one: not taken away every few minutes.
_ANSWERED_SECONDS = 3600.0

log = structlog.get_logger("exports")


class ClientAddresses:
    """The addresses of all PCs.

    `allowed` says whether a PC may have anything; `by_neighbour` whether it gets an address because the neighbour table
    shows it there; `exports_changed` is called when what is exported, or to whom, may have changed.
    """

    def __init__(
        self,
        journal: Journal,
        neighbours: Neighbours,
        allowed: Callable[[MacAddress], bool],
        by_neighbour: Callable[[], bool],
        exports_changed: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._neighbours = neighbours
        self._allowed = allowed
        self._by_neighbour = by_neighbour
        self._exports_changed = exports_changed
        self._ownership = Ownership()
        self._informed = False
        self._seed()

    def confirm(self, seen: AddressSeen) -> None:
        """Record an address that the client is known to use, unless it belongs to another PC that runs."""
        mac, address = seen.mac, seen.address
        boot = self._journal.boot(mac)
        if boot is None:
            return
        if not self._gives_way(address, mac):
            if address not in boot.lost:
                self._journal.lose_address(mac, address)
            return
        now = time.monotonic()
        with self.exports_follow(mac):
            if address not in boot.known_addresses:
                self._ownership.note_confirmed(mac, address, now)
                self._make_room(boot, now)
            self._journal.record(seen)

    def met(self, mac: MacAddress, address: IPv4Address) -> None:
        """A request over TCP came from the client at this address, and nobody else can have sent it."""
        self._sign(mac, address)
        boot = self._journal.boot(mac)
        if boot is not None and address not in boot.addresses:
            self.confirm(AddressSeen(mac, address))

    def requested(self, mac: MacAddress, address: IPv4Address) -> None:
        """Any request over TCP came from the client, on the link, where the neighbour table showed it just now."""
        boot = self._journal.boot(mac)
        if boot is None:
            return
        if address in boot.lost:
            self.met(mac, address)
        elif address in boot.known_addresses:
            self._sign(mac, address)

    def mounted_behind_routers(self, mac: MacAddress) -> tuple[IPv4Address, ...]:
        """Where this PC has NFS mounted, apart from our links. Behind a router somebody else may ask for its boot
        script in its name: it keeps these addresses."""
        boot, now = self._journal.boot(mac), time.monotonic()
        found = boot.known_addresses if boot else ()
        return tuple(
            address
            for address in found
            if not self._neighbours.on_link(address) and self._ownership.sends_packets(mac, address, now)
        )

    def neighbour_changed(self, address: IPv4Address, mac: MacAddress) -> None:
        """The kernel has met `mac` at `address`. Another client that had it keeps it while it runs; if it is silent, it
        loses the address, and a PC that lost it before gets it back."""
        if not self._gives_way(address, mac):
            return
        if self._journal.take_address_from_others(address, mac):
            self._exports_changed()
        boot = self._journal.boot(mac)
        if boot is None or not self._allowed(mac):
            return
        if address in boot.lost:
            self._meet_again(boot, address)
        elif self._by_neighbour() and address not in boot.known_addresses:
            # Requests for leases are not heard then, and the live system may get another address than its iPXE had.
            self.confirm(AddressSeen(mac, address))

    def given(self, address: IPv4Address, mac: MacAddress) -> None:
        """The box itself leases `address` to `mac`. Behind a relay no neighbour table shows that."""
        if self._gives_way(address, mac) and self._journal.take_address_from_others(address, mac):
            self._exports_changed()

    def recheck_all(self) -> None:
        """Take away what was exported to addresses that other machines took while the box was not running.

        Call this once, after the first `hear`. Before that nobody loses an address: it is not known who is silent.
        """
        self._informed = True
        for boot in self._journal.boots():
            for address in boot.known_addresses:
                if (mac := self._neighbours.mac_of(address)) is not None:
                    self.neighbour_changed(address, mac)

    def look(self) -> None:
        """See which PCs have fallen silent or have moved, and who else waits for their addresses. Call this twice a
        minute."""
        now = time.monotonic()
        self._ownership.forget(now)
        boots = self._journal.boots()
        for boot in boots:
            for address in self._ownership.left(boot, now):
                self._journal.lose_address(boot.mac, address)
                self._exports_changed()
        claimed = ((each.address, each.holder) for each in self._ownership.claims(now))
        lost = ((address, boot.mac) for boot in boots for address in boot.lost)
        for address, mac in islice(dict.fromkeys((*lost, *claimed)), _LOOKUPS_A_LOOK):
            self._look_at(address, mac)

    def running(self) -> frozenset[MacAddress]:
        """The PCs that show signs of life."""
        now = time.monotonic()
        return frozenset(boot.mac for boot in self._journal.boots() if self._ownership.running(boot, now))

    def hear(self, grants: Sequence[ExportGrant], answer: ExportAnswer) -> bool:
        """Take in what root's helper knew when it was asked for `grants`. Returns True if more PCs run than was known
        then."""
        now = time.monotonic()
        holders = {address: grant.mac for grant in grants for address in grant.addresses}
        for text, seconds in answer.heard.items():
            if (mac := holders.get(address := IPv4Address(text))) is not None:
                self._ownership.note_packet(mac, address, now - seconds)
        for text, claimant in answer.claims:
            address, mac = IPv4Address(text), MacAddress.parse(claimant)
            if (holder := self._keeper(address, mac)) is not None:
                self._claim(address, mac, holder)
        return not self.running() <= {grant.mac for grant in grants if grant.pinned}

    def claims(self) -> tuple[ForeignClaim, ...]:
        """Who else uses addresses of running PCs; times are monotonic."""
        return self._ownership.claims(time.monotonic())

    @contextmanager
    def exports_follow(self, mac: MacAddress) -> Iterator[None]:
        """Report a change of the exports if the block changes those of this PC."""
        before = self._exported(mac)
        yield
        if self._exported(mac) != before:
            self._exports_changed()

    def _exported(self, mac: MacAddress) -> tuple[tuple[IPv4Address, ...], str]:
        """What the exports to a PC depend on: its addresses, and how it gets its root."""
        boot = self._journal.boot(mac)
        return (boot.known_addresses, boot.root) if boot else ((), "")

    def _seed(self) -> None:
        """Take the signs of life from the journal, after a restart. A stage from the script on was reached by the PC
        itself."""
        epoch = time.time() - time.monotonic()
        for boot in self._journal.boots():
            if boot.root and boot.reached:
                for address in boot.addresses:
                    self._ownership.note_request(boot.mac, address, boot.reached[-1].at - epoch)

    def _sign(self, mac: MacAddress, address: IPv4Address) -> None:
        now = time.monotonic()
        boot = self._journal.boot(mac)
        silent = boot is not None and not self._ownership.running(boot, now)
        self._ownership.note_request(mac, address, now)
        if silent and self._journal.holder(address) == mac:
            # Its addresses are pinned again.
            self._exports_changed()

    def _keeper(self, address: IPv4Address, mac: MacAddress) -> MacAddress | None:
        """The PC that keeps this address although `mac` uses it too; None if there is none."""
        holder = self._journal.holder(address)
        if holder is None or holder == mac or not self._allowed(holder):
            return None
        boot = self._journal.boot(holder)
        if boot is None or address not in boot.known_addresses:
            return None
        return holder if self._ownership.alive(boot, address, time.monotonic()) else None

    def _gives_way(self, address: IPv4Address, mac: MacAddress) -> bool:
        """Whether `mac` may have this address. If a PC keeps it, the claim is remembered."""
        if not self._informed and self._journal.holder(address) not in (None, mac):
            return False
        holder = self._keeper(address, mac)
        if holder is None:
            return True
        if self._claim(address, mac, holder):
            # The neighbour entry was not pinned when this came, or is not any longer.
            self._exports_changed()
        return False

    def _claim(self, address: IPv4Address, mac: MacAddress, holder: MacAddress) -> bool:
        """Remember a claim; returns False if it repeats one of a moment ago."""
        now = time.monotonic()
        if self._ownership.worth_a_line(address, now):
            log.warning(
                "another machine claims the address of a running PC, which keeps it",
                address=str(address),
                claimant=str(mac),
                mac=str(holder),
            )
        return self._ownership.claim(address, mac, holder, now)

    def _meet_again(self, boot: Boot, address: IPv4Address) -> None:
        """Give a PC an address back, once it answers there: an entry that is not fresh may be of the time before."""
        sighting = self._neighbours.sighting(address)
        if sighting is None or sighting.mac != boot.mac:
            return
        if sighting.fresh:
            self.confirm(AddressSeen(boot.mac, address))
            self._ownership.note_confirmed(boot.mac, address, time.monotonic() + _ANSWERED_SECONDS)
        else:
            self._neighbours.nudge(address)

    def _look_at(self, address: IPv4Address, mac: MacAddress) -> None:
        if not self._neighbours.on_link(address):
            boot = self._journal.boot(mac)
            if boot and address in boot.lost and self._ownership.alive(boot, address, time.monotonic()):
                self.confirm(AddressSeen(mac, address))
        elif (found := self._neighbours.mac_of(address)) is not None:
            self.neighbour_changed(address, found)

    def _make_room(self, boot: Boot, now: float) -> None:
        """Whoever has a token can use many addresses: they must not push out the one that it mounted from."""
        if len(boot.addresses) < MOST_ADDRESSES:
            return
        idle = (each for each in boot.addresses if not self._ownership.sends_packets(boot.mac, each, now))
        self._journal.lose_address(boot.mac, next(idle, boot.addresses[0]))
