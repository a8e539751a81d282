"""The rules of a DHCP server: who gets which address, RFC 2131 section 4.3. PURE, with a memory: time is an argument.

A client is known by its MAC address, not by option 61, though RFC 2131 section 4.2 prefers that: in one boot of one PC
the firmware, iPXE, klibc's ipconfig and udhcpc each send another client identifier or none, boards of one make share
their UUID, and an address that changed halfway would take the root file system away. The identifier is kept for
people, and echoed.

Not here: packets (lease_reply.py), waiting, probing and writing down (lease_server.py), who may have an address at all.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from services.decision import Ignore, Reason
from services.dhcp.lease import Decision, Information, Lease, LeaseGrant, Noted, Offer, Refusal, State
from services.dhcp.message import Message, MessageType
from services.dhcp.pool import Subnet
from services.ethernet import MacAddress

OFFER_SECONDS = 120.0
"""How long an offered address is held. EDK2 gathers offers for up to 60 s (4, 8, 16, 32) before it takes one."""

BLOCKED_SECONDS = 600.0
"""How long nobody gets an address that a client declined or a stranger answers at."""

SUSPENDED_SECONDS = 10.0
"""How long an address rests of which the kernel cannot tell whether its last holder is still there: its neighbour table
asks a stale neighbour after 5 s, three times (arp(7): delay_first_probe_time, ucast_solicit)."""

EMPTY_SECONDS = 1.0
"""How long an empty pool is believed to be empty: looking through a large one takes tens of milliseconds."""

_NOWHERE = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class _Held:
    address: IPv4Address
    until: float
    probed: bool


class Leasing:
    """The leases of all subnets, and what is answered to each message.

    What changed has to be written down: `changes()` hands it over.
    """

    def __init__(self, subnets: Iterable[Subnet], own: Collection[IPv4Address], leases: Iterable[Lease] = ()) -> None:
        """`own` are the server's addresses; `leases` those written down before."""
        self.subnets = tuple(subnets)
        self._own = frozenset(own)
        self._leases: dict[IPv4Address, Lease] = {}
        self._records: dict[tuple[MacAddress, IPv4Network], IPv4Address] = {}
        self._held: dict[MacAddress, _Held] = {}
        self._holders: dict[IPv4Address, MacAddress] = {}
        self._suspended: dict[IPv4Address, float] = {}
        self._changed: dict[IPv4Address, Lease] = {}
        for lease in sorted(leases, key=lambda each: each.expires):
            self._keep(lease)
        self._changed.clear()
        self._empty_at: dict[IPv4Network, float] = {}
        # By subnet, the addresses to look at next, each with when its lease ended.
        self._queues: dict[IPv4Network, Iterator[tuple[float, IPv4Address]]] = {
            subnet.network: iter([(0.0, address) for address in subnet.dynamic]) for subnet in self.subnets
        }

    def changes(self) -> list[Lease]:
        """The leases that changed since the last call."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def leases(self) -> list[Lease]:
        """Every lease that is known, also ended ones."""
        return list(self._leases.values())

    def decide(self, message: Message, server: IPv4Address, now: float) -> Decision:
        """What to answer to a message that reached port 67 of our address `server`.

        Ignore(NO_POOL): of a network that is not ours. Ignore(POOL_EMPTY): nothing is free. Ignore(NOT_FOR_US): the
        client speaks to another server. Ignore(NO_LEASE): RFC 2131 wants silence, as another server may know it.
        """
        subnet = self._subnet(message, server)
        if subnet is None:
            return Ignore(Reason.NO_POOL)
        if message.server_id is not None and message.server_id not in self._own:
            if message.message_type == MessageType.REQUEST:
                self._let_go(message.mac)
            return Ignore(Reason.NOT_FOR_US)
        match message.message_type:
            case MessageType.DISCOVER:
                return self._discover(message, subnet, now)
            case MessageType.REQUEST:
                return self._request(message, subnet, now)
            case MessageType.RELEASE:
                return self._release(message, now)
            case MessageType.DECLINE:
                return self._decline(message, now)
            case MessageType.INFORM:
                return Information(subnet)
        return Ignore(Reason.NOT_FOR_US)

    def probed(self, mac: MacAddress, address: IPv4Address) -> bool:
        """Nobody answered at the address that was offered to `mac`; False when the offer is no longer held."""
        held = self._held.get(mac)
        if held is None or held.address != address:
            return False
        self._held[mac] = replace(held, probed=True)
        return True

    def met(self, mac: MacAddress, address: IPv4Address, stranger: MacAddress, sure: bool, now: float) -> Lease | None:
        """Somebody else was met at the address that was to be offered to `mac`: it gets another one.

        Not `sure` that it is still there, or its last holder: the address rests a moment, and None is returned. Else it
        is blocked, by the lease that is returned.
        """
        self._let_go(mac)
        last = self._leases.get(address)
        if not sure or (last is not None and last.mac == stranger):
            self._suspended[address] = now + SUSPENDED_SECONDS
            return None
        return self._keep(Lease(address, stranger, b"", State.BLOCKED, now + BLOCKED_SECONDS))

    def _subnet(self, message: Message, server: IPv4Address) -> Subnet | None:
        """The subnet that the client is in, or belongs to."""
        if message.giaddr != _NOWHERE:
            return self._subnet_of(message.giaddr)
        # A client behind a relay renews by unicast, past the relay: its address tells the network. Not so for an
        # address of another of our own links: that client was moved.
        remote = self._subnet_of(message.ciaddr)
        if remote is not None and not any(own in remote.network for own in self._own):
            return remote
        return self._subnet_of(server)

    def _subnet_of(self, address: IPv4Address) -> Subnet | None:
        return next((subnet for subnet in self.subnets if address in subnet.network), None)

    def _discover(self, message: Message, subnet: Subnet, now: float) -> Offer | Ignore:
        mac = message.mac
        address = self._choose(mac, subnet, message.requested_address, now)
        if address is None:
            return Ignore(Reason.POOL_EMPTY)
        held, lease = self._held.get(mac), self._leases.get(address)
        known = lease is not None and lease.mac == mac and lease.state is State.LEASED and lease.expires > now
        probed = known or (held is not None and held.address == address and held.probed)
        self._hold(mac, _Held(address, now + OFFER_SECONDS, probed))
        return Offer(address, subnet, probe=not probed)

    def _choose(self, mac: MacAddress, subnet: Subnet, requested: IPv4Address | None, now: float) -> IPv4Address | None:
        """RFC 2131 section 4.3.1: its own, the one it had, the one that it asks for, a new one, the oldest one."""
        held = self._held.get(mac)
        wishes = (
            subnet.static.get(mac),
            self._records.get((mac, subnet.network)),
            held.address if held else None,
            requested,
        )
        for wish in wishes:
            if wish is not None and self._may_have(mac, wish, subnet, now):
                return wish
        return self._next(subnet, mac, now) or self._next(subnet, mac, now, anew=True)

    def _next(self, subnet: Subnet, mac: MacAddress, now: float, *, anew: bool = False) -> IPv4Address | None:
        """The next of those that nobody had, then of those that ended first. Looks at all (`anew`) only where it
        has come to the end, for a room may be switched on at once; what changed since the last look is passed over."""
        network = subnet.network
        if anew:
            if 0 <= now - self._empty_at.get(network, -math.inf) < EMPTY_SECONDS:
                return None
            free = [(self._ended(each), each) for each in subnet.dynamic if self._is_free(each, mac, now)]
            self._queues[network] = iter(sorted(free))
        for ended, address in self._queues[network]:
            if self._ended(address) == ended and self._is_free(address, mac, now):
                return address
        if anew:
            self._empty_at[network] = now
        return None

    def _ended(self, address: IPv4Address) -> float:
        """When its lease ended, or ends; 0 for one that nobody had."""
        lease = self._leases.get(address)
        return lease.expires if lease is not None else 0.0

    def _request(self, message: Message, subnet: Subnet, now: float) -> LeaseGrant | Refusal | Ignore:
        """RFC 2131 section 4.3.2. The client's state shows in what it sends: option 54, option 50, ciaddr."""
        mac = message.mac
        selecting, rebooting = message.server_id is not None, message.ciaddr == _NOWHERE
        wanted = message.requested_address or message.ciaddr
        if wanted == _NOWHERE:
            return Ignore(Reason.MALFORMED)
        if wanted not in subnet.network:
            return Refusal(f"{wanted} is not in {subnet.network}")
        former = self._records.get((mac, subnet.network))
        if self._may_have(mac, wanted, subnet, now):
            # One that renews a lease we know nothing of (our disk was lost) uses the address: nobody else can.
            if selecting or not rebooting or wanted in (former, subnet.static.get(mac)):
                return self._grant(message, wanted, subnet, now)
            if former is None:
                return Ignore(Reason.NO_LEASE)
        lease = self._leases.get(wanted)
        if lease is not None and lease.mac == mac and lease.state is State.LEASED:
            self._keep(replace(lease, state=State.RELEASED, expires=now))
        ours = lease is not None or subnet.is_dynamic(wanted) or wanted in subnet.static.values()
        if ours or selecting or former is not None:
            return Refusal(f"{wanted} is not its address")
        return Ignore(Reason.NO_LEASE)

    def _grant(self, message: Message, address: IPv4Address, subnet: Subnet, now: float) -> LeaseGrant:
        mac = message.mac
        before, former = self._leases.get(address), self._records.get((mac, subnet.network))
        if former is not None and former != address:
            self._keep(replace(self._leases[former], state=State.RELEASED, expires=now))
        self._let_go(mac)
        new = before is None or before.mac != mac or before.state is not State.LEASED or before.expires <= now
        lease = Lease(address, mac, message.client_id, State.LEASED, now + subnet.lease_seconds)
        return LeaseGrant(self._keep(lease), subnet, new)

    def _release(self, message: Message, now: float) -> Noted | Ignore:
        lease = self._leases.get(message.ciaddr)
        if lease is None or lease.mac != message.mac or lease.state is not State.LEASED:
            return Ignore(Reason.NO_LEASE)
        return Noted(self._keep(replace(lease, state=State.RELEASED, expires=now)))

    def _decline(self, message: Message, now: float) -> Noted | Ignore:
        address = message.requested_address or _NOWHERE
        lease = self._leases.get(address)
        leased = lease is not None and lease.mac == message.mac and lease.state is State.LEASED
        if not leased and self._holders.get(address) != message.mac:
            return Ignore(Reason.NO_LEASE)
        self._let_go(message.mac)
        blocked = Lease(address, message.mac, message.client_id, State.BLOCKED, now + BLOCKED_SECONDS)
        return Noted(self._keep(blocked))

    def _may_have(self, mac: MacAddress, address: IPv4Address, subnet: Subnet, now: float) -> bool:
        """Whether the client may have this very address: its static one where that is free, else one of the pool."""
        static = subnet.static.get(mac)
        if static is not None and self._is_free(static, mac, now):
            return address == static
        return subnet.is_dynamic(address) and self._is_free(address, mac, now)

    def _is_free(self, address: IPv4Address, mac: MacAddress, now: float) -> bool:
        """Whether nobody but this client has it, was offered it, or keeps everybody from it."""
        lease = self._leases.get(address)
        if lease is not None and lease.expires > now and (lease.state is State.BLOCKED or lease.mac != mac):
            return False
        holder = self._holders.get(address)
        if holder is not None and holder != mac and self._held[holder].until > now:
            return False
        return self._suspended.get(address, 0.0) <= now

    def _hold(self, mac: MacAddress, held: _Held) -> None:
        self._let_go(mac)
        if (before := self._holders.get(held.address)) is not None:
            self._let_go(before)
        self._held[mac] = held
        self._holders[held.address] = mac
        self._suspended.pop(held.address, None)

    def _let_go(self, mac: MacAddress) -> None:
        if (held := self._held.pop(mac, None)) is not None:
            del self._holders[held.address]

    def _keep(self, lease: Lease) -> Lease:
        before = self._leases.get(lease.address)
        if (subnet := self._subnet_of(lease.address)) is not None:
            if before is not None and self._records.get((before.mac, subnet.network)) == lease.address:
                del self._records[before.mac, subnet.network]
            if lease.state is not State.BLOCKED:
                self._records[lease.mac, subnet.network] = lease.address
        self._leases[lease.address] = lease
        self._changed[lease.address] = lease
        return lease
