"""Who owns an address: the PC that it was granted to, until that PC has been silent for a while. PURE.

Times are monotonic seconds. A sign of life is what nobody else can send: a packet to the NFS ports from the PC's own
pair of MAC and address (root's helper hears these), or a request over TCP that the neighbour table or a token of this
boot confirms. DISCOVERs, DHCPREQUESTs and ARP are claims of whoever sends them, so they are no signs.

Somebody else who uses the address of a running PC is remembered, for `status` and `doctor`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from appliance.journal.timeline import Boot
from services.ethernet import MacAddress

ALIVE_SECONDS = 240.0
"""A PC whose packets to the NFS ports ended longer ago is silent. An idle NFSv4 client renews its lease every minute
(RFC 8881 section 8.3 leaves the time to the server; both servers grant 90 s)."""

REQUEST_SECONDS = 90.0
"""For how long a request over TCP is a sign of life: from one request of a boot to the next, and until NFS is mounted.
A PC that waits longer, in a menu, gets an address that it loses meanwhile back with its next request."""

CLAIM_SECONDS = 3600.0
"""For how long somebody else's use of an address is remembered. Firmware of a printer may send one ARP an hour."""

MOST_CLAIMS = 256
"""Claims remembered; the latest are kept."""

MOST_CLAIMANTS = 4
"""Claimants remembered for one address: made-up MAC addresses for one must not push out the others."""

MOST_LINES = 100
"""Lines in the log within CLAIM_SECONDS."""

_MOST_SIGNS = 40_000
_FRESH_CLAIM = 30.0

_Place = tuple[MacAddress, IPv4Address]


@dataclass(frozen=True, slots=True)
class ForeignClaim:
    """`claimant` used, at `at`, an address that belongs to the PC `holder`."""

    address: IPv4Address
    claimant: MacAddress
    holder: MacAddress
    at: float


class Ownership:
    """The signs of life of all PCs, and who else claims their addresses."""

    def __init__(self) -> None:
        self._packets: dict[_Place, float] = {}
        self._requests: dict[_Place, float] = {}
        self._confirmed: dict[_Place, float] = {}
        self._claims: dict[tuple[IPv4Address, MacAddress], ForeignClaim] = {}
        self._told: dict[IPv4Address, float] = {}

    def note_packet(self, mac: MacAddress, address: IPv4Address, at: float) -> None:
        """A packet came to the NFS ports from this pair."""
        _note(self._packets, (mac, address), at)

    def note_request(self, mac: MacAddress, address: IPv4Address, at: float) -> None:
        """A request over TCP came from this client at this address, and only it could send that."""
        _note(self._requests, (mac, address), at)

    def note_confirmed(self, mac: MacAddress, address: IPv4Address, at: float) -> None:
        """The client was found to use this address. That is no sign of life, but it has not left the address yet."""
        _note(self._confirmed, (mac, address), at)

    def sends_packets(self, mac: MacAddress, address: IPv4Address, now: float) -> bool:
        """Whether the PC has NFS mounted from this address."""
        return _within(self._packets.get((mac, address)), ALIVE_SECONDS, now)

    def alive(self, boot: Boot, address: IPv4Address, now: float) -> bool:
        """Whether this PC runs at this address, so that nobody else gets it."""
        requested = _within(self._requests.get((boot.mac, address)), REQUEST_SECONDS, now)
        return requested or self.sends_packets(boot.mac, address, now)

    def running(self, boot: Boot, now: float) -> bool:
        """Whether this PC runs at any of its addresses."""
        return any(self.alive(boot, address, now) for address in boot.known_addresses)

    def left(self, boot: Boot, now: float) -> tuple[IPv4Address, ...]:
        """The addresses that a running PC no longer uses: its firmware had them, but NFS is mounted from another.

        The site's DHCP server gives them to other PCs one day.
        """
        known = boot.known_addresses
        if len(known) < 2 or not any(self.sends_packets(boot.mac, address, now) for address in known):
            return ()
        return tuple(
            address
            for address in known
            if not self.alive(boot, address, now)
            and not _within(self._confirmed.get((boot.mac, address)), ALIVE_SECONDS, now)
        )

    def claim(self, address: IPv4Address, claimant: MacAddress, holder: MacAddress, at: float) -> bool:
        """Remember a claim. Returns False if it repeats one that was made a moment ago."""
        key = (address, claimant)
        before = self._claims.pop(key, None)
        self._claims[key] = ForeignClaim(address, claimant, holder, at)
        if before is None:
            same = [each for each in self._claims if each[0] == address]
            for oldest in same[:-MOST_CLAIMANTS]:
                del self._claims[oldest]
            for oldest in list(self._claims)[:-MOST_CLAIMS]:
                del self._claims[oldest]
        return before is None or before.holder != holder or at - before.at > _FRESH_CLAIM

    def claims(self, now: float) -> tuple[ForeignClaim, ...]:
        """What is remembered, the latest last."""
        return tuple(each for each in self._claims.values() if _within(each.at, CLAIM_SECONDS, now))

    def worth_a_line(self, address: IPv4Address, now: float) -> bool:
        """Whether the log should tell of a claim to this address: once an hour, and of MOST_LINES addresses."""
        if address in self._told or len(self._told) >= MOST_LINES:
            return False
        self._told[address] = now
        return True

    def forget(self, now: float) -> None:
        """Drop what no longer matters."""
        for signs in (self._packets, self._requests, self._confirmed):
            for place in [place for place, at in signs.items() if not _within(at, ALIVE_SECONDS, now)]:
                del signs[place]
        for key in [key for key, each in self._claims.items() if not _within(each.at, CLAIM_SECONDS, now)]:
            del self._claims[key]
        self._told = {address: at for address, at in self._told.items() if _within(at, CLAIM_SECONDS, now)}


def facts(claims: Iterable[ForeignClaim], epoch: float) -> list[dict[str, str | float]]:
    """The claims as the running server writes them for other processes. `epoch`: when the clock of `at` was zero, in
    seconds since the epoch."""
    moved = (replace(each, at=round(each.at + epoch, 1)) for each in claims)
    return [
        {"address": str(each.address), "claimant": str(each.claimant), "holder": str(each.holder), "at": each.at}
        for each in moved
    ]


def read_facts(written: Iterable[Mapping[str, str | float]]) -> tuple[ForeignClaim, ...]:
    """What `facts` wrote; `at` is in seconds since the epoch."""
    return tuple(
        ForeignClaim(
            IPv4Address(str(each["address"])),
            MacAddress.parse(str(each["claimant"])),
            MacAddress.parse(str(each["holder"])),
            float(each["at"]),
        )
        for each in written
    )


def _note(signs: dict[_Place, float], place: _Place, at: float) -> None:
    latest = max(at, signs.pop(place, at))
    signs[place] = latest
    if len(signs) > _MOST_SIGNS:
        del signs[next(iter(signs))]


def _within(at: float | None, seconds: float, now: float) -> bool:
    return at is not None and now - at < seconds
