"""The DHCP server's packets, taken apart by a reader that shares no code with it: RFC 2131 table 3."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from services.decision import Ignore
from services.dhcp import packet
from services.dhcp.lease import Information, Lease, LeaseGrant, LeaseOffer, Nak, State
from services.dhcp.lease_reply import NO_BOOT, BootFields, reply
from services.dhcp.message import Arrival, Message
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pool import AddressRange, Subnet
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, INFORM, NOWHERE, REQUEST, Answer, firmware, message
from tests.fakes.pxe_answers import respond

BOX = IPv4Address("10.77.0.1")
MAC = bytes.fromhex("52540077000a")
ADDRESS = IPv4Address("10.77.0.100")
SUBNET = Subnet(
    IPv4Network("10.77.0.0/24"),
    (AddressRange.parse("10.77.0.100-10.77.0.102"),),
    routers=(IPv4Address("10.77.0.254"),),
    dns=(IPv4Address("10.77.0.3"), IPv4Address("10.77.0.4")),
    ntp=(IPv4Address("10.77.0.5"),),
    lease_seconds=3600,
)
OFFER = LeaseOffer(ADDRESS, SUBNET, probe=False)
GRANT = LeaseGrant(Lease(ADDRESS, MacAddress.from_bytes(MAC), b"", State.LEASED, 0.0), SUBNET, new=True)
BROADCAST = ("255.255.255.255", 68)
NETWORK = {
    1: bytes([255, 255, 255, 0]),
    3: bytes([10, 77, 0, 254]),
    6: bytes([10, 77, 0, 3, 10, 77, 0, 4]),
    28: bytes([10, 77, 0, 255]),
    42: bytes([10, 77, 0, 5]),
}


def asked(datagram: bytes) -> Message:
    read = packet.decode(datagram)
    assert not isinstance(read, Ignore)
    return read


def answer(
    datagram: bytes, decision: LeaseOffer | LeaseGrant | Information | Nak, boot: BootFields = NO_BOOT
) -> tuple[Answer, tuple[str, int]]:
    """The answer's parts, and where it goes."""
    made = reply(asked(datagram), decision, BOX, boot)
    return Answer.parse(packet.encode(made)), (str(made.destination), made.destination_port)


def test_an_offer_has_the_lease_and_the_network() -> None:
    got, to = answer(message(DISCOVER, MAC, xid=77, flags=0x8000), OFFER)
    assert (got.op, got.xid, got.flags, got.mac) == (2, 77, 0x8000, MAC)
    assert (got.yiaddr, got.ciaddr, got.siaddr, got.file, got.sname) == (
        "10.77.0.100",
        NOWHERE,
        NOWHERE,
        "",
        "",
    )
    times = {51: (3600).to_bytes(4, "big"), 58: (1800).to_bytes(4, "big"), 59: (3150).to_bytes(4, "big")}
    assert got.options == {53: b"\x02", 54: BOX.packed, **times, **NETWORK}
    assert got.order.index(1) < got.order.index(3)
    assert to == BROADCAST


def test_options_that_the_network_lacks_are_left_out() -> None:
    bare = Subnet(SUBNET.network, SUBNET.ranges)
    got, _ = answer(message(DISCOVER, MAC), LeaseOffer(ADDRESS, bare, probe=False))
    assert not {3, 6, 42} & got.options.keys()


def test_a_client_that_has_no_address_yet_is_answered_by_broadcast() -> None:
    got, to = answer(message(REQUEST, MAC, [(50, ADDRESS.packed)], flags=0), GRANT)
    assert (got.options[53], got.yiaddr, got.flags) == (b"\x05", "10.77.0.100", 0)
    assert to == BROADCAST


def test_a_renewal_goes_to_the_client_alone() -> None:
    got, to = answer(message(REQUEST, MAC, ciaddr="10.77.0.100"), GRANT)
    assert (got.ciaddr, got.yiaddr) == ("10.77.0.100", "10.77.0.100")
    assert to == ("10.77.0.100", 68)


@pytest.mark.parametrize("nonsense", ["255.255.255.255", "127.0.0.1", "224.0.0.1"])
def test_no_answer_goes_to_an_address_that_no_client_has(nonsense: str) -> None:
    assert answer(message(INFORM, MAC, ciaddr=nonsense), Information(SUBNET))[1] == BROADCAST


def test_an_inform_gets_the_network_and_no_lease() -> None:
    got, to = answer(message(INFORM, MAC, ciaddr="10.77.0.9"), Information(SUBNET))
    assert got.options == {53: b"\x05", 54: BOX.packed, **NETWORK}
    assert (got.yiaddr, to) == (NOWHERE, ("10.77.0.9", 68))


def test_a_nak_has_nothing_else_and_is_broadcast_even_to_a_client_with_an_address() -> None:
    got, to = answer(message(REQUEST, MAC, ciaddr="10.77.0.100"), Nak("why"), boot_of(7))
    assert got.options == {53: b"\x06", 54: BOX.packed}
    assert (got.yiaddr, got.ciaddr, got.siaddr, got.file) == (NOWHERE, NOWHERE, NOWHERE, "")
    assert to == BROADCAST


def test_a_relay_gets_its_information_back_last_and_broadcasts_a_nak() -> None:
    information = bytes([1, 2, 7, 7, 2, 1, 9])
    relayed = message(REQUEST, MAC, [(82, information), (61, b"\x01" + MAC)], giaddr="10.88.0.1")
    got, to = answer(relayed, GRANT)
    assert (got.giaddr, got.options[82], got.order[-1], to) == ("10.88.0.1", information, 82, ("10.88.0.1", 67))
    got, to = answer(relayed, Nak("why"))
    assert (got.options[82], got.flags, to) == (information, 0x8000, ("10.88.0.1", 67))
    # A switch with DHCP snooping adds it without being a relay.
    got, to = answer(message(DISCOVER, MAC, [(82, information)]), OFFER)
    assert (got.options[82], got.order[-1], to) == (information, 82, BROADCAST)


def test_a_relay_that_stands_for_the_server_is_named_as_it() -> None:
    wishes = bytes([11, 4, 10, 88, 0, 9])
    for decision in (GRANT, OFFER, Information(SUBNET), Nak("why")):
        got, to = answer(message(REQUEST, MAC, [(82, wishes)], giaddr="10.88.0.1"), decision)
        assert (got.options[54], got.options[82], to) == (bytes([10, 88, 0, 9]), wishes, ("10.88.0.1", 67))
        assert answer(message(REQUEST, MAC, [(82, wishes)]), decision)[0].options[54] == BOX.packed


def test_a_client_id_is_echoed() -> None:
    assert answer(message(DISCOVER, MAC, [(61, b"\xffabcd")]), OFFER)[0].options[61] == b"\xffabcd"
    assert answer(message(REQUEST, MAC, [(61, b"\xffabcd")]), Nak("why"))[0].options[61] == b"\xffabcd"


def boot_of(
    architecture: int,
    profile: Profile = Profile.STANDARD,
    boot_file: str = "52540077000a/snponly.efi",
    *,
    ipxe: bool = False,
) -> BootFields:
    """What a client with this firmware boots by the proxy's rules."""
    http = architecture == 16
    options = firmware(architecture)
    if http:
        options = [(c, b"HTTPClient:Arch:00016:UNDI:003000" if c == 60 else v) for c, v in options]
    arrival = Arrival(IPv4Address(NOWHERE), 68, 67)
    offer = respond(asked(message(DISCOVER, MAC, options)), BootPlan(boot_file, profile), BOX, arrival)
    assert not isinstance(offer, Ignore)
    return BootFields.of(offer, ipxe=ipxe)


def test_bios_boots_from_the_one_offer() -> None:
    got, _ = answer(message(DISCOVER, MAC, firmware(0)), OFFER, boot_of(0))
    assert (got.yiaddr, got.siaddr, got.sname, got.file) == (
        "10.77.0.100",
        "10.77.0.1",
        "10.77.0.1",
        "52540077000a/snponly.efi",
    )
    assert (got.options[60], got.options[43]) == (b"PXEClient", b"\x06\x01\x08\xff")
    assert got.options[66] == b"10.77.0.1\0"
    assert got.options[51] == (3600).to_bytes(4, "big")


def test_uefi_boots_from_the_one_offer_and_is_not_sent_to_port_4011() -> None:
    """EDK2 treats a lease with option 60 alone as a BINL offer, and asks again."""
    got, _ = answer(message(DISCOVER, MAC, firmware(7)), OFFER, boot_of(7))
    assert (got.siaddr, got.file, got.options[67]) == (
        "10.77.0.1",
        "52540077000a/snponly.efi",
        b"52540077000a/snponly.efi\0",
    )
    assert not {43, 60} & got.options.keys()
    got, _ = answer(message(DISCOVER, MAC, firmware(7)), OFFER, boot_of(7, Profile.VENDOR_OPTIONS))
    assert {43, 60} <= got.options.keys()


def test_ipxe_is_told_not_to_wait_for_another_offer() -> None:
    """By option 60: iPXE continues at once when an offer is from a boot server."""
    script = "http://10.77.0.1/boot/52540077000a/boot.ipxe"
    sent = message(DISCOVER, MAC, firmware(7, (77, b"iPXE")))
    assert asked(sent).ipxe
    got, _ = answer(sent, OFFER, boot_of(7, boot_file=script, ipxe=True))
    assert (got.options[60], got.file, got.siaddr) == (b"PXEClient", script, "10.77.0.1")


def test_http_boot_takes_its_class_and_its_url() -> None:
    url = "http://10.77.0.1/boot/52540077000a/loader/snponly.efi"
    got, _ = answer(message(REQUEST, MAC, firmware(16)), GRANT, boot_of(16, boot_file=url))
    assert (got.options[60], got.options[67], got.file) == (b"HTTPClient", url.encode() + b"\0", url)


def test_the_longest_answer_is_one_that_every_client_has_to_accept() -> None:
    """RFC 2131 section 2: 312 bytes of options; here with everything but a relay's information."""
    full = Subnet(SUBNET.network, SUBNET.ranges, {}, SUBNET.routers, SUBNET.dns * 2, SUBNET.ntp * 4)
    boot = boot_of(16, boot_file="http://10.77.0.1:65535/boot/52540077000a/loader/" + "x" * 60 + ".efi")
    sent = message(DISCOVER, MAC, [*firmware(16), (61, b"\xff" + bytes(18))])
    got, _ = answer(sent, LeaseOffer(ADDRESS, full, probe=False), boot)
    assert got.size - 236 <= 312
