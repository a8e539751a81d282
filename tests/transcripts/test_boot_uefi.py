"""UEFI x64: EDK2 as captured, lists of architectures, and what is not supported."""

import pytest

from tests.captures import datagrams
from tests.fakes.dhcp_client import DISCOVER, REQUEST, firmware, message
from tests.transcripts.wire import Wire, sent

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


@pytest.mark.parametrize("listed", ["0006 0007", "0007 0006", "0010 0009 0007", "ffff 0007 00"])
def test_of_a_list_of_architectures_the_first_supported_one_counts(listed: str) -> None:
    options = [(code, bytes.fromhex(listed) if code == 93 else value) for code, value in firmware(7)]
    assert Wire() >> sent(message(DISCOVER, MAC, options)) << OFFER


@pytest.mark.parametrize("architecture", [6, 10, 11, 41])
def test_other_architectures_hear_nothing(architecture: int) -> None:
    assert Wire() >> sent(message(DISCOVER, MAC, firmware(architecture))) << "silence: UNSUPPORTED_FIRMWARE"


def test_uefi_http_boot_hears_nothing_yet() -> None:
    discover, request = datagrams("uefi-http-proxy.pcap", 67)[:2]
    assert (
        Wire()
        >> discover
        << "silence: UNSUPPORTED_FIRMWARE"
        >> request
        << """
            silence: NOT_FOR_US
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
        """
    )
