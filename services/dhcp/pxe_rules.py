"""The rules of a proxyDHCP server: PXE 2.1, RFC 4578. PURE.

Says what boot a message asks for, and builds the answer to it: PXE or UEFI HTTP boot, as option 60 says. Never leases
an address. The caller decides who may boot, which file and with which reply profile. Architectures outside
MACHINES (machines.py) are not answered; what particular firmware needs is in quirks.py.
"""

from ipaddress import IPv4Address

from services.decision import Ignore, Reason
from services.dhcp import quirks
from services.dhcp.machines import MACHINES, Machine
from services.dhcp.message import (
    BOOT_SERVER_PORT,
    BROADCAST_FLAG,
    CLIENT_PORT,
    EVERYONE,
    NOWHERE,
    SERVER_PORT,
    Arrival,
    Message,
    MessageType,
    Option,
    Reply,
    is_host,
)
from services.dhcp.options import END, read_options
from services.dhcp.plan import BootPlan, Profile
from services.ethernet import MacAddress
from services.values import value

FILE_ROOM = 127
"""Bytes of a boot file name that fit into the header's `file` field, before its NUL."""

_PXE = quirks.PXE
_HTTP = "HTTPClient"
_BOOT_ITEM = 71
# Discovery control with bit 3: no discovery, no menu, "just load the boot file" (PXE 2.1, table 2-1). Without it a BIOS
# ROM looks for boot servers by broadcast and multicast instead of loading the file (PXE 2.1, section 2.3). UEFI gets no
# option 43: EDK2 before April 2017 drops an offer with it and gives up; without it the offer is kept, and the client
# asks port 4011 (tianocore/edk2#6944). For firmware with which either fails there are reply profiles that do the
# opposite.
_JUST_BOOT = b"\x06\x01\x08"

_DELAY = 1.0
"""Seconds that Profile.DELAYED waits: EDK2 waits 3.6 s for offers, iPXE 2 s. A few ROMs miss an instant answer;
dnsmasq has dhcp-reply-delay for them (dnsmasq(8))."""


@value
class BootRequest:
    """A client asks for its boot file. `architectures` are those of option 93 that MACHINES knows, at least one.
    `ipxe`: it is an iPXE that can load its script by HTTP. `http`: it needs an http URL, because it speaks no TFTP
    (UEFI HTTP boot)."""

    mac: MacAddress
    architectures: tuple[int, ...]
    ipxe: bool
    http: bool = False

    @property
    def architecture(self) -> int:
        """The one that the client names first."""
        return self.architectures[0]

    @property
    def machines(self) -> tuple[Machine, ...]:
        """What its loader may be built for, in its order of preference."""
        return tuple(MACHINES[number] for number in self.architectures)


def classify(message: Message, arrival: Arrival) -> BootRequest | Ignore:
    """Say whether the message asks us for a boot file.

    Ignore(NOT_FOR_US): neither a DISCOVER on port 67 nor a REQUEST or INFORM on 4011. Ignore(NOT_NETBOOT): not boot
    firmware. Ignore(UNSUPPORTED_FIRMWARE): firmware that we cannot serve. Ignore(MALFORMED): without a relay, and
    not from a client's port.
    """
    message = quirks.regular(message)
    if message.vendor_class.startswith(quirks.UNSUPPORTED_CLASSES) and message.message_type in _BOOTING:
        return Ignore(Reason.UNSUPPORTED_FIRMWARE)
    if message.message_type not in _ASKED.get(arrival.port, ()):
        return Ignore(Reason.NOT_FOR_US)
    http = message.vendor_class.startswith(_HTTP)
    if not (http or message.vendor_class.startswith(_PXE)) or not message.architectures:
        return Ignore(Reason.NOT_NETBOOT)
    # Relays send from any port, and firewalls change it; what names a relay is answered at its port 67 in any case.
    if not message.relayed and not _from_dhcp_port(message, arrival):
        return Ignore(Reason.MALFORMED)
    known = tuple(number for number in message.architectures if number in MACHINES)
    if not known:
        return Ignore(Reason.UNSUPPORTED_FIRMWARE)
    # Some iPXEs in network cards and hypervisors are built without HTTP: like other firmware they get a loader by TFTP,
    # which is an iPXE with HTTP.
    return BootRequest(message.mac, known, message.ipxe and message.ipxe_http, http)


def answer(
    message: Message, request: BootRequest, plan: BootPlan, address: IPv4Address, arrival: Arrival
) -> Reply | Ignore:
    """Answer a message that `classify` has turned into a request: OFFER on port 67, ACK on port 4011.

    `address` is ours on the interface by which the message arrived. A boot server request that names another server in
    option 54 is answered too: port 4011 gets only what was sent to `address` itself, so nobody else can answer it. The
    client may mean its DHCP server there. Option 54 of an offer names the relay where that wants it (RFC 5107). What
    firmware loads from, and asks on port 4011, stays `address`, in siaddr: no relay passes that on. Ignore(MALFORMED):
    the answer would have to go to what is not a host.
    """
    offering = arrival.port == SERVER_PORT
    destination, port = _destination(message, arrival)
    if destination is not EVERYONE and not is_host(destination):
        return Ignore(Reason.MALFORMED)
    boot_file = plan.boot_file.encode()
    needs = quirks.find(message)
    # HTTP boot finds its server in the URL; the answer is as in the capture tests/captures/uefi-http-proxy.pcap.
    server = b"" if request.http else str(address).encode()
    options: list[tuple[int, bytes]] = [
        (Option.MESSAGE_TYPE, bytes([MessageType.OFFER if offering else MessageType.ACK])),
        (Option.SERVER_ID, (message.server_named(address) if offering else address).packed),
        (Option.VENDOR_CLASS, (_HTTP if request.http else _PXE).encode()),
    ]
    if 0 < len(message.client_uuid) <= 255:
        options.append((Option.CLIENT_UUID, message.client_uuid))
    if vendor_options := _vendor_options(message, request, needs, plan.profile, offering):
        options.append((Option.VENDOR_OPTIONS, vendor_options))
    # RFC 2132 has no NUL here, but ROMs and EDK2 read these as C strings, and dnsmasq always sends it.
    if server:
        options.append((Option.TFTP_SERVER, server + b"\0"))
    options.append((Option.BOOT_FILE, boot_file + b"\0"))
    # RFC 3046 section 2.2: it is sent back unchanged, as the last option. A switch adds it without setting giaddr.
    if 0 < len(message.relay_information) <= 255:
        options.append((Option.RELAY_INFORMATION, message.relay_information))
    return Reply(
        message_type=MessageType.OFFER if offering else MessageType.ACK,
        xid=message.xid,
        flags=message.flags | BROADCAST_FLAG if offering else message.flags,
        ciaddr=NOWHERE if offering else message.ciaddr,
        siaddr=address,
        giaddr=message.giaddr,
        mac=message.mac,
        sname=server,
        file=boot_file if len(boot_file) <= FILE_ROOM else b"",
        options=tuple(options),
        destination=destination,
        destination_port=port,
        delay=_delay(needs, plan.profile),
    )


def address_used(message: Message, arrival: Arrival) -> IPv4Address | Ignore:
    """The address that the client uses, or asks its DHCP server for; Ignore(NOT_FOR_US) when the message shows none.

    On port 67 that is option 50 of a REQUEST (first lease, reboot) or ciaddr (rebinding, INFORM), RFC 2131 section
    4.3.2; on port 4011 ciaddr, if the datagram came from that address. It is the client's claim, not a lease.
    """
    address = NOWHERE
    if arrival.port == BOOT_SERVER_PORT:
        address = message.ciaddr if message.ciaddr == arrival.source else NOWHERE
    elif _from_dhcp_port(message, arrival):
        if message.message_type == MessageType.REQUEST:
            address = message.requested_address or message.ciaddr
        elif message.message_type == MessageType.INFORM:
            address = message.ciaddr
    return address if is_host(address) else Ignore(Reason.NOT_FOR_US)


def server_chosen(message: Message, arrival: Arrival) -> IPv4Address | Ignore:
    """The DHCP server whose offer the client takes; Ignore(NOT_FOR_US) when the message takes none.

    That is option 54 of a REQUEST, which is broadcast so that the other servers learn of it (RFC 2131, section 3.1).
    """
    taken = arrival.port == SERVER_PORT and message.message_type == MessageType.REQUEST
    if not (taken and message.server_id and _from_dhcp_port(message, arrival) and is_host(message.server_id)):
        return Ignore(Reason.NOT_FOR_US)
    return message.server_id


_BOOTING = (MessageType.DISCOVER, MessageType.INFORM)
_ASKED = {
    SERVER_PORT: (MessageType.DISCOVER,),
    BOOT_SERVER_PORT: (MessageType.REQUEST, MessageType.INFORM),
}


def _from_dhcp_port(message: Message, arrival: Arrival) -> bool:
    if arrival.port == BOOT_SERVER_PORT:
        return True  # EDK2 asks from 4011, iPXE from 68, others from any port
    return arrival.source_port == (SERVER_PORT if message.relayed else CLIENT_PORT)


def _destination(message: Message, arrival: Arrival) -> tuple[IPv4Address, int]:
    if arrival.port == BOOT_SERVER_PORT:
        return arrival.source, arrival.source_port
    if message.relayed:
        return message.giaddr, SERVER_PORT
    return EVERYONE, CLIENT_PORT


def _delay(needs: tuple[quirks.Quirk, ...], profile: Profile) -> float:
    return max((_DELAY if profile is Profile.DELAYED else 0.0, *(quirk.delay for quirk in needs)))


def _vendor_options(
    message: Message, request: BootRequest, needs: tuple[quirks.Quirk, ...], profile: Profile, offering: bool
) -> bytes:
    inner = b"".join(quirk.vendor_options for quirk in needs)
    if not inner and not request.http:
        bios = request.machines[0] is Machine.BIOS
        wanted = profile is not Profile.PLAIN if bios else profile is Profile.VENDOR_OPTIONS
        inner = _JUST_BOOT if wanted else b""
    if not offering:
        inner += _boot_item(message.vendor_options)
    return inner + bytes([END]) if inner else b""


def _boot_item(vendor_options: bytes) -> bytes:
    """Sub-option 71 as the client sent it: boot server type and layer, four bytes; b"" when absent or of another
    length."""
    value = read_options(vendor_options).get(_BOOT_ITEM, b"")
    return bytes([_BOOT_ITEM, len(value)]) + value if len(value) == 4 else b""
