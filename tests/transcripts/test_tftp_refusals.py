"""TFTP requests that are refused, or get no answer at all: one story each."""

from services.tftp.responder import MOST_SESSIONS_A_CLIENT
from tests.fakes.tftp_peer import ack, rrq
from tests.transcripts.tftp_wire import Sent, TftpWire


def test_a_garbled_name_is_answered_at_once(wire: TftpWire) -> None:
    """shim asks for such names (shim#696) and waits for an answer."""
    assert (
        wire
        >> rrq(b"525400aabb01/\xf0\x9f\x92\xa9.efi")
        << """
            ignored 52:54:00:aa:bb:01: NO_FILE ????.efi
            ERROR 1 file not found
        """
    )


def test_without_an_image_ipxe_is_told_at_once_that_it_has_no_script_to_begin_with(wire: TftpWire) -> None:
    """After an ERROR it goes on by itself; without an answer it would wait for up to 30 s."""
    wire.active = False
    assert (
        wire
        >> rrq("525400aabb01/autoexec.ipxe", blksize=1432, tsize=0)
        << """
            ignored 52:54:00:aa:bb:01: NO_IMAGE autoexec.ipxe
            ERROR 1 no image is active
        """
    )


def test_a_missing_file(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("525400aabb01/revocations.efi", blksize=1432, tsize=0)
        << """
            ignored 52:54:00:aa:bb:01: NO_FILE revocations.efi
            ERROR 1 file not found
        """
    )


def test_a_path_out_of_the_root(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("525400aabb01\\..\\secret")
        << """
            ignored 52:54:00:aa:bb:01: OUTSIDE_ROOT ../secret
            ERROR 2 path outside the boot root
        """
    )


def test_a_write_request_is_refused(wire: TftpWire) -> None:
    assert (
        wire
        >> b"\0\2loader.efi\0octet\0"
        << """
            ignored 52:54:00:aa:bb:01: READ_ONLY loader.efi
            ERROR 2 this server takes no files
        """
        >> b"\0\3\0\1overwritten"
        << "ignored 10.77.0.134: MALFORMED"
        >> rrq("loader.efi")
        << """
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
    )


def test_an_unknown_mode_is_refused(wire: TftpWire) -> None:
    assert (
        wire
        >> rrq("loader.efi", "mail")
        << """
            ignored 52:54:00:aa:bb:01: MALFORMED loader.efi
            ERROR 4 unknown transfer mode
        """
    )


def test_a_stranger_gets_not_one_byte(wire: TftpWire) -> None:
    """Not even an ERROR: whether its MAC address is not allowed, claimed falsely, or unknown to the kernel."""
    for request, reason in [
        (rrq("loader.efi"), "10.77.0.66: NOT_ALLOWED loader.efi"),
        (rrq("missing"), "10.77.0.66: NOT_ALLOWED missing"),
        (rrq("../secret"), "10.77.0.66: NOT_ALLOWED ../secret"),
        (b"\0\2loader.efi\0octet\0", "10.77.0.66: NOT_ALLOWED loader.efi"),
        (rrq("525400666666/loader.efi"), "52:54:00:66:66:66: NOT_ALLOWED loader.efi"),
        (rrq("525400aabb01/loader.efi"), "52:54:00:aa:bb:01: MAC_MISMATCH loader.efi"),
    ]:
        assert wire >> Sent(request, "10.77.0.66:2070") << f"ignored {reason}"
    assert (
        wire
        >> Sent(rrq("loader.efi"), "10.77.0.67:2070")
        << "ignored 10.77.0.67: UNKNOWN_NEIGHBOUR loader.efi"
        >> Sent(ack(0), "10.77.0.66:2070")
        << "silence"
        >> 60.0
        << "silence"
    )


def test_a_mac_address_in_the_path_must_be_the_clients_own(wire: TftpWire) -> None:
    assert wire >> rrq("525400666666/loader.efi") << "ignored 52:54:00:66:66:66: MAC_MISMATCH loader.efi"


def test_a_client_with_too_many_transfers_has_to_end_one(wire: TftpWire) -> None:
    """It gets no ERROR, so that it asks again: a PC switched off and on leaves a transfer behind each time."""
    for number in range(MOST_SESSIONS_A_CLIENT):
        peer = f"10.77.0.134:{3000 + number}"
        assert (
            wire
            >> Sent(rrq("loader.efi"), peer)
            << f"""
                begins loader.efi, 1200 bytes
                {peer} gets DATA 1: 512 bytes
            """
        )
    assert (
        wire
        >> rrq("loader.efi")
        << "ignored 52:54:00:aa:bb:01: TOO_MANY loader.efi"
        >> Sent(b"\0\5\0\0gone\0", "10.77.0.134:3000")
        << "failed loader.efi after 0 bytes: the client aborted with error 0: gone"
        >> rrq("loader.efi")
        << """
            begins loader.efi, 1200 bytes
            DATA 1: 512 bytes
        """
    )


def test_a_stopping_server_opens_no_transfer_and_finishes_those_under_way(wire: TftpWire) -> None:
    begun = wire >> rrq("lines.txt") << "begins lines.txt, 8 bytes\nDATA 1: 8 bytes"
    wire.responder.stopping = True
    assert (
        begun
        >> Sent(rrq("lines.txt"), "10.77.0.134:2071")
        << "ignored 52:54:00:aa:bb:01: STOPPING lines.txt"
        >> ack(1)
        << "served lines.txt, 8 bytes"
    )
