"""The DHCP server's packets, taken apart by a reader that shares no code with it: RFC 2131 table 3."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from services.decision import Ignore
from services.dhcp import packet, proxy
from services.dhcp.lease import Information, Lease, LeaseGrant, Offer, Refusal, State
from services.dhcp.lease_reply import NO_BOOT, BootFields, reply
from services.dhcp.message import Arrival, Message
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pool import AddressRange, Subnet
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, INFORM, NOWHERE, REQUEST, Answer, firmware, message

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
OFFER = Offer(ADDRESS, SUBNET, probe=False)
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
    datagram: bytes, decision: Offer | LeaseGrant | Information | Refusal, boot: BootFields = NO_BOOT
) -> tuple[Answer, tuple[str, int]]:
    """The answer's parts, and where it goes."""
    made = reply(asked(datagram), decision, BOX, boot)
    return Answer.parse(packet.encode(made)), (str(made.destination), made.destination_port)


def test_an_offer_has_the_lease_and_the_network() -> None:
    heard, to = answer(message(DISCOVER, MAC, xid=77, flags=0x8000), OFFER)
    assert (heard.op, heard.xid, heard.flags, heard.mac) == (2, 77, 0x8000, MAC)
    assert (heard.yiaddr, heard.ciaddr, heard.siaddr, heard.file, heard.sname) == (
        "10.77.0.100",
        NOWHERE,
        NOWHERE,
        "",
        "",
    )
    times = {51: (3600).to_bytes(4, "big"), 58: (1800).to_bytes(4, "big"), 59: (3150).to_bytes(4, "big")}
    assert heard.options == {53: b"\x02", 54: BOX.packed, **times, **NETWORK}
    assert heard.order.index(1) < heard.order.index(3)
    assert to == BROADCAST


def test_what_the_network_has_not_got_is_not_said() -> None:
    bare = Subnet(SUBNET.network, SUBNET.ranges)
    heard, _ = answer(message(DISCOVER, MAC), Offer(ADDRESS, bare, probe=False))
    assert not {3, 6, 42} & heard.options.keys()


def test_a_client_that_has_no_address_yet_is_answered_by_broadcast() -> None:
    heard, to = answer(message(REQUEST, MAC, [(50, ADDRESS.packed)], flags=0), GRANT)
    assert (heard.options[53], heard.yiaddr, heard.flags) == (b"\x05", "10.77.0.100", 0)
    assert to == BROADCAST


def test_a_renewal_goes_to_the_client_alone() -> None:
    heard, to = answer(message(REQUEST, MAC, ciaddr="10.77.0.100"), GRANT)
    assert (heard.ciaddr, heard.yiaddr) == ("10.77.0.100", "10.77.0.100")
    assert to == ("10.77.0.100", 68)


@pytest.mark.parametrize("nonsense", ["255.255.255.255", "127.0.0.1", "224.0.0.1"])
def test_no_answer_goes_to_an_address_that_no_client_has(nonsense: str) -> None:
    assert answer(message(INFORM, MAC, ciaddr=nonsense), Information(SUBNET))[1] == BROADCAST


def test_an_inform_is_told_the_network_and_no_lease() -> None:
    heard, to = answer(message(INFORM, MAC, ciaddr="10.77.0.9"), Information(SUBNET))
    assert heard.options == {53: b"\x05", 54: BOX.packed, **NETWORK}
    assert (heard.yiaddr, to) == (NOWHERE, ("10.77.0.9", 68))


def test_a_nak_says_nothing_else_and_is_broadcast_even_to_one_with_an_address() -> None:
    heard, to = answer(message(REQUEST, MAC, ciaddr="10.77.0.100"), Refusal("why"), boot_of(7))
    assert heard.options == {53: b"\x06", 54: BOX.packed}
    assert (heard.yiaddr, heard.ciaddr, heard.siaddr, heard.file) == (NOWHERE, NOWHERE, NOWHERE, "")
    assert to == BROADCAST


def test_a_relay_gets_its_information_back_last_and_broadcasts_a_nak() -> None:
    information = bytes([1, 2, 7, 7, 2, 1, 9])
    relayed = message(REQUEST, MAC, [(82, information), (61, b"\x01" + MAC)], giaddr="10.88.0.1")
    heard, to = answer(relayed, GRANT)
    assert (heard.giaddr, heard.options[82], heard.order[-1], to) == ("10.88.0.1", information, 82, ("10.88.0.1", 67))
    heard, to = answer(relayed, Refusal("why"))
    assert (heard.options[82], heard.flags, to) == (information, 0x8000, ("10.88.0.1", 67))
    # RFC 3046 section 2.2: from a client itself it is not echoed.
    assert 82 not in answer(message(DISCOVER, MAC, [(82, information)]), OFFER)[0].options


def test_a_client_id_is_echoed() -> None:
    assert answer(message(DISCOVER, MAC, [(61, b"\xffabcd")]), OFFER)[0].options[61] == b"\xffabcd"
    assert answer(message(REQUEST, MAC, [(61, b"\xffabcd")]), Refusal("why"))[0].options[61] == b"\xffabcd"


def boot_of(
    architecture: int,
    profile: Profile = Profile.STANDARD,
    boot_file: str = "52540077000a/snponly.efi",
    *,
    ipxe: bool = False,
) -> BootFields:
    """What the proxy's rules say that a client of this firmware boots."""
    http = architecture == 16
    options = firmware(architecture)
    if http:
        options = [(c, b"HTTPClient:Arch:00016:UNDI:003000" if c == 60 else v) for c, v in options]
    arrival = Arrival(IPv4Address(NOWHERE), 68, 67)
    offer = proxy.respond(asked(message(DISCOVER, MAC, options)), BootPlan(boot_file, profile), BOX, arrival)
    assert not isinstance(offer, Ignore)
    return BootFields.of(offer, ipxe=ipxe)


def test_bios_boots_from_the_one_offer() -> None:
    heard, _ = answer(message(DISCOVER, MAC, firmware(0)), OFFER, boot_of(0))
    assert (heard.yiaddr, heard.siaddr, heard.sname, heard.file) == (
        "10.77.0.100",
        "10.77.0.1",
        "10.77.0.1",
        "52540077000a/snponly.efi",
    )
    assert (heard.options[60], heard.options[43]) == (b"PXEClient", b"\x06\x01\x08\xff")
    assert heard.options[66] == b"10.77.0.1\0"
    assert heard.options[51] == (3600).to_bytes(4, "big")


def test_uefi_boots_from_the_one_offer_and_so_is_not_sent_to_port_4011() -> None:
    """EDK2 takes a lease with option 60 alone for a BINL offer, and asks on."""
    heard, _ = answer(message(DISCOVER, MAC, firmware(7)), OFFER, boot_of(7))
    assert (heard.siaddr, heard.file, heard.options[67]) == (
        "10.77.0.1",
        "52540077000a/snponly.efi",
        b"52540077000a/snponly.efi\0",
    )
    assert not {43, 60} & heard.options.keys()
    heard, _ = answer(message(DISCOVER, MAC, firmware(7)), OFFER, boot_of(7, Profile.VENDOR_OPTIONS))
    assert {43, 60} <= heard.options.keys()


def test_ipxe_is_told_to_await_no_other_offer() -> None:
    """By option 60: its DHCP goes on at once when an offer is that of a boot server."""
    script = "http://10.77.0.1/boot/52540077000a/boot.ipxe"
    sent = message(DISCOVER, MAC, firmware(7, (77, b"iPXE")))
    assert asked(sent).ipxe
    heard, _ = answer(sent, OFFER, boot_of(7, boot_file=script, ipxe=True))
    assert (heard.options[60], heard.file, heard.siaddr) == (b"PXEClient", script, "10.77.0.1")


def test_http_boot_takes_its_class_and_its_url() -> None:
    url = "http://10.77.0.1/boot/52540077000a/loader/snponly.efi"
    heard, _ = answer(message(REQUEST, MAC, firmware(16)), GRANT, boot_of(16, boot_file=url))
    assert (heard.options[60], heard.options[67], heard.file) == (b"HTTPClient", url.encode() + b"\0", url)


def test_the_longest_answer_fits_what_a_client_has_to_take() -> None:
    """RFC 2131 section 2: 312 bytes of options; here with everything but a relay's information."""
    full = Subnet(SUBNET.network, SUBNET.ranges, {}, SUBNET.routers, SUBNET.dns * 2, SUBNET.ntp * 4)
    boot = boot_of(16, boot_file="http://10.77.0.1:65535/boot/52540077000a/loader/" + "x" * 60 + ".efi")
    sent = message(DISCOVER, MAC, [*firmware(16), (61, b"\xff" + bytes(18))])
    heard, _ = answer(sent, Offer(ADDRESS, full, probe=False), boot)
    assert heard.size - 236 <= 312
