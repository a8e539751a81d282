"""Firmware with quirks: one conversation for each row of services/dhcp/quirks.py."""

from textwrap import dedent

import pytest

from appliance.config.loaders import Loaders
from services.dhcp.quirks import QUIRKS, UNSUPPORTED_CLASSES
from tests.fakes.dhcp_client import DISCOVER, INFORM, REQUEST, firmware, message
from tests.transcripts.wire import Wire, sent

MAC = bytes.fromhex("525400aabb01")
PI = bytes.fromhex("dca63200bb01")
PI_UUID = (97, bytes.fromhex("00 52 50 69 34 30 31 c0 00 32 00 bb 01 da 06 ff e0"))
# A Pi 4's DISCOVER from a published capture, except for the last bytes of its address.
PI_DISCOVER = [
    (55, bytes.fromhex("01 03 2b 3c 42 43 80 81 82 83 84 85 86 87")),
    (60, b"PXEClient:Arch:00000:UNDI:002001"),
    (93, b"\0\0"),
    (94, b"\x01\x02\x01"),
    PI_UUID,
]
WITH_PI = Loaders(raspberry_pi="raspberry-pi", uefi_arm64="arm64.efi")

BIOS_OFFER = dedent(r"""
    OFFER -> 255.255.255.255:68
    flags 8000
    siaddr 10.77.0.1
    sname 10.77.0.1
    file 525400aabb01/undionly.kpxe
    54 10.77.0.1
    60 PXEClient
    97 00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df
    43 06 01 08 ff
    66 10.77.0.1\0
    67 525400aabb01/undionly.kpxe\0
""")
# Option 43 is from dnsmasq's proxy, whose offer the Pi 4 took in that capture.
PI_OFFER = r"""
    OFFER -> 255.255.255.255:68 after 1 s
    flags 8000
    siaddr 10.77.0.1
    sname 10.77.0.1
    file bootcode.bin
    54 10.77.0.1
    60 PXEClient
    97 00 52 50 69 34 30 31 c0 00 32 00 bb 01 da 06 ff e0
    43 06 01 03 0a 04 00 50 58 45 09 14 00 00 11 52 61 73 70 62 65 72 72 79 20 50 69 20 42 6f 6f 74 ff
    66 10.77.0.1\0
    67 bootcode.bin\0
"""


class TestRaspberryPi:
    def test_is_offered_its_menu_entry_a_second_later(self) -> None:
        without_class = [each for each in PI_DISCOVER if each[0] not in (60, 93)]
        assert (
            Wire(loaders=WITH_PI)
            >> sent(message(DISCOVER, PI, PI_DISCOVER))
            << PI_OFFER
            >> sent(message(REQUEST, PI, [*without_class, (50, bytes([10, 77, 0, 134])), (54, bytes([10, 77, 0, 2]))]))
            << """
                silence: NOT_FOR_US
                seen: dc:a6:32:00:bb:01 at 10.77.0.134
                takes: the lease of 10.77.0.2
            """
        )

    def test_may_send_41_as_in_the_registry(self) -> None:
        options = [(code, b"\0\x29" if code == 93 else value) for code, value in PI_DISCOVER]
        assert Wire(loaders=WITH_PI) >> sent(message(DISCOVER, PI, options)) << PI_OFFER

    def test_is_refused_when_there_are_no_files_for_it_and_not_treated_as_a_bios(self) -> None:
        assert Wire() >> sent(message(DISCOVER, PI, PI_DISCOVER)) << "refused: NO_LOADER"

    def test_with_uefi_is_an_arm64_machine(self) -> None:
        offer = BIOS_OFFER.replace("undionly.kpxe", "arm64.efi").replace("43 06 01 08 ff\n", "")
        expected = offer.replace("525400aabb01", PI.hex())
        assert Wire(loaders=WITH_PI) >> sent(message(DISCOVER, PI, firmware(11))) << expected

    def test_a_system_that_runs_on_it_is_left_alone(self) -> None:
        asked = [(60, b"dhcpcd-9.4.1:Linux-6.1.21-v8+:aarch64:BCM2835"), (50, bytes([10, 77, 0, 134]))]
        assert Wire(loaders=WITH_PI) >> sent(message(DISCOVER, PI, asked)) << "silence: NOT_NETBOOT"

    @pytest.mark.parametrize("mac", ["b827eb", "dca632", "e45f01", "d83add", "2ccf67", "28cdc1", "88a29e"])
    def test_is_recognised_by_its_address(self, mac: str) -> None:
        asked = message(DISCOVER, bytes.fromhex(mac + "00bb01"), PI_DISCOVER)
        assert Wire(loaders=WITH_PI) >> sent(asked) << PI_OFFER


class TestArchitectureInOption60:
    def test_counts_where_option_93_is_missing(self) -> None:
        asked = [each for each in firmware(0) if each[0] != 93]
        assert Wire() >> sent(message(DISCOVER, MAC, asked)) << BIOS_OFFER

    @pytest.mark.parametrize(
        "vendor_class", ["PXEClient", "PXEClient:Arch:", "PXEClient:Arch:0000", "HTTPClient:Arch:00016"]
    )
    def test_is_not_guessed(self, vendor_class: str) -> None:
        assert Wire() >> sent(message(DISCOVER, MAC, [(60, vendor_class.encode())])) << "silence: NOT_NETBOOT"

    def test_is_not_believed_against_option_93(self) -> None:
        asked = [(60, b"PXEClient:Arch:00007:UNDI:003000") if code == 60 else (code, v) for code, v in firmware(0)]
        assert Wire() >> sent(message(DISCOVER, MAC, asked)) << BIOS_OFFER


class TestGpxe:
    def test_gets_an_ipxe_and_no_script(self) -> None:
        """By option 175 alone it would pass for iPXE."""
        asked = firmware(0, (77, b"gPXE"), (175, bytes.fromhex("b1 05 01 10 ec 81 39 18 01 01")))
        assert Wire() >> sent(message(DISCOVER, MAC, asked)) << BIOS_OFFER


class TestApple:
    def test_a_boot_request_is_refused_and_reported(self) -> None:
        asked = [(60, b"AAPLBSDPC/i386/MacBookPro8,1"), (43, bytes.fromhex("01 01 01 02 02 01 01"))]
        inform = message(INFORM, MAC, asked, ciaddr="10.77.0.134")
        assert (
            Wire()
            >> sent(inform, "10.77.0.134:68")
            << "refused: UNSUPPORTED_FIRMWARE\nseen: 52:54:00:aa:bb:01 at 10.77.0.134"
        )

    def test_a_request_for_a_lease_is_not_reported(self) -> None:
        asked = [(60, b"AAPLBSDPC/i386/MacBookPro8,1"), (50, bytes([10, 77, 0, 134]))]
        assert (
            Wire()
            >> sent(message(REQUEST, MAC, asked))
            << "silence: NOT_FOR_US\nseen: 52:54:00:aa:bb:01 at 10.77.0.134"
        )


def test_every_row_has_its_conversation() -> None:
    assert [quirk.name for quirk in QUIRKS] == ["Raspberry Pi", "architecture in option 60 only", "gPXE"]
    assert UNSUPPORTED_CLASSES == ("AAPLBSDPC",)
