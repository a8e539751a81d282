"""Each way in which a network boot fails (and works), as a conversation, and the verdict on it."""

import pytest

from services.probe.explanation import Explanation, lines
from services.probe.message import (
    Broken,
    Checked,
    Content,
    Fetched,
    HttpRequest,
    HttpResponse,
    Note,
    Refused,
    Reset,
    TftpAck,
    TftpBlock,
    TftpError,
    TftpOptions,
    TftpRequest,
    Unreachable,
)
from services.probe.verdict import BoxFacts, Outcome
from tests.fakes.dhcp_client import ACK, DISCOVER, message
from tests.unit.services.probe.wire import BOX, IPXE, JUST_BOOT, MAC, OTHER, SITE, Talk, answer, boot, decoded, lease

LOADER = f"{MAC.bare}/undionly.kpxe"
EFI = f"{MAC.bare}/snponly.efi"
SCRIPT = f"http://{BOX}/boot/{MAC.bare}/boot.ipxe"
BIOS_OFFER = boot(BOX, (43, JUST_BOOT), file=LOADER)


def leased(architecture: int = 0, *offers: Content) -> Talk:
    """A client that got its lease, and these offers beside it."""
    return Talk(architecture).discover().server(*offers, lease()).request()


def load(talk: Talk, name: str, server: str = BOX, own: int = 2000) -> Talk:
    """A whole file of 612 bytes by TFTP."""
    talk.client(TftpRequest(name), server, 69, own)
    talk.server(TftpBlock(1, 512), server=server, port=5000, own=own).client(TftpAck(1), server, 5000, own)
    return talk.server(TftpBlock(2, 100), server=server, port=5000, own=own).client(TftpAck(2), server, 5000, own)


def get(talk: Talk, path: str, status: int = 200, own: int = 3000) -> Talk:
    """A file by HTTP."""
    return talk.client(HttpRequest("GET", path), BOX, 80, own).server(HttpResponse(status, 9), port=80, own=own)


def run_ipxe(talk: Talk, *offers: Content) -> Talk:
    """iPXE after its loader: DHCP."""
    return talk.agent(0, *IPXE).discover().server(*offers, lease()).request()


def check(explanation: Explanation, outcome: Outcome, words: str, hint: str = "") -> None:
    verdict = explanation.verdict
    assert verdict.outcome is outcome, lines(explanation)
    assert words in verdict.words
    assert hint in verdict.hint
    assert outcome is Outcome.BOOTS or verdict.hint


def fails(talk: Talk, words: str, hint: str = "") -> None:
    check(talk.explained(), Outcome.FAILS, words, hint)


def test_a_whole_boot() -> None:
    talk = run_ipxe(load(leased(0, BIOS_OFFER), LOADER), boot(file=SCRIPT))
    for file in ("boot.ipxe", "image/1/vmlinuz", "image/1/initrd.img"):
        get(talk, f"/boot/{MAC.bare}/{file}")
    check(talk.explained(), Outcome.BOOTS, "iPXE has its kernel and initial ramdisk")
    talk.client(decoded(message(DISCOVER, bytes(MAC), [(60, b"Linux ipconfig")], xid=9)))
    check(talk.explained(), Outcome.BOOTS, "its operating system asked for an address")


def test_silence() -> None:
    fails(Talk().discover(0).discover(4), "nobody answered its DISCOVER", f"allow add {MAC}")


def test_no_lease() -> None:
    fails(Talk().discover().server(BIOS_OFFER).discover(4), f"no DHCP server offered an address ({BOX} offers a boot")


@pytest.mark.parametrize(
    ("box", "hint"),
    [
        (None, "netboot-appliance status"),
        (BoxFacts(False, True, "r"), "netboot-appliance serve"),
        (BoxFacts(True, False, "r"), f"netboot-appliance allow add {MAC}"),
        (BoxFacts(True, True, ""), "netboot-appliance image build"),
        (BoxFacts(True, True, "r"), "config show"),
    ],
)
def test_no_boot_offer_and_what_the_box_knows(box: BoxFacts | None, hint: str) -> None:
    check(leased().explained(box), Outcome.FAILS, f"no boot offer was seen: {SITE} offers an address", hint)


def test_no_boot_offer_for_firmware_that_needs_a_loader_of_its_own() -> None:
    check(leased(11).explained(BoxFacts(True, True, "r")), Outcome.FAILS, "no boot offer was seen", "[boot.loaders]")


def test_uefi_http_boot() -> None:
    path = f"/boot/{MAC.bare}/loader/snponly.efi"
    offered = boot(name="HTTP", file=f"http://{BOX}{path}")
    talk = (
        Talk().over_http().discover().server(offered, lease()).request().client(HttpRequest("HEAD", path), BOX, 80, 9)
    )
    get(talk.server(HttpResponse(200, 9), port=80, own=9), path)
    check(talk.explained(), Outcome.OPEN, "UEFI HTTP boot has loaded snponly.efi")
    run_ipxe(talk, boot(file=SCRIPT))
    for file in ("boot.ipxe", "image/1/vmlinuz", "image/1/initrd.img"):
        get(talk, f"/boot/{MAC.bare}/{file}")
    check(talk.explained(), Outcome.BOOTS, "iPXE has its kernel and initial ramdisk")


def test_uefi_http_boot_that_a_probe_plays_on_another_machine() -> None:
    url = f"http://{BOX}/boot/{MAC.bare}/loader/snponly.efi"
    talk = Talk().over_http().discover().server(boot(name="HTTP", file=url), lease())
    talk.client(HttpRequest("HEAD", url.removeprefix(f"http://{BOX}")), BOX, 80, 9)
    talk.server(Refused(url.removeprefix(f"http://{BOX}"), "refused, as it should be: …"), port=80, own=0)
    check(talk.explained(), Outcome.BOOTS, "as far as can be seen from this host")


def test_a_client_that_ignores_all_answers() -> None:
    talk = Talk()
    for secs in (0, 4, 12, 28):
        talk.discover(secs).server(BIOS_OFFER, lease())
    fails(talk, "asked 4 times with the same xid over 28 s and took none of the offers: the client ignores our answer")


def test_a_lease_that_never_comes_or_is_refused() -> None:
    talk = leased(0, BIOS_OFFER)
    fails_at = talk.packets.pop()
    assert fails_at.outgoing is False
    fails(talk, f"asked {SITE} for its lease and got no ACK")
    fails(talk.server(answer(6, SITE)), f"{SITE} refused the address (NAK)")


def test_the_lease_is_taken_and_the_boot_server_never_asked() -> None:
    fails(leased(7, boot(file=EFI)), f"took its lease from {SITE} but never asked {BOX} for its boot file (UDP 4011)")
    fails(leased(0, BIOS_OFFER), f"took its lease from {SITE} but never asked {BOX} for {LOADER}")


def test_port_4011() -> None:
    talk = leased(7, boot(file=EFI)).ask()
    fails(talk, f"{BOX} did not answer on UDP port 4011 (PXE-E55)", "firewall")
    fails(talk.server(Unreachable(), port=4011), f"nobody listens on UDP port 4011 of {BOX}", "option 60")
    talk.server(boot(kind=ACK), port=4011)
    fails(talk, f"the answer of {BOX} names no boot file")
    talk.server(boot(kind=ACK, file=EFI), port=4011)
    check(load(talk, EFI).explained(), Outcome.OPEN, "UEFI x64 has loaded snponly.efi", "Secure Boot")


def test_tftp_that_nobody_answers_counts_tries() -> None:
    talk = leased(0, BIOS_OFFER)
    for own in (2000, 2000, 2001):
        talk.client(TftpRequest(LOADER), BOX, 69, own)
    fails(talk, f"did not get {LOADER} by TFTP from {BOX}: nobody answered, asked 3 times", "UDP port 69")
    assert f"-- TFTP {LOADER}: nobody answered, asked 3 times" in "\n".join(lines(talk.explained()))


def test_tftp_errors() -> None:
    talk = leased(0, BIOS_OFFER).client(TftpRequest(LOADER), BOX, 69, 2000)
    talk.server(TftpError(1, "File not found"), port=5000, own=2000)
    fails(talk, "TFTP ERROR 1: File not found", "missing")
    talk = leased(0, BIOS_OFFER).client(TftpRequest(LOADER), BOX, 69, 2000)
    fails(talk.server(Unreachable(), port=69, own=2000), "nobody listens on the TFTP port", "start the TFTP server")


def test_a_size_probe_is_no_failure_and_tells_the_end_of_a_capture_without_data() -> None:
    talk = leased(0, BIOS_OFFER).client(TftpRequest(LOADER, {"tsize": "0"}), BOX, 69, 2000)
    talk.server(TftpOptions({"tsize": "3000", "blksize": "1468"}), port=5000, own=2000)
    talk.client(TftpError(8, ""), BOX, 5000, 2000)
    check(talk.explained(), Outcome.OPEN, "nothing wrong was seen")
    talk.client(TftpRequest(LOADER, {"blksize": "1468"}), BOX, 69, 2001)
    talk.server(TftpOptions({"blksize": "1468"}), port=5001, own=2001)
    talk.client(TftpAck(2), BOX, 5001, 2001)
    check(talk.explained(), Outcome.OPEN, "was not seen to finish")
    talk.client(TftpAck(3), BOX, 5001, 2001)
    check(talk.explained(), Outcome.OPEN, "has loaded undionly.kpxe")


def test_block_numbers_roll_over() -> None:
    talk = leased(0, BIOS_OFFER).client(TftpRequest(LOADER), BOX, 69, 2000)
    for number in range(1, 65537 + 2):
        talk.server(TftpBlock(number & 0xFFFF, 512 if number < 65538 else 7), port=5000, own=2000)
        talk.client(TftpAck(number & 0xFFFF), BOX, 5000, 2000)
    assert f"TFTP {LOADER}: complete, {65537 * 512 + 7:,} bytes" in [step.words for step in talk.explained().steps]


def test_grub_asks_the_wrong_server() -> None:
    talk = load(leased(0, BIOS_OFFER), LOADER)
    talk.client(TftpRequest("/grub/grub.cfg"), "10.0.0.1", 69, 2005)
    fails(talk, f"GRUB asked 10.0.0.1 instead of {BOX} for /grub/grub.cfg", f"next-server: set that to {BOX}")


def test_ipxe_is_offered_a_loader_again() -> None:
    talk = load(run_ipxe(load(leased(0, BIOS_OFFER), LOADER), BIOS_OFFER), LOADER, own=2001)
    fails(talk, f"iPXE was offered {LOADER}, a loader, instead of a script: it loaded undionly.kpxe again", "option 77")


def test_a_card_with_ipxe_that_is_offered_pxelinux_does_not_start_itself() -> None:
    name = f"{MAC.bare}/pxelinux.0"
    talk = load(run_ipxe(Talk(), boot(BOX, (43, JUST_BOOT), file=name)), name)
    check(talk.explained(), Outcome.OPEN, "iPXE has loaded pxelinux.0")


def test_a_script_after_which_nothing_is_asked() -> None:
    talk = get(run_ipxe(Talk(), boot(file=SCRIPT)), f"/boot/{MAC.bare}/boot.ipxe")
    check(talk.explained(), Outcome.OPEN, "iPXE has loaded boot.ipxe", "the script's next file was never asked for")


@pytest.mark.parametrize(("status", "words"), [(404, "HTTP status 404"), (503, "HTTP status 503")])
def test_http_errors(status: int, words: str) -> None:
    fails(get(run_ipxe(Talk(), boot(file=SCRIPT)), f"/boot/{MAC.bare}/boot.ipxe", status), words)


def test_http_reset_and_refused() -> None:
    talk = run_ipxe(Talk(), boot(file=SCRIPT)).client(HttpRequest("GET", "/a"), BOX, 80, 3000)
    fails(talk.server(Reset(), port=80, own=3000), "reset the connection without an answer", "answers nobody but")
    talk = run_ipxe(Talk(), boot(file=SCRIPT)).server(Reset(), port=80, own=3000)
    fails(talk, "nobody listens on that port")


def test_an_operating_system_alone_never_asked_to_boot() -> None:
    talk = Talk().client(decoded(message(DISCOVER, bytes(MAC), [(60, b"MSFT 5.0")])))
    fails(talk, "no firmware asked to boot", "boot order")


def test_what_a_probe_sees_on_its_own_machine() -> None:
    talk = Talk(0, *IPXE).discover().server(boot(file=SCRIPT), lease())
    talk.client(Note("no REQUEST to the DHCP server follows: this probe takes no lease"))
    for path in ("/boot.ipxe", "/vmlinuz", "/initrd.img"):
        talk.client(HttpRequest("GET", path), BOX, 80, 0).server(HttpResponse(200, 9), port=80, own=0)
        talk.server(Fetched(path, 9, "aa" * 32, "aa" * 32), port=80, own=0)
    check(talk.explained(), Outcome.BOOTS, "has its kernel")
    spoiled = talk.packets[:-1]
    talk.packets = spoiled
    talk.server(Fetched("/initrd.img", 9, "bb" * 32, "aa" * 32), port=80, own=0)
    fails(talk, "its sha256 is wrong")
    talk.packets = talk.packets[:-1]
    fails(talk.server(Broken("/initrd.img", "broke off after 3 bytes"), port=80, own=0), "broke off after 3 bytes")


def test_what_a_probe_sees_from_another_machine() -> None:
    talk = Talk(0).discover().server(BIOS_OFFER, lease()).client(TftpRequest(LOADER), BOX, 69, 2000)
    talk.server(Refused(LOADER, "refused, as it should be: …"), port=69, own=0)
    check(talk.explained(), Outcome.BOOTS, "as far as can be seen from this host", "that MAC address")
    talk.client(Checked("undionly.kpxe", True, "9 bytes"))
    check(talk.explained(), Outcome.BOOTS, "its files on this disk are intact")
    talk.client(Checked("initrd.img", False, "sha256 differs"))
    fails(talk, "initrd.img on the box's disk: sha256 differs")


def test_a_boot_server_that_a_probe_on_its_own_host_cannot_ask_is_not_held_against_it() -> None:
    talk = Talk(7).discover().server(boot(file=EFI), lease())
    check(talk.explained(), Outcome.OPEN, "was not seen to finish")
    talk.client(Note("port 4011 is this host's own", boot_server_unasked=True))
    check(talk.explained(), Outcome.BOOTS, "as far as can be seen from this host")


def test_nothing_from_the_wire_steers_a_terminal() -> None:
    talk = leased(0, boot(BOX, (43, JUST_BOOT), file="a\x1b[2Jb")).client(TftpRequest("x\x1b]0;y"), OTHER, 69, 2000)
    shown = lines(talk.explained())
    assert all(line.isprintable() for line in shown), shown


def test_a_packet_captured_twice_is_no_second_try() -> None:
    talk = Talk().discover().discover().server(BIOS_OFFER, lease())
    check(talk.explained(), Outcome.OPEN, "was not seen to finish")


def test_a_boot_server_may_acknowledge_the_broadcast_request_beside_the_dhcp_server() -> None:
    talk = leased(7, boot(file=EFI)).server(boot(kind=ACK, file=EFI))
    check(load(talk, EFI).explained(), Outcome.OPEN, "has loaded snponly.efi")
    fails(talk.client(TftpRequest("x"), OTHER, 69, 9), f"instead of {BOX}")
