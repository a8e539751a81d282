"""A DHCP server's answers as packets: RFC 2131 table 3, RFC 2132. PURE.

The boot options come from pxe_rules.py: its offer is merged in, so that a client needs only this one answer to boot.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from services.dhcp.lease import Information, LeaseGrant, LeaseOffer, Nak
from services.dhcp.message import (
    BROADCAST_FLAG,
    CLIENT_PORT,
    EVERYONE,
    NOWHERE,
    SERVER_PORT,
    Message,
    MessageType,
    Option,
    Reply,
    is_host,
)
from services.dhcp.pool import Subnet

_TYPES = {
    LeaseOffer: MessageType.OFFER,
    LeaseGrant: MessageType.ACK,
    Information: MessageType.ACK,
    Nak: MessageType.NAK,
}
# The options of a proxy's offer that are about booting; the others come with the lease.
_BOOT = (Option.VENDOR_CLASS, Option.CLIENT_UUID, Option.VENDOR_OPTIONS, Option.TFTP_SERVER, Option.BOOT_FILE)

_PXE_CLIENT = (Option.VENDOR_CLASS, b"PXEClient")


@dataclass(frozen=True, slots=True)
class BootFields:
    """What a client boots: the fields and options of the offer that a proxy would make."""

    siaddr: IPv4Address = NOWHERE
    sname: bytes = b""
    file: bytes = b""
    options: tuple[tuple[int, bytes], ...] = ()
    delay: float = 0.0

    @classmethod
    def of(cls, offer: Reply, *, ipxe: bool) -> "BootFields":
        """Take the fields from a proxy's offer, to iPXE or to firmware.

        For firmware, option 60 `PXEClient` is left out where there is no option 43: EDK2 treats a lease with option 60
        alone as a "DhcpBinl" offer, and asks port 4011 for what it was told already (PxeBcHandleDhcp4Offer). For iPXE
        it stays: iPXE learns from it that there is no proxy's offer to wait for, which would take 3 s.
        """
        options = tuple(option for option in offer.options if option[0] in _BOOT)
        if not ipxe and not offer.option(Option.VENDOR_OPTIONS):
            options = tuple(option for option in options if option != _PXE_CLIENT)
        return cls(offer.siaddr, offer.sname, offer.file, options, offer.delay)


NO_BOOT = BootFields()


def reply(
    message: Message,
    decision: LeaseOffer | LeaseGrant | Information | Nak,
    server: IPv4Address,
    boot: BootFields = NO_BOOT,
) -> Reply:
    """The packet for a decision, from our address `server`; its relay may want another one in option 54 (RFC 5107).

    A client without an address is answered by broadcast even if it did not ask for that: RFC 2131 section 4.1 allows
    it, and unicast to an address that the client does not have yet needs CAP_NET_RAW.
    """
    kind = _TYPES[type(decision)]
    denied = isinstance(decision, Nak)
    boot = NO_BOOT if denied else boot
    named = message.server_named(server).packed
    lease_options: list[tuple[int, bytes]] = [(Option.MESSAGE_TYPE, bytes([kind])), (Option.SERVER_ID, named)]
    yiaddr = NOWHERE
    match decision:
        case LeaseOffer():
            yiaddr = decision.address
            lease_options += _times(decision.subnet) + _network(decision.subnet)
        case LeaseGrant():
            yiaddr = decision.lease.address
            lease_options += _times(decision.subnet) + _network(decision.subnet)
        case Information():
            lease_options += _network(decision.subnet)
    # RFC 6842: the client identifier is echoed, if the client sent one.
    echoed = [(Option.CLIENT_ID, message.client_id)] if 0 < len(message.client_id) <= 255 else []
    # RFC 3046 section 2.2: it is sent back unchanged, as the last option. A switch adds it without setting giaddr.
    tagged = 0 < len(message.relay_information) <= 255
    last = [(Option.RELAY_INFORMATION, message.relay_information)] if tagged else []
    destination, port = _destination(message, decision)
    # RFC 2131 section 4.3.2: a relay has to broadcast a NAK, because the client has no valid address.
    flags = message.flags | BROADCAST_FLAG if denied and message.giaddr != NOWHERE else message.flags
    return Reply(
        message_type=kind,
        xid=message.xid,
        flags=flags,
        ciaddr=message.ciaddr if kind is MessageType.ACK else NOWHERE,
        siaddr=boot.siaddr,
        giaddr=message.giaddr,
        mac=message.mac,
        sname=boot.sname,
        file=boot.file,
        options=(*lease_options, *echoed, *boot.options, *last),
        destination=destination,
        destination_port=port,
        yiaddr=yiaddr,
        delay=boot.delay,
    )


def _times(subnet: Subnet) -> list[tuple[int, bytes]]:
    """Options 51, 58 and 59. T1 and T2 are the defaults of RFC 2131 section 4.4.5, for clients that want them sent."""
    lease = subnet.lease_seconds
    times = ((Option.LEASE_TIME, lease), (Option.RENEWAL_TIME, lease // 2), (Option.REBINDING_TIME, lease * 7 // 8))
    return [(option, seconds.to_bytes(4, "big")) for option, seconds in times]


def _network(subnet: Subnet) -> list[tuple[int, bytes]]:
    """The options of every client of the network. RFC 2132 section 3.5: the mask before the router."""
    options: list[tuple[int, bytes]] = [(Option.SUBNET_MASK, subnet.network.netmask.packed)]
    lists = ((Option.ROUTER, subnet.routers), (Option.DNS, subnet.dns), (Option.NTP, subnet.ntp))
    options += [(option, b"".join(each.packed for each in addresses)) for option, addresses in lists if addresses]
    return [*options, (Option.BROADCAST_ADDRESS, subnet.network.broadcast_address.packed)]


def _destination(message: Message, decision: LeaseOffer | LeaseGrant | Information | Nak) -> tuple[IPv4Address, int]:
    """RFC 2131 section 4.1: to the relay; to a client at its address, if that is the one it leases or, for an INFORM,
    one of the network; otherwise broadcast."""
    if message.giaddr != NOWHERE:
        return message.giaddr, SERVER_PORT
    match decision:
        case LeaseGrant(lease) if lease.address == message.ciaddr:
            return message.ciaddr, CLIENT_PORT
        case Information(subnet) if message.ciaddr in subnet.network and is_host(message.ciaddr):
            return message.ciaddr, CLIENT_PORT
    return EVERYONE, CLIENT_PORT
