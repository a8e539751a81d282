"""iPXE is recognised by its user class (option 77) or option 175, and gets the URL of a script instead of a loader."""

import pytest

from tests.captures import datagrams
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.transcripts.wire import Wire, sent

MAC = bytes.fromhex("525400aabb01")
URL = "http://10.77.0.1/boot/525400aabb01/boot.ipxe"

OFFER = rf"""
    OFFER -> 255.255.255.255:68
    flags 8000
    siaddr 10.77.0.1
    sname 10.77.0.1
    file {URL}
    54 10.77.0.1
    60 PXEClient
    97 {" ".join(["00"] * 17)}
    66 10.77.0.1\0
    67 {URL}\0
"""
BIOS_OFFER = OFFER.replace("    66 ", "    43 06 01 08 ff\n    66 ")


def test_ipxe_rom_under_bios() -> None:
    first, second, request, ask, *live_system = datagrams("bios-ipxe-virtio.pcap", 67, 4011)
    wire = (
        Wire()
        >> first
        << BIOS_OFFER
        >> second
        << BIOS_OFFER
        >> request
        << """
            silence: NOT_FOR_US
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
            takes: the lease of 10.77.0.2
        """
        >> ask
        << rf"""
            ACK -> 10.77.0.134:68
            flags 8000
            ciaddr 10.77.0.134
            siaddr 10.77.0.1
            sname 10.77.0.1
            file {URL}
            54 10.77.0.1
            60 PXEClient
            97 {" ".join(["00"] * 17)}
            43 06 01 08 47 04 80 01 00 00 ff
            66 10.77.0.1\0
            67 {URL}\0
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
        """
    )
    discover, request = live_system
    assert (
        wire
        >> discover
        << "silence: NOT_NETBOOT"
        >> request
        << """
            silence: NOT_FOR_US
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
            takes: the lease of 10.77.0.2
        """
    )


def test_ipxe_under_uefi() -> None:
    discover, request = datagrams("uefi-http-proxy.pcap", 67)[2:]
    assert (
        Wire()
        >> discover
        << OFFER
        >> request
        << """
            silence: NOT_FOR_US
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
            takes: the lease of 10.77.0.2
        """
    )


@pytest.mark.parametrize(
    "sign",
    [(77, b"iPXE"), (77, b"\x04iPXE"), (77, b"\x04iPXE\0"), (77, b"\x03lab\x04iPXE"), (175, b"\x13\x01\x01")],
    ids=["bare", "counted", "counted with a NUL", "second of two", "option 175"],
)
def test_each_of_the_signs_is_enough(sign: tuple[int, bytes]) -> None:
    options = [each for each in firmware(7, sign) if each[0] != 97]
    without_uuid = "\n".join(line for line in OFFER.splitlines() if not line.startswith("    97"))
    assert Wire() >> sent(message(DISCOVER, MAC, options)) << without_uuid


@pytest.mark.parametrize(
    "signs",
    [
        ((77, b"not iPXE"),),
        ((77, b"iPXE"), (175, bytes.fromhex("b105018086100e110101150101eb03010000"))),
        ((175, bytes.fromhex("b1051301010000")),),
    ],
    ids=["another user class", "an iPXE without HTTP", "an iPXE whose bus number looks like HTTP"],
)
def test_others_get_a_loader(signs: tuple[tuple[int, bytes], ...]) -> None:
    assert (
        Wire()
        >> sent(message(DISCOVER, MAC, [each for each in firmware(7, *signs) if each[0] != 97]))
        << r"""
            OFFER -> 255.255.255.255:68
            flags 8000
            siaddr 10.77.0.1
            sname 10.77.0.1
            file 525400aabb01/snponly.efi
            54 10.77.0.1
            60 PXEClient
            66 10.77.0.1\0
            67 525400aabb01/snponly.efi\0
        """
    )
