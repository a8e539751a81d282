"""The rules of a DHCP server: who gets which address, RFC 2131 section 4.3. PURE, with a memory: time is an argument.

A client is identified by its MAC address, not by option 61, though RFC 2131 section 4.2 prefers that. In one boot of
one PC the firmware, iPXE, klibc's ipconfig and udhcpc each send a different client identifier or none; boards of one
make share their UUID; and an address that changed halfway would take the root file system away. The identifier is
stored for people to see, and echoed.

Anybody can send a DECLINE or a RELEASE in a client's name. So neither takes an address from the client that has it: it
may renew its lease, and nobody else gets the address before that would have ended. After a DECLINE the client itself is
offered another address.

A relay may name the client's network by another address than its own, giaddr (RFC 3527), and have itself named as the
server (RFC 5107). Then a request may be for any server behind that relay: one that is not for an address of ours gets
no NAK.

Packets are in lease_reply.py; waiting, probing and saving in lease_server.py. The caller decides who may have an
address.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from services.decision import Ignore, Reason
from services.dhcp.lease import Decision, Declined, Information, Lease, LeaseGrant, LeaseOffer, Nak, Recorded, State
from services.dhcp.message import Message, MessageType
from services.dhcp.pool import Subnet
from services.ethernet import MacAddress

OFFER_SECONDS = 120.0
"""How long an offered address is held. EDK2 gathers offers for up to 60 s (4, 8, 16, 32) before it takes one."""

BLOCKED_SECONDS = 600.0
"""How long nobody is offered an address that a client declined, or where another machine answers."""

DECLINED_SHARE = 4
"""One address in so many of a pool may count as declined, those that were declined last: whoever makes up MAC addresses
can decline each one that he is offered. An address is probed before it is offered again."""

SUSPENDED_SECONDS = 10.0
"""How long an address is not offered while the kernel cannot tell whether its last holder is still there: its neighbour
table asks a stale neighbour after 5 s, three times (arp(7): delay_first_probe_time, ucast_solicit)."""

EMPTY_SECONDS = 1.0
"""How long an empty pool counts as empty before it is searched again: a large one takes tens of milliseconds."""

_NOWHERE = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class _HeldOffer:
    address: IPv4Address
    until: float
    probed: bool


class Leasing:
    """The leases of all subnets, and the answer to each message.

    The caller has to save what changed: `changes()` returns it.
    """

    def __init__(self, subnets: Iterable[Subnet], own: Collection[IPv4Address], leases: Iterable[Lease] = ()) -> None:
        """`own` are the server's addresses; `leases` are those that were saved earlier."""
        self.subnets = tuple(subnets)
        self._own = frozenset(own)
        self._leases: dict[IPv4Address, Lease] = {}
        # The address that a client has or had last, in each network.
        self._latest: dict[tuple[MacAddress, IPv4Network], IPv4Address] = {}
        self._offers: dict[MacAddress, _HeldOffer] = {}
        self._holders: dict[IPv4Address, MacAddress] = {}
        self._suspended: dict[IPv4Address, float] = {}
        # Until when, by network; the one declined last is at the end.
        self._declined: dict[IPv4Network, dict[IPv4Address, float]] = {subnet.network: {} for subnet in self.subnets}
        self._changed: dict[IPv4Address, Lease] = {}
        for lease in sorted(leases, key=lambda each: each.expires):
            self._keep(lease)
        self._changed.clear()
        self._empty_at: dict[IPv4Network, float] = {}
        # By subnet, the addresses to try next, each with the time when its lease ended.
        self._queues: dict[IPv4Network, Iterator[tuple[float, IPv4Address]]] = {
            subnet.network: iter([(0.0, address) for address in subnet.dynamic]) for subnet in self.subnets
        }

    def changes(self) -> list[Lease]:
        """The leases that changed since the last call."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def decide(self, message: Message, server: IPv4Address, now: float) -> Decision:
        """Decide on the answer to a message that reached port 67 of our address `server`.

        Ignore(NO_POOL): the client is in a network without a pool here. Ignore(POOL_EMPTY): no address is free.
        Ignore(NOT_FOR_US): the client speaks to another server. Ignore(NO_LEASE): RFC 2131 demands silence, because
        another server may know the client.
        """
        subnet = self._subnet(message, server)
        if subnet is None:
            return Ignore(Reason.NO_POOL)
        if message.server_id not in (None, message.server_override) and message.server_id not in self._own:
            if message.message_type == MessageType.REQUEST:
                self._drop_offer(message.mac)
            return Ignore(Reason.NOT_FOR_US)
        match message.message_type:
            case MessageType.DISCOVER:
                return self._discover(message, subnet, now)
            case MessageType.REQUEST:
                return self._request(message, subnet, now)
            case MessageType.RELEASE:
                return self._release(message, now)
            case MessageType.DECLINE:
                return self._decline(message, subnet, now)
            case MessageType.INFORM:
                return Information(subnet)
        return Ignore(Reason.NOT_FOR_US)

    def found_free(self, mac: MacAddress, address: IPv4Address) -> bool:
        """Record that nobody answered at the address to be offered to `mac`. False: that offer is no longer held."""
        held = self._offers.get(mac)
        if held is None or held.address != address:
            return False
        self._offers[mac] = replace(held, probed=True)
        return True

    def found_taken(
        self, mac: MacAddress, address: IPv4Address, other: MacAddress, sure: bool, now: float
    ) -> Lease | None:
        """Record that `other` answered at the address to be offered to `mac`, which then gets another one.

        Where it is not `sure` that the other machine is still there, or where it is the last holder of the address, the
        address is not offered for a moment, and None is returned. Otherwise the lease that is returned blocks it.
        """
        self._drop_offer(mac)
        last = self._leases.get(address)
        if not sure or (last is not None and last.mac == other):
            self._suspended[address] = now + SUSPENDED_SECONDS
            return None
        return self._keep(Lease(address, other, b"", State.BLOCKED, now + BLOCKED_SECONDS))

    def _subnet(self, message: Message, server: IPv4Address) -> Subnet | None:
        """The subnet that the client is in, or that its address belongs to."""
        if message.link is not None:
            return self._subnet_of(message.link)
        if message.giaddr != _NOWHERE:
            return self._subnet_of(message.giaddr)
        # A client behind a relay renews by unicast, past the relay: its address tells the network.
        # But if the address belongs to another of our own links, the client was moved here.
        remote = self._subnet_of(message.ciaddr)
        if remote is not None and not any(own in remote.network for own in self._own):
            return remote
        return self._subnet_of(server)

    def _subnet_of(self, address: IPv4Address) -> Subnet | None:
        return next((subnet for subnet in self.subnets if address in subnet.network), None)

    def _discover(self, message: Message, subnet: Subnet, now: float) -> LeaseOffer | Ignore:
        mac = message.mac
        address = self._choose(mac, subnet, message.requested_address, now)
        if address is None:
            return Ignore(Reason.POOL_EMPTY)
        held, lease = self._offers.get(mac), self._leases.get(address)
        known = lease is not None and lease.mac == mac and lease.state is State.LEASED and lease.expires > now
        probed = known or (held is not None and held.address == address and held.probed)
        self._hold(mac, _HeldOffer(address, now + OFFER_SECONDS, probed))
        return LeaseOffer(address, subnet, probe=not probed)

    def _choose(self, mac: MacAddress, subnet: Subnet, requested: IPv4Address | None, now: float) -> IPv4Address | None:
        """RFC 2131 section 4.3.1: its static address, the one it had, the one it asks for, a new one, the oldest."""
        held = self._offers.get(mac)
        candidates = (
            subnet.static.get(mac),
            self._latest.get((mac, subnet.network)),
            held.address if held else None,
            requested,
        )
        for candidate in candidates:
            if candidate is None or self._is_declined(candidate, subnet, now):
                continue
            if self._may_have(mac, candidate, subnet, now):
                return candidate
        return self._next(subnet, mac, now) or self._next(subnet, mac, now, search=True)

    def _next(self, subnet: Subnet, mac: MacAddress, now: float, *, search: bool = False) -> IPv4Address | None:
        """The next free address: first those that nobody had, then those whose lease ended first. A whole room may be
        switched on at once, so the pool is searched (`search`) only when the results of the last search are used
        up; an address that has changed since is skipped."""
        network = subnet.network
        if search:
            if 0 <= now - self._empty_at.get(network, -math.inf) < EMPTY_SECONDS:
                return None
            free = [(self._ended(each), each) for each in subnet.dynamic if self._is_offerable(each, mac, subnet, now)]
            self._queues[network] = iter(sorted(free))
        for ended, address in self._queues[network]:
            if self._ended(address) == ended and self._is_offerable(address, mac, subnet, now):
                return address
        if search:
            self._empty_at[network] = now
        return None

    def _ended(self, address: IPv4Address) -> float:
        """When the lease of the address ended, or ends; 0 where nobody had it."""
        lease = self._leases.get(address)
        return lease.expires if lease is not None else 0.0

    def _request(self, message: Message, subnet: Subnet, now: float) -> LeaseGrant | Nak | Ignore:
        """RFC 2131 section 4.3.2. The client's state shows in what it sends: option 54, option 50, ciaddr."""
        mac = message.mac
        selecting, rebooting = message.server_id is not None, message.ciaddr == _NOWHERE
        wanted = message.requested_address or message.ciaddr
        if wanted == _NOWHERE:
            return Ignore(Reason.MALFORMED)
        if wanted not in subnet.network:
            return Nak(f"{wanted} is not in {subnet.network}")
        former = self._latest.get((mac, subnet.network))
        if self._may_have(mac, wanted, subnet, now):
            # A client that renews a lease unknown to us (our disk was lost) uses the address: nobody else can.
            if selecting or not rebooting or wanted in (former, subnet.static.get(mac)):
                return self._grant(message, wanted, subnet, now)
            if former is None:
                return Ignore(Reason.NO_LEASE)
        lease = self._leases.get(wanted)
        if lease is not None and lease.mac == mac and lease.state is State.LEASED:
            self._keep(replace(lease, state=State.RELEASED, expires=now))
        ours = lease is not None or subnet.is_dynamic(wanted) or wanted in subnet.static.values()
        if ours or message.server_id in self._own or former is not None:
            return Nak(f"{wanted} is not its address")
        return Ignore(Reason.NO_LEASE)

    def _grant(self, message: Message, address: IPv4Address, subnet: Subnet, now: float) -> LeaseGrant:
        mac = message.mac
        before, former = self._leases.get(address), self._latest.get((mac, subnet.network))
        if former is not None and former != address:
            self._keep(replace(self._leases[former], state=State.RELEASED, expires=now))
        self._drop_offer(mac)
        new = before is None or before.mac != mac or before.state is not State.LEASED or before.expires <= now
        lease = Lease(address, mac, message.client_id, State.LEASED, now + subnet.lease_seconds)
        return LeaseGrant(self._keep(lease), subnet, new)

    def _release(self, message: Message, now: float) -> Recorded | Ignore:
        lease = self._leases.get(message.ciaddr)
        if lease is None or lease.mac != message.mac or lease.state is not State.LEASED:
            return Ignore(Reason.NO_LEASE)
        return Recorded(self._keep(replace(lease, state=State.RELEASED)))

    def _decline(self, message: Message, subnet: Subnet, now: float) -> Declined | Ignore:
        address = message.requested_address or _NOWHERE
        lease = self._leases.get(address)
        leased = lease is not None and lease.mac == message.mac and lease.state is State.LEASED
        if not leased and self._holders.get(address) != message.mac:
            return Ignore(Reason.NO_LEASE)
        self._drop_offer(message.mac)
        declined = self._declined[subnet.network]
        declined.pop(address, None)
        declined[address] = now + BLOCKED_SECONDS
        if len(declined) > max(1, subnet.size // DECLINED_SHARE):
            del declined[next(iter(declined))]
        return Declined(address)

    def _is_declined(self, address: IPv4Address, subnet: Subnet, now: float) -> bool:
        return self._declined[subnet.network].get(address, 0.0) > now

    def _is_offerable(self, address: IPv4Address, mac: MacAddress, subnet: Subnet, now: float) -> bool:
        return not self._is_declined(address, subnet, now) and self._is_free(address, mac, now)

    def _may_have(self, mac: MacAddress, address: IPv4Address, subnet: Subnet, now: float) -> bool:
        """Whether the client may have this address: its static one if that is free, otherwise any of the pool."""
        static = subnet.static.get(mac)
        if static is not None and self._is_free(static, mac, now):
            return address == static
        return subnet.is_dynamic(address) and self._is_free(address, mac, now)

    def _is_free(self, address: IPv4Address, mac: MacAddress, now: float) -> bool:
        """Whether nobody else has the address or was offered it, and nobody blocks it."""
        lease = self._leases.get(address)
        if lease is not None and lease.expires > now and (lease.state is State.BLOCKED or lease.mac != mac):
            return False
        holder = self._holders.get(address)
        if holder is not None and holder != mac and self._offers[holder].until > now:
            return False
        return self._suspended.get(address, 0.0) <= now

    def _hold(self, mac: MacAddress, held: _HeldOffer) -> None:
        self._drop_offer(mac)
        if (before := self._holders.get(held.address)) is not None:
            self._drop_offer(before)
        self._offers[mac] = held
        self._holders[held.address] = mac
        self._suspended.pop(held.address, None)

    def _drop_offer(self, mac: MacAddress) -> None:
        if (held := self._offers.pop(mac, None)) is not None:
            del self._holders[held.address]

    def _keep(self, lease: Lease) -> Lease:
        before = self._leases.get(lease.address)
        if (subnet := self._subnet_of(lease.address)) is not None:
            if before is not None and self._latest.get((before.mac, subnet.network)) == lease.address:
                del self._latest[before.mac, subnet.network]
            if lease.state is not State.BLOCKED:
                self._latest[lease.mac, subnet.network] = lease.address
        self._leases[lease.address] = lease
        self._changed[lease.address] = lease
        return lease
