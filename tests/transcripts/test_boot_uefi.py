"""UEFI: EDK2 as captured in PXE and HTTP boot, other architectures, lists of them, and unsupported ones."""

import pytest

from services.dhcp import packet
from services.dhcp.message import Reply
from tests.captures import datagrams
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.transcripts.wire import Wire, decide, sent

MAC = bytes.fromhex("525400aabb01")

OFFER = r"""
    OFFER -> 255.255.255.255:68
    flags 8000
    siaddr 10.77.0.1
    sname 10.77.0.1
    file 525400aabb01/snponly.efi
    54 10.77.0.1
    60 PXEClient
    97 00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df
    66 10.77.0.1\0
    67 525400aabb01/snponly.efi\0
"""
ZEROS = OFFER.replace("00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df", " ".join(["00"] * 17))


def test_edk2_discovers_then_asks_port_4011_from_port_4011() -> None:
    discover, request, ask = datagrams("uefi-pxe-edk2-head.pcap", 67, 4011)[:3]
    assert (
        Wire()
        >> discover
        << ZEROS
        >> request
        << """
            silence: NOT_FOR_US
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
            takes: the lease of 10.77.0.2
        """
        >> ask
        << r"""
            ACK -> 10.77.0.134:4011
            flags 0000
            ciaddr 10.77.0.134
            siaddr 10.77.0.1
            sname 10.77.0.1
            file 525400aabb01/snponly.efi
            54 10.77.0.1
            60 PXEClient
            97 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
            66 10.77.0.1\0
            67 525400aabb01/snponly.efi\0
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
        """
    )


def test_boot_item_is_echoed_to_uefi_too_when_it_is_asked() -> None:
    asked = message(REQUEST, MAC, [*firmware(7), (43, bytes.fromhex("0000470400000000"))], ciaddr="10.77.0.134")
    assert (
        Wire()
        >> sent(asked, "10.77.0.134:4011", 4011)
        << r"""
            ACK -> 10.77.0.134:4011
            flags 0000
            ciaddr 10.77.0.134
            siaddr 10.77.0.1
            sname 10.77.0.1
            file 525400aabb01/snponly.efi
            54 10.77.0.1
            60 PXEClient
            97 00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df
            43 47 04 00 00 00 00 ff
            66 10.77.0.1\0
            67 525400aabb01/snponly.efi\0
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
        """
    )


@pytest.mark.parametrize("architecture", [7, 9])
def test_both_numbers_of_x64_are_the_same_firmware(architecture: int) -> None:
    assert Wire() >> sent(message(DISCOVER, MAC, firmware(architecture))) << OFFER


@pytest.mark.parametrize("listed", ["000b 0007", "0007 0006", "0010 0009 0007", "ffff 0007 00"])
def test_the_first_architecture_of_a_list_that_has_a_loader_counts(listed: str) -> None:
    options = [(code, bytes.fromhex(listed) if code == 93 else value) for code, value in firmware(7)]
    assert Wire() >> sent(message(DISCOVER, MAC, options)) << OFFER


def test_ia32_gets_the_loader_that_is_configured_for_it() -> None:
    assert Wire() >> sent(message(DISCOVER, MAC, firmware(6))) << OFFER.replace("snponly", "ia32")


@pytest.mark.parametrize("architecture", [11, 19, 41])
def test_an_architecture_without_a_loader_is_refused_with_that_reason(architecture: int) -> None:
    assert Wire() >> sent(message(DISCOVER, MAC, firmware(architecture))) << "refused: NO_LOADER"


@pytest.mark.parametrize("architecture", [2, 10, 21])
def test_other_architectures_are_refused(architecture: int) -> None:
    assert Wire() >> sent(message(DISCOVER, MAC, firmware(architecture))) << "refused: UNSUPPORTED_FIRMWARE"


HTTP_OFFER = r"""
    OFFER -> 255.255.255.255:68
    flags 8000
    siaddr 10.77.0.1
    file http://10.77.0.1/boot/525400aabb01/loader/snponly.efi
    54 10.77.0.1
    60 HTTPClient
    97 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    67 http://10.77.0.1/boot/525400aabb01/loader/snponly.efi\0
"""


def test_uefi_http_boot_is_offered_a_url_then_ipxe_its_script() -> None:
    """The requests are those of a capture; the offer has the fields of the one that EDK2 took there."""
    discover, request, ipxe_discover, ipxe_request = datagrams("uefi-http-proxy.pcap", 67)
    seen = "silence: NOT_FOR_US\nseen: 52:54:00:aa:bb:01 at 10.77.0.134\ntakes: the lease of 10.77.0.2"
    script = "http://10.77.0.1/boot/525400aabb01/boot.ipxe"
    assert (
        Wire()
        >> discover
        << HTTP_OFFER
        >> request
        << seen
        >> ipxe_discover
        << ZEROS.replace("525400aabb01/snponly.efi", script)
        >> ipxe_request
        << seen
    )


def test_our_http_offer_has_the_options_of_the_one_that_edk2_took() -> None:
    discover = datagrams("uefi-http-proxy.pcap", 67)[0]
    taken = Answer.parse(datagrams("uefi-http-proxy.pcap", 68)[0].payload)
    reply, _ = decide(discover)
    assert isinstance(reply, Reply)
    ours = Answer.parse(packet.encode(reply))
    assert (ours.order, ours.flags, ours.siaddr, ours.sname) == (taken.order, taken.flags, taken.siaddr, taken.sname)
    assert {code: ours.options[code] for code in (53, 54, 60, 97)} == {c: taken.options[c] for c in (53, 54, 60, 97)}


@pytest.mark.parametrize(
    ("architecture", "loader"),
    [(15, "ia32.efi"), (16, "snponly.efi"), (19, ""), (20, "undionly.kpxe"), (7, "snponly.efi")],
)
def test_the_numbers_of_http_boot(architecture: int, loader: str) -> None:
    """Only option 60 says that a client speaks HTTP."""
    uuid = (97, bytes(17))
    options = [(60, f"HTTPClient:Arch:{architecture:05}:UNDI:003000".encode()), (93, bytes([0, architecture])), uuid]
    expected = HTTP_OFFER.replace("snponly.efi", loader) if loader else "refused: NO_LOADER"
    assert Wire() >> sent(message(DISCOVER, MAC, options)) << expected
