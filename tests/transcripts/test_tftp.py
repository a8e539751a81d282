"""TFTP transfers as a client sees them: one story each, on a clock that stands still until the story lets time pass."""

from services.tftp.lost_blocks import LOWERED_SECONDS
from services.tftp.sessions import UNPROVEN_BURST, UNPROVEN_RATE
from tests.fakes.tftp_peer import ack, rrq
from tests.transcripts.tftp_wire import Sent, TftpWire

ABORT = b"\0\5\0\x08User aborted the transfer\0"


def test_a_request_without_options_is_served_in_lock_step(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("525400aabb01/loader.efi")
        << """
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
        >> ack(1)
        << "DATA 2: 512 bytes"
        >> ack(2)
        << "DATA 3: 176 bytes"
        >> 0.01
        << "silence"
        >> ack(3)
        << "served loader.efi, 1200 bytes"
    )


def test_a_file_that_divides_evenly_ends_with_an_empty_block(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("even.efi")
        << """
            begins even.efi, 1024 bytes
            DATA 1: 512 bytes
        """
        >> ack(1)
        << "DATA 2: 512 bytes"
        >> ack(2)
        << "DATA 3: 0 bytes"
        >> ack(3)
        << "served even.efi, 1024 bytes"
    )


def test_options_are_granted_in_the_order_of_the_request(wire: TftpWire) -> None:
    """A value out of range or unknown is left out, and a block is never larger than the path takes."""
    assert (
        wire
        >> rrq("big.img", windowsize=4, tsize=0, blksize=8192, multicast=1, timeout=300)
        << "OACK windowsize=4 tsize=20000 blksize=1468"
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1-4: 1468 bytes
        """
        >> ack(4)
        << "DATA 5-8: 1468 bytes"
        >> ack(8)
        << "DATA 9-12: 1468 bytes"
        >> ack(12)
        << """
            DATA 13: 1468 bytes
            DATA 14: 916 bytes
        """
        >> ack(14)
        << "served big.img, 20000 bytes"
    )


def test_the_timeout_option_bounds_the_wait_for_an_ack(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("loader.efi", timeout=2)
        << "OACK timeout=2"
        >> 8.0
        << """
            1 s: OACK timeout=2
            3 s: OACK timeout=2
            5 s: OACK timeout=2
            7 s: failed loader.efi after 0 bytes: the client stopped answering at the options (3 retransmissions)
        """
    )


def test_edk2_asks_for_the_size_and_aborts_before_it_reads(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("525400aabb01/loader.efi", tsize=0, blksize=1468)
        << "OACK tsize=1200 blksize=1468"
        >> ABORT
        << "silence"
        >> Sent(rrq("525400aabb01/loader.efi", blksize=1468), "10.77.0.134:2071")
        << "10.77.0.134:2071 gets OACK blksize=1468"
        >> Sent(ack(0), "10.77.0.134:2071")
        << """
            begins loader.efi, 1200 bytes
            10.77.0.134:2071 gets DATA 1: 1200 bytes
        """
        >> Sent(ack(1), "10.77.0.134:2071")
        << "served loader.efi, 1200 bytes"
        >> 60.0
        << "silence"
    )


def test_after_a_lost_block_the_next_window_starts_with_it(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("big.img", windowsize=8)
        << "OACK windowsize=8"
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1-8: 512 bytes
        """
        >> ack(3)
        << "DATA 4-11: 512 bytes"
        >> ack(11)
        << "DATA 12-19: 512 bytes"
    )


def test_a_lost_ack_is_followed_by_a_retransmission(wire: TftpWire) -> None:
    """Within milliseconds, once a round trip was measured."""
    assert (
        wire
        >> rrq("loader.efi")
        << """
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
        >> ack(1)
        << "DATA 2: 512 bytes"
        >> 0.1
        << """
            0.031 s: DATA 2: 512 bytes
            0.086 s: DATA 2: 512 bytes
        """
        >> ack(2)
        << "DATA 3: 176 bytes"
    )


def test_a_duplicate_ack_sends_nothing(wire: TftpWire) -> None:
    """Answering it would double every later packet, too: the Sorcerer's Apprentice (RFC 1123, 4.2.3.1)."""
    assert (
        wire
        >> rrq("loader.efi")
        << """
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
        >> ack(1)
        << "DATA 2: 512 bytes"
        >> ack(1)
        << "silence"
        >> ack(0)
        << "silence"
        >> ack(2)
        << "DATA 3: 176 bytes"
        >> ack(1)
        << "silence"
        >> ack(3)
        << "served loader.efi, 1200 bytes"
        >> ack(3)
        << "silence"
    )


def test_a_duplicate_request_opens_one_transfer(wire: TftpWire) -> None:
    """The copy is answered only until a block is acknowledged. Two seconds later it means that the PC was reset."""
    assert (
        wire
        >> rrq("loader.efi")
        << """
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
        >> rrq("loader.efi")
        << "DATA 1: 512 bytes"
        >> ack(1)
        << "DATA 2: 512 bytes"
        >> rrq("loader.efi")
        << "silence"
        >> ack(2)
        << "DATA 3: 176 bytes"
        >> 2.02
        << """
            0.031 s: DATA 3: 176 bytes
            0.086 s: DATA 3: 176 bytes
            0.19 s: DATA 3: 176 bytes
            0.39 s: DATA 3: 176 bytes
            0.8 s: DATA 3: 176 bytes
            1.6 s: loader.efi: 1024 of 1200 bytes
            1.6 s: DATA 3: 176 bytes
        """
        >> rrq("loader.efi")
        << """
            failed loader.efi after 1024 bytes: the client sent a new request
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
    )


def test_netascii_gets_the_bytes_as_they_are(wire: TftpWire) -> None:
    """Boot files are binary, whatever mode the firmware asks for; a translation would spoil them."""
    assert (
        wire
        >> rrq("lines.txt", "NetASCII")
        << """
            begins lines.txt, 8 bytes
            DATA 1: 8 bytes
        """
        >> ack(1)
        << "served lines.txt, 8 bytes"
    )


def test_a_boot_script_is_made_for_its_client(wire: TftpWire) -> None:
    assert wire >> rrq("/grub/grub.cfg", blksize=1024, tsize=0) << "OACK blksize=1024 tsize=42" >> ABORT << "silence"


def test_gives_up_soon_on_a_client_that_never_answers(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("lines.txt")
        << """
            begins lines.txt, 8 bytes
            DATA 1: 8 bytes
        """
        >> 120.0
        << """
            1 s: DATA 1: 8 bytes
            3 s: DATA 1: 8 bytes
            7 s: DATA 1: 8 bytes
            12 s: failed lines.txt after 0 bytes: the client stopped answering at block 1 of 1 (3 retransmissions)
        """
    )


def test_tries_longer_with_a_client_that_falls_silent(wire: TftpWire) -> None:
    """It has proved that it asked. Its round trip is known, so the first waits are short."""
    assert (
        wire
        >> rrq("big.img", blksize=1468, windowsize=4)
        << "OACK blksize=1468 windowsize=4"
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1-4: 1468 bytes
        """
        >> ack(4)
        << "DATA 5-8: 1468 bytes"
        >> 120.0
        << """
            0.031 s: DATA 5-8: 1468 bytes
            0.086 s: DATA 5-8: 1468 bytes
            0.19 s: DATA 5-8: 1468 bytes
            0.39 s: DATA 5-8: 1468 bytes
            0.8 s: DATA 5-8: 1468 bytes
            1.6 s: big.img: 5872 of 20000 bytes
            1.6 s: DATA 5-8: 1468 bytes
            3.2 s: DATA 5-8: 1468 bytes
            6.4 s: DATA 5-8: 1468 bytes
            11 s: DATA 5-8: 1468 bytes
            16 s: DATA 5-8: 1468 bytes
            21 s: failed big.img after 5872 bytes: the client stopped answering at block 5 of 14 (10 retransmissions)
        """
    )


def test_a_client_that_large_blocks_do_not_reach_gets_small_ones_with_its_next_request(wire: TftpWire) -> None:
    """A tunnel or a switch on the way drops them. The client is there: it has acknowledged the options."""
    assert (
        wire
        >> rrq("big.img", blksize=1468)
        << "OACK blksize=1468"
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1: 1468 bytes
        """
        >> 2.2
        << """
            0.031 s: DATA 1: 1468 bytes
            1 s: DATA 1: 1468 bytes
        """
        >> rrq("big.img", blksize=1468)
        << """
            failed big.img after 0 bytes: the client sent a new request
            OACK blksize=512
        """
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1: 512 bytes
        """
        >> ack(1)
        << "DATA 2: 512 bytes"
        >> ABORT
        << "failed big.img after 512 bytes: the client aborted with error 8: User aborted the transfer"
        >> LOWERED_SECONDS
        << "silence"
        >> rrq("big.img", blksize=1468)
        << "OACK blksize=1468"
    )


def test_a_client_that_is_silent_about_the_options_or_about_small_blocks_is_gone(wire: TftpWire) -> None:
    """Anybody can send a request in its name, and a file of few bytes gets through in any case."""
    (
        wire
        >> rrq("big.img", blksize=1468)
        << "OACK blksize=1468"
        >> 7.5
        << """
        1 s: OACK blksize=1468
        3 s: OACK blksize=1468
        7 s: OACK blksize=1468
    """
    )
    (
        wire
        >> rrq("lines.txt", blksize=1468)
        << """
        failed big.img after 0 bytes: the client sent a new request
        OACK blksize=1468
    """
    )
    (
        wire
        >> ack(0)
        << """
        begins lines.txt, 8 bytes
        DATA 1: 8 bytes
    """
    )
    (
        wire
        >> 2.2
        << """
        0.031 s: DATA 1: 8 bytes
        1 s: DATA 1: 8 bytes
    """
    )
    (
        wire
        >> rrq("big.img", blksize=1468)
        << """
        failed lines.txt after 0 bytes: the client sent a new request
        OACK blksize=1468
    """
    )


def test_a_block_that_arrives_at_last_is_no_loss(wire: TftpWire) -> None:
    (
        wire
        >> rrq("big.img", blksize=1468)
        << "OACK blksize=1468"
        >> ack(0)
        << """
        begins big.img, 20000 bytes
        DATA 1: 1468 bytes
    """
    )
    (
        wire
        >> 2.2
        << """
        0.031 s: DATA 1: 1468 bytes
        1 s: DATA 1: 1468 bytes
    """
    )
    (
        wire
        >> ack(1)
        << "DATA 2: 1468 bytes"
        >> ABORT
        << """
        failed big.img after 1468 bytes: the client aborted with error 8: User aborted the transfer
    """
    )
    wire >> rrq("big.img", blksize=1468) << "OACK blksize=1468"


def test_an_error_from_the_client_ends_the_transfer(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("loader.efi")
        << """
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
        >> ack(1)
        << "DATA 2: 512 bytes"
        >> b"\0\5\0\3disk full\0"
        << "failed loader.efi after 512 bytes: the client aborted with error 3: disk full"
        >> 60.0
        << "silence"
    )


def test_forged_requests_bring_little_to_the_pc_in_whose_name_they_are(wire: TftpWire) -> None:
    """Nobody needs to see an answer to send the request and the ACK of block 0. It was ten windows of 64 kB."""
    assert (
        wire
        >> rrq("big.img", blksize=1468, windowsize=64)
        << "OACK blksize=1468 windowsize=44"
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1-3: 1468 bytes
            DATA 5: 1468 bytes
        """
        >> 120.0
        << """
            0.031 s: DATA 1: 1468 bytes
            0.031 s: DATA 5: 1468 bytes
            1 s: DATA 1: 1468 bytes
            1 s: DATA 5: 1468 bytes
            3 s: DATA 1: 1468 bytes
            3 s: DATA 5: 1468 bytes
            7.1 s: failed big.img after 0 bytes: the client stopped answering at block 1 of 14 (3 retransmissions)
        """
    )


def test_many_forged_requests_bring_hardly_more_than_a_few(wire: TftpWire) -> None:
    """What was not acknowledged is limited for each address, however many requests there are. Nor do they say anything
    about the blocks that reach the PC: it has taken as large ones."""
    assert (
        wire
        >> rrq("big.img", blksize=1468)
        << "OACK blksize=1468"
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1: 1468 bytes
        """
        >> ack(1)
        << "DATA 2: 1468 bytes"
        >> ABORT
        << "failed big.img after 1468 bytes: the client aborted with error 8: User aborted the transfer"
    )
    request = rrq("big.img", blksize=1468, windowsize=64)
    forged = [Sent(each, f"10.77.0.134:{3000 + number}") for number in range(200) for each in (request, ack(0))]
    assert wire.flooded(forged, seconds=20.0) <= 1.1 * (UNPROVEN_BURST + 20 * UNPROVEN_RATE)
    wire.flooded([], seconds=60.0)
    assert (
        wire
        >> rrq("big.img", blksize=1468, windowsize=4)
        << "OACK blksize=1468 windowsize=4"
        >> ack(0)
        << """
            begins big.img, 20000 bytes
            DATA 1-4: 1468 bytes
        """
    )
