"""Decides what a datagram on port 67 or 4011 gets: the boot answer or the refusal, and the events to report. PURE.

It takes three steps, because the box has to be asked in between what the client boots:

    read    bytes -> Message        may this client boot here, and is it DHCP at all?
    ask     Message -> BootRequest  does it ask this server for its boot file?
    answer  BootPlan -> Reply       the offer, once the box has said what the client boots

Each returns its result, or Ignore with the reason, and the events that belong to it. The events have to be reported
before the next step is taken: what the box decides may depend on them. Ordinary DHCP traffic, which is not for this
server, is ignored without an event. The PXE rules are in pxe_rules.py, leases in leasing.py; sockets, duplicates
and timing in server.py.
"""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TypeVar

from services.decision import Ignore, Reason
from services.dhcp import packet, pxe_rules, quirks
from services.dhcp.fingerprint import fingerprint
from services.dhcp.lease import Decision
from services.dhcp.message import NOWHERE, SERVER_PORT, Arrival, Message, MessageType, Reply, is_host
from services.dhcp.plan import BootPlan
from services.dhcp.pxe_rules import BootRequest
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Ignored, LeaseChosen, Offered
from services.foreign_text import printable

_Result = TypeVar("_Result")
Step = tuple[_Result | Ignore, tuple[Event, ...]]

_UNREPORTED = (Reason.NOT_FOR_US, Reason.NOT_NETBOOT)
_NOT_ALLOWED = Ignore(Reason.NOT_ALLOWED)


def read(
    datagram: bytes,
    arrival: Arrival,
    address: IPv4Address,
    *,
    allowed: bool,
    leases_to: Callable[[MacAddress], bool] | None = None,
) -> Step[Message]:
    """Read a client's datagram that reached our `address`, or the broadcast address of its network.

    `allowed`: the client may boot. `leases_to` tells whether a client that may not boot gets an address here.
    Ignore(MALFORMED): not a DHCP request of an Ethernet client. Ignore(NOT_NETBOOT): BOOTP without a message type.
    Ignore(NOT_ALLOWED): the client may neither boot nor have an address.
    """
    if allowed:
        message = packet.decode(datagram)
        if not isinstance(message, Ignore):
            return message, _observations(message, arrival, address, leasing=leases_to is not None)
        if message.reason is not Reason.MALFORMED:
            return message, ()
    mac = packet.peek(datagram)
    if isinstance(mac, Ignore):
        boots = packet.looks_like_boot(datagram, arrival.port)
        return mac, (Ignored("dhcp", str(arrival.source), mac.reason, sender=_sender(arrival)),) if boots else ()
    boots = packet.looks_like_boot(datagram, arrival.port)
    refusal = (Ignored("dhcp", str(mac), Reason.NOT_ALLOWED, sender=_sender(arrival)),) if boots else ()
    if leases_to is not None and leases_to(mac):
        return packet.decode(datagram), refusal
    return _NOT_ALLOWED, refusal


def by_known_relay(message: Message, arrival: Arrival, serves: Callable[[IPv4Address], bool]) -> Step[Message]:
    """Return the message, unless it came to port 67 by a relay that gets no answer.

    Ignore(UNKNOWN_RELAY): the relay is in no network that the box `serves`; Ignore(MALFORMED): nor is it a host.
    Anybody can name any relay. Which network the client is in, the relay may say in option 82 (RFC 3527), but the
    answer goes to giaddr in any case.
    """
    if arrival.port != SERVER_PORT or not message.relayed or serves(message.giaddr):
        return message, ()
    if not is_host(message.giaddr):
        malformed = Ignore(Reason.MALFORMED)
        return malformed, _refusal(malformed, message, arrival)
    return Ignore(Reason.UNKNOWN_RELAY), (
        Ignored("dhcp", str(message.giaddr), Reason.UNKNOWN_RELAY, f"for {message.mac}"),
    )


def ask(
    message: Message,
    arrival: Arrival,
    *,
    leasing: bool,
    broadcasts: bool,
    serves: Callable[[IPv4Address], bool] = lambda _: True,
) -> Step[BootRequest]:
    """Find out what an allowed client asks for; the refusals are those of `pxe_rules.classify` and `by_known_relay`,
    and Ignore(OUTSIDE_NETWORKS): the answer would go from port 4011 to a client in a network that the box does not
    `serve`. Anybody can put any address there, and have the answer sent to it.

    `leasing`: the message asks us for an address too. Then a REQUEST counts as the DISCOVER before it, because iPXE
    takes its boot file from the ACK. `broadcasts`: we have port 67.
    """
    opens = message.message_type == MessageType.DISCOVER
    if leasing and not opens:
        if message.message_type != MessageType.REQUEST:
            return Ignore(Reason.NOT_FOR_US), ()
        message = replace(message, message_type=MessageType.DISCOVER)
    request = pxe_rules.classify(message, arrival)
    if isinstance(request, Ignore):
        return request, _refusal(request, message, arrival)
    relayed, refusal = by_known_relay(message, arrival, serves)
    if isinstance(relayed, Ignore):
        return relayed, refusal
    if arrival.port != SERVER_PORT and not serves(arrival.source):
        refused = Ignore(Reason.OUTSIDE_NETWORKS)
        return refused, _refusal(refused, message, arrival)
    # Where DISCOVERs do not reach us, a boot begins for us with the question to port 4011.
    if not opens and broadcasts:
        return request, ()
    asked = (request.architecture, request.ipxe, message.xid, message.secs, request.http)
    return request, (Discovered(request.mac, *asked, fingerprint(message)),)


def answer(
    message: Message, request: BootRequest, plan: BootPlan | Ignore, address: IPv4Address, arrival: Arrival
) -> Step[Reply]:
    """Answer a boot request with what `plan` says. Report the event once the reply has been sent."""
    if isinstance(plan, Ignore):
        return plan, _refusal(plan, message, arrival)
    reply = pxe_rules.answer(message, request, plan, address, arrival)
    if isinstance(reply, Ignore):
        return reply, _refusal(reply, message, arrival)
    return reply, (Offered(reply.mac, plan.boot_file, arrival.port),)


def is_without_lease(message: Message, decision: Decision) -> bool:
    """Whether the boot offer goes out alone, after this decision about a lease: a network without a pool has a DHCP
    server of its own."""
    return message.message_type == MessageType.DISCOVER and decision == Ignore(Reason.NO_POOL)


def waits_for_router(message: Message, arrival: Arrival) -> bool:
    """Whether this is a DISCOVER of an iPXE on our own link, which probably waits for an IPv6 router meanwhile."""
    on_link = arrival.port == SERVER_PORT and arrival.source == NOWHERE and not message.relayed
    return on_link and message.ipxe and message.message_type == MessageType.DISCOVER and not message.mac.is_group


def _observations(message: Message, arrival: Arrival, address: IPv4Address, *, leasing: bool) -> tuple[Event, ...]:
    if arrival.port == SERVER_PORT and message.message_type == MessageType.DISCOVER:
        return ()  # has no address yet, and has chosen no server
    used = pxe_rules.address_used(message, arrival)
    found: tuple[Event, ...] = () if isinstance(used, Ignore) else (AddressSeen(message.mac, used),)
    chosen = pxe_rules.server_chosen(message, arrival)
    if not isinstance(chosen, Ignore):
        ours = chosen == address or (leasing and chosen == message.server_override)
        found += (LeaseChosen(message.mac, chosen, ours),)
    return found


def _refusal(ignore: Ignore, message: Message, arrival: Arrival) -> tuple[Event, ...]:
    if ignore.reason in _UNREPORTED:
        return ()
    return (Ignored("dhcp", str(message.mac), ignore.reason, _description(message, arrival), _sender(arrival)),)


def _sender(arrival: Arrival) -> str:
    """The client's own address, or a relay's; a client without an address says nothing about where it is."""
    return "" if arrival.source == NOWHERE else str(arrival.source)


def _description(message: Message, arrival: Arrival) -> str:
    numbers = ", ".join(map(str, message.architectures)) or "none"
    known = "".join(f"{quirk.name}, " for quirk in quirks.find(message))
    where = f"{arrival.source}:{arrival.source_port}"
    return f"class '{printable(message.vendor_class, 255)}', architecture {numbers}, {known}from {where}"
