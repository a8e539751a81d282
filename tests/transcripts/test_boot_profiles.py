"""The reply profiles: offers to firmware for which the standard one failed. Each differs from it in one thing."""

from textwrap import dedent

import pytest

from services.dhcp.plan import Profile
from tests.fakes.dhcp_client import DISCOVER, REQUEST, firmware, message
from tests.transcripts.wire import Wire, sent

MAC = bytes.fromhex("525400aabb01")
JUST_BOOT = "43 06 01 08 ff"

BIOS = dedent(r"""
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
UEFI = BIOS.replace("undionly.kpxe", "snponly.efi").replace(f"{JUST_BOOT}\n", "")
UEFI_WITH_43 = BIOS.replace("undionly.kpxe", "snponly.efi")
BIOS_WITHOUT_43 = BIOS.replace(f"{JUST_BOOT}\n", "")


def late(offer: str) -> str:
    return offer.replace("255:68", "255:68 after 1 s")


@pytest.mark.parametrize(
    ("profile", "bios", "uefi"),
    [
        (Profile.STANDARD, BIOS, UEFI),
        (Profile.VENDOR_OPTIONS, BIOS, UEFI_WITH_43),
        (Profile.PLAIN, BIOS_WITHOUT_43, UEFI),
        (Profile.DELAYED, late(BIOS), late(UEFI)),
        (Profile.SHIM, BIOS, UEFI),
    ],
)
def test_each_profile_changes_one_thing(profile: Profile, bios: str, uefi: str) -> None:
    wire = Wire(profile)
    assert wire >> sent(message(DISCOVER, MAC, firmware(0))) << bios
    assert wire >> sent(message(DISCOVER, MAC, firmware(7))) << uefi


def test_every_profile_has_its_transcript() -> None:
    (mark,) = test_each_profile_changes_one_thing.pytestmark  # type: ignore[attr-defined]
    assert [case[0] for case in mark.args[1]] == list(Profile)


@pytest.mark.parametrize("profile", Profile)
def test_http_boot_never_gets_option_43(profile: Profile) -> None:
    asked = [(60, b"HTTPClient:Arch:00016:UNDI:003000"), (93, bytes([0, 16]))]
    offer = r"""
        OFFER -> 255.255.255.255:68
        flags 8000
        siaddr 10.77.0.1
        file http://10.77.0.1/boot/525400aabb01/loader/snponly.efi
        54 10.77.0.1
        60 HTTPClient
        67 http://10.77.0.1/boot/525400aabb01/loader/snponly.efi\0
    """
    assert (
        Wire(profile) >> sent(message(DISCOVER, MAC, asked)) << (late(offer) if profile is Profile.DELAYED else offer)
    )


def test_port_4011_follows_the_profile_but_echoes_a_boot_item() -> None:
    def ack(vendor_options: str, port: str = "68") -> str:
        return rf"""
            ACK -> 10.77.0.134:{port}
            flags 0000
            ciaddr 10.77.0.134
            siaddr 10.77.0.1
            sname 10.77.0.1
            file 525400aabb01/undionly.kpxe
            54 10.77.0.1
            60 PXEClient
            97 00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df{vendor_options}
            66 10.77.0.1\0
            67 525400aabb01/undionly.kpxe\0
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
        """

    item = (43, bytes.fromhex("47 04 80 01 00 00 ff"))
    plain = sent(message(REQUEST, MAC, firmware(0), ciaddr="10.77.0.134"), "10.77.0.134:68", 4011)
    asking = sent(message(REQUEST, MAC, [*firmware(0), item], ciaddr="10.77.0.134"), "10.77.0.134:68", 4011)
    line = "\n            43 "
    assert Wire(Profile.PLAIN) >> plain << ack("") >> asking << ack(line + "47 04 80 01 00 00 ff")
    assert Wire(Profile.DELAYED) >> plain << ack(line + "06 01 08 ff", "68 after 1 s")
