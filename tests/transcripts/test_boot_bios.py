"""Plain BIOS PXE (UNDI, an Intel boot agent): one offer is enough; some firmware asks port 4011 as well."""

from tests.fakes.dhcp_client import DISCOVER, INFORM, REQUEST, firmware, message
from tests.transcripts.wire import Wire, sent

MAC = bytes.fromhex("525400aabb01")
BOOT_ITEM = (43, bytes.fromhex("47 04 80 01 00 00 ff"))

OFFER = r"""
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
"""


def test_discover_is_offered_a_boot_file_and_no_lease() -> None:
    assert (
        Wire()
        >> sent(message(DISCOVER, MAC, firmware(0), flags=0x8000))
        << OFFER
        >> sent(message(DISCOVER, MAC, [*firmware(0), BOOT_ITEM], secs=4))
        << OFFER
        >> sent(message(REQUEST, MAC, [*firmware(0), (50, bytes([10, 77, 0, 134])), (54, bytes([10, 77, 0, 2]))]))
        << """
            silence: NOT_FOR_US
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
            takes: the lease of 10.77.0.2
        """
    )


def test_boot_server_request_is_acknowledged_to_its_source_port_with_its_boot_item() -> None:
    acknowledged = r"""
        ACK -> 10.77.0.134:2070
        flags 0000
        ciaddr 10.77.0.134
        siaddr 10.77.0.1
        sname 10.77.0.1
        file 525400aabb01/undionly.kpxe
        54 10.77.0.1
        60 PXEClient
        97 00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df
        43 06 01 08 47 04 80 01 00 00 ff
        66 10.77.0.1\0
        67 525400aabb01/undionly.kpxe\0
        seen: 52:54:00:aa:bb:01 at 10.77.0.134
    """
    asking = [*firmware(0), BOOT_ITEM]
    assert (
        Wire()
        >> sent(message(REQUEST, MAC, asking, ciaddr="10.77.0.134"), "10.77.0.134:2070", 4011)
        << acknowledged
        >> sent(message(INFORM, MAC, asking, ciaddr="10.77.0.134"), "10.77.0.134:2070", 4011)
        << acknowledged
    )


def test_firmware_without_a_uuid_gets_none() -> None:
    assert (
        Wire()
        >> sent(message(DISCOVER, MAC, [each for each in firmware(0) if each[0] != 97]))
        << OFFER.replace("    97 00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df\n", "")
    )


def test_a_question_to_port_4011_that_names_the_dhcp_server_in_option_54_is_answered() -> None:
    """Only what was sent to our own address arrives there, so that no other server could answer it."""
    asked = message(REQUEST, MAC, [*firmware(0), (54, bytes([10, 77, 0, 2]))], ciaddr="10.77.0.134")
    assert (
        Wire()
        >> sent(asked, "10.77.0.134:68", 4011)
        << r"""
            ACK -> 10.77.0.134:68
            flags 0000
            ciaddr 10.77.0.134
            siaddr 10.77.0.1
            sname 10.77.0.1
            file 525400aabb01/undionly.kpxe
            54 10.77.0.1
            60 PXEClient
            97 00 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df
            43 06 01 08 ff
            66 10.77.0.1\0
            67 525400aabb01/undionly.kpxe\0
            seen: 52:54:00:aa:bb:01 at 10.77.0.134
        """
    )


def test_anything_but_a_boot_request_gets_no_answer() -> None:
    assert (
        Wire()
        >> sent(message(DISCOVER, MAC, [(60, b"MSFT 5.0")]))
        << "silence: NOT_NETBOOT"
        >> sent(message(DISCOVER, MAC, [(60, b"PXEClient")]))
        << "silence: NOT_NETBOOT"
        >> sent(message(DISCOVER, MAC, firmware(0)), "10.77.0.9:40000")
        << "refused: MALFORMED"
        >> sent(message(DISCOVER, MAC, firmware(0)), "10.77.0.134:68", 4011)
        << "silence: NOT_FOR_US"
        >> sent(message(REQUEST, MAC, firmware(0)), "0.0.0.0:68", 4011)
        << "refused: MALFORMED"
    )


def test_ciaddr_is_not_believed_unless_the_datagram_came_from_there() -> None:
    assert (
        Wire()
        >> sent(message(REQUEST, MAC, firmware(10), ciaddr="10.77.0.135"), "10.77.0.134:68", 4011)
        << "refused: UNSUPPORTED_FIRMWARE"
    )


def test_a_client_is_seen_through_the_life_of_its_lease() -> None:
    leased = [(50, bytes([10, 77, 0, 134]))]
    assert (
        Wire()
        >> sent(message(REQUEST, MAC, [*leased, (54, bytes([10, 77, 0, 2])), (60, b"Linux ipconfig")]))
        << "silence: NOT_FOR_US\nseen: 52:54:00:aa:bb:01 at 10.77.0.134\ntakes: the lease of 10.77.0.2"
        >> sent(message(REQUEST, MAC, ciaddr="10.77.0.134"), "10.77.0.134:68")
        << "silence: NOT_FOR_US\nseen: 52:54:00:aa:bb:01 at 10.77.0.134"
        >> sent(message(INFORM, MAC, ciaddr="10.77.0.134"), "10.77.0.134:68")
        << "silence: NOT_FOR_US\nseen: 52:54:00:aa:bb:01 at 10.77.0.134"
        >> sent(message(REQUEST, MAC, leased), "10.77.0.9:40000")
        << "silence: NOT_FOR_US"
        >> sent(message(REQUEST, MAC, [(50, bytes([224, 0, 0, 1]))]))
        << "silence: NOT_FOR_US"
        >> sent(message(REQUEST, MAC, firmware(7), ciaddr="127.0.0.1"))
        << "silence: NOT_FOR_US"
    )
