"""Who gets no answer, and which refusals are reported: boot requests are, everybody's ordinary DHCP traffic is not."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from services.decision import Ignore, Reason
from services.dhcp.fingerprint import fingerprint
from services.dhcp.message import Reply
from services.dhcp.packet import MAX_DATAGRAM, decode
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Ignored, LeaseChosen, Offered
from tests.captures import Datagram
from tests.fakes.dhcp_client import DISCOVER, INFORM, REQUEST, firmware, message
from tests.transcripts.wire import BOX, Wire, decide, sent

MAC = bytes.fromhex("525400aabb01")
PC = MacAddress.from_bytes(MAC)
OFFICE = [(60, b"MSFT 5.0")]
LEASED = "10.77.0.134"


def discover(*options: tuple[int, bytes], source: str = "0.0.0.0:68", giaddr: str = "0.0.0.0") -> Datagram:
    return sent(message(DISCOVER, MAC, options, giaddr=giaddr), source)


def events(datagram: Datagram, *, leasing: bool = False, broadcasts: bool = True) -> list[Event]:
    return decide(datagram, leasing=leasing, broadcasts=broadcasts)[1]


def test_a_boot_request_that_cannot_be_read_is_reported() -> None:
    boot, office = message(DISCOVER, MAC, firmware(0)), message(DISCOVER, MAC, OFFICE)
    assert (
        Wire()
        >> sent(b"\x02" + boot[1:], "10.77.0.9:68")
        << "refused: MALFORMED"
        >> sent(boot.ljust(MAX_DATAGRAM + 1, b"\0"))
        << "refused: MALFORMED"
        >> sent(b"\x02" + office[1:])
        << "silence: MALFORMED"
        >> sent(b"")
        << "silence: MALFORMED"
    )
    assert events(sent(b"\x02" + boot[1:], "10.77.0.9:68")) == [
        Ignored("dhcp", "10.77.0.9", Reason.MALFORMED, sender="10.77.0.9")
    ]


def test_a_pc_that_may_not_boot_is_reported_when_it_tries_to() -> None:
    used = message(REQUEST, MAC, [*OFFICE, (50, IPv4Address(LEASED).packed), (54, bytes([10, 77, 0, 2]))])
    assert (
        Wire(allowed=False)
        >> discover(*firmware(7))
        << "refused: NOT_ALLOWED"
        >> sent(message(REQUEST, MAC, firmware(7), ciaddr=LEASED), f"{LEASED}:4011", 4011)
        << "refused: NOT_ALLOWED"
        >> sent(message(REQUEST, MAC, firmware(7)))
        << "silence: NOT_ALLOWED"
        >> discover(*OFFICE)
        << "silence: NOT_ALLOWED"
        >> sent(used)
        << "silence: NOT_ALLOWED"
    )


def test_where_it_gets_an_address_it_is_reported_all_the_same() -> None:
    assert (
        Wire(allowed=False, leasing=True)
        >> discover(*firmware(7))
        << "refused: NOT_ALLOWED"
        >> discover(*OFFICE)
        << "silence: NOT_ALLOWED"
    )


def test_ordinary_dhcp_traffic_is_not_reported() -> None:
    bootp = message(DISCOVER, MAC)[:240] + b"\xff" + bytes(60)
    assert (
        Wire()
        >> sent(bootp)
        << "silence: NOT_NETBOOT"
        >> discover(*OFFICE)
        << "silence: NOT_NETBOOT"
        >> sent(message(REQUEST, MAC, [*firmware(7), (54, BOX.packed)]))
        << "silence: NOT_FOR_US\ntakes: the lease of 10.77.0.1, ours"
        >> sent(message(DISCOVER, MAC, firmware(7)), f"{LEASED}:68", 4011)
        << "silence: NOT_FOR_US"
    )


@pytest.mark.parametrize(
    ("datagram", "reason", "detail"),
    [
        (
            discover(*firmware(10)),
            Reason.UNSUPPORTED_FIRMWARE,
            "class 'PXEClient:Arch:00010:UNDI:002001', architecture 10, from 0.0.0.0:68",
        ),
        (
            discover((60, b"AAPLBSDPC/i386")),
            Reason.UNSUPPORTED_FIRMWARE,
            "class 'AAPLBSDPC/i386', architecture none, from 0.0.0.0:68",
        ),
        (
            discover((60, b"PXEClient:Arch:00007"), source="10.77.0.9:40000"),
            Reason.MALFORMED,
            "class 'PXEClient:Arch:00007', architecture none, architecture in option 60 only, from 10.77.0.9:40000",
        ),
        (
            discover(*firmware(0), source="10.78.0.1:67", giaddr="127.0.0.1"),
            Reason.MALFORMED,
            "class 'PXEClient:Arch:00000:UNDI:002001', architecture 0, from 10.78.0.1:67",
        ),
        (
            discover(*firmware(11)),
            Reason.NO_LOADER,
            "class 'PXEClient:Arch:00011:UNDI:002001', architecture 11, from 0.0.0.0:68",
        ),
    ],
    ids=["unknown architecture", "Apple", "strange port", "strange relay", "no loader"],
)
def test_a_refused_boot_request_is_reported_with_what_was_asked(
    datagram: Datagram, reason: Reason, detail: str
) -> None:
    decision, reported = decide(datagram)
    assert decision == Ignore(reason)
    source = detail.rpartition(" ")[2].partition(":")[0]
    expected = Ignored("dhcp", str(PC), reason, detail, "" if source == "0.0.0.0" else source)
    assert [each for each in reported if isinstance(each, Ignored)] == [expected]


def test_what_the_box_refuses_is_reported_after_the_boot_was_opened() -> None:
    def nothing_to_boot(_: object) -> Ignore:
        return Ignore(Reason.NO_IMAGE)

    assert Wire(planned=nothing_to_boot) >> discover(*firmware(7)) << "refused: NO_IMAGE"
    reported = decide(discover(*firmware(7)), planned=nothing_to_boot)[1]
    assert [type(each) for each in reported] == [Discovered, Ignored]


def opened(datagram: Datagram, *, http: bool = False) -> Discovered:
    read = decode(datagram.payload)
    assert not isinstance(read, Ignore)
    return Discovered(PC, read.architectures[0], read.ipxe, read.xid, read.secs, http, fingerprint(read))


def test_a_discover_opens_a_boot() -> None:
    asked = discover(*firmware(7, (77, b"iPXE")))
    script = f"http://{BOX}/boot/525400aabb01/boot.ipxe"
    assert events(asked) == [opened(asked), Offered(PC, script, 67)]


def test_port_4011_opens_a_boot_only_where_discovers_are_not_heard() -> None:
    asked = sent(message(REQUEST, MAC, firmware(7), ciaddr=LEASED, secs=4), f"{LEASED}:4011", 4011)
    seen, offered = AddressSeen(PC, IPv4Address(LEASED)), Offered(PC, "525400aabb01/snponly.efi", 4011)
    assert events(asked) == [seen, offered]
    assert events(asked, broadcasts=False) == [seen, opened(asked), offered]


def test_where_the_box_leases_addresses_a_request_asks_for_the_boot_file_again_and_opens_no_second_boot() -> None:
    options = [*firmware(7), (50, IPv4Address(LEASED).packed), (54, BOX.packed)]
    request = sent(message(REQUEST, MAC, options))
    reply, reported = decide(request, leasing=True)
    assert isinstance(reply, Reply)
    assert reply.file == b"525400aabb01/snponly.efi"
    assert reported[:2] == [AddressSeen(PC, IPv4Address(LEASED)), LeaseChosen(PC, BOX, ours=True)]
    assert not [each for each in reported if isinstance(each, Discovered)]
    assert Wire(leasing=True) >> replace(request, source_port=40000) << "refused: MALFORMED"


@pytest.mark.parametrize("options", [firmware(7), [(60, b"AAPLBSDPC/i386")]], ids=["PXE", "Apple"])
def test_where_the_box_leases_addresses_nothing_else_asks_for_a_boot_file(options: list[tuple[int, bytes]]) -> None:
    inform = sent(message(INFORM, MAC, options, ciaddr=LEASED), f"{LEASED}:68")
    assert Wire(leasing=True) >> inform << f"silence: NOT_FOR_US\nseen: 52:54:00:aa:bb:01 at {LEASED}"
