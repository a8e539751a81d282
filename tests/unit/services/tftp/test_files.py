"""What is served besides the boot root: boot scripts made on request, and the files of a release."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Ignored, TransferProgressed, TransferServed
from services.tftp.server import TftpServer
from tests.fakes.event_log import EventLog
from tests.fakes.tftp_peer import Reader, UdpPeer, error, oack, rrq
from tests.unit.services.tftp.conftest import LOOPBACK, MAC, Admission, files, serves

SCRIPT = b"GRUB for 52:54:00:aa:bb:cc at 127.0.0.1\n"


@pytest.mark.parametrize("name", ["/grub/grub.cfg", "525400aabbcc/grub.cfg", "\\EFI\\debian\\grub.cfg"])
async def test_a_boot_script_is_made_for_the_client_that_asks(peer: UdpPeer, events: EventLog, name: str) -> None:
    assert await peer.fetch(rrq(name), Reader()) == SCRIPT
    served = await events.next(TransferServed)
    assert (served.path, served.size) == ("grub.cfg", len(SCRIPT))
    assert events.of(TransferProgressed)[0].path == "grub.cfg"


async def test_grub_learns_the_size_of_a_boot_script(peer: UdpPeer) -> None:
    assert oack(await peer.ask(rrq("/grub/grub.cfg", blksize=1024, tsize=0)))["tsize"] == str(len(SCRIPT))


async def test_without_a_script_the_client_is_told_why_at_once(peer: UdpPeer, events: EventLog) -> None:
    answer = await peer.ask(rrq("525400aabbcc/pxelinux.cfg/01-52-54-00-aa-bb-cc"))
    assert error(answer) == (1, "no image is active")
    assert await events.next(Ignored) == Ignored("tftp", str(MAC), Reason.NO_IMAGE, "pxelinux.cfg", "127.0.0.1")


async def test_files_of_a_release_have_the_same_path_as_over_http(peer: UdpPeer, events: EventLog) -> None:
    name = "image/20260301-120000/vmlinuz"
    assert await peer.fetch(rrq(f"525400aabbcc/{name}"), Reader()) == b"kernel"
    assert (await events.next(TransferServed)).path == name


async def test_a_loader_has_the_same_path_as_over_http(peer: UdpPeer, events: EventLog) -> None:
    assert await peer.fetch(rrq("525400aabbcc/loader/small"), Reader()) == b"small"
    assert (await events.next(TransferServed)).path == "small"


async def test_junk_behind_a_name_does_no_harm_unless_it_is_the_name(peer: UdpPeer, root: Path) -> None:
    """What DHCP servers append. `?` also stands for each byte that is not ASCII."""
    for junk in (b"\xff", b" ", b"\xff\xff\r\n ", b"?", b"\x01"):
        assert await peer.fetch(rrq(b"525400aabbcc/small" + junk), Reader()) == b"small"
    assert await peer.fetch(rrq("525400aabbcc/grub.cfg?"), Reader()) == SCRIPT
    for name in ("small?", "small ", "grub.cfg?"):
        (root / name).write_bytes(b"really " + name.encode())
        assert await peer.fetch(rrq(f"525400aabbcc/{name}"), Reader()) == b"really " + name.encode()
    assert await peer.fetch(rrq("525400aabbcc/small??"), Reader()) == b"small"
    assert await peer.fetch(rrq("525400aabbcc/loader/small?"), Reader()) == b"really small?"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/grub/x86_64-efi/grub.cfg", 1),
        ("/grub/x86_64-efi/command.lst", 1),
        ("525400aabbcc/image/20260301-120000/manifest", 1),
        ("525400aabbcc/image/.unfinished/vmlinuz", 1),
        ("525400aabbcc/image/../vmlinuz", 2),
        ("525400aabbcc/image/none/vmlinuz", 1),
        ("../grub.cfg", 2),
        ("525400aabbcc/pxelinux.cfg/01-52-54-00-aa-bb-dd", 1),
        ("525400aabbcc/pxelinux.cfg/4c4c4544-0000-2010-8020-80c04f202020", 1),
        ("525400aabbcc/pxelinux.cfg/default", 1),
    ],
)
async def test_what_is_not_there_is_refused_at_once(peer: UdpPeer, name: str, code: int) -> None:
    assert error(await peer.ask(rrq(name)))[0] == code


async def test_a_script_is_for_admitted_clients_only(
    server: TftpServer, peer: UdpPeer, admission: Admission, events: EventLog
) -> None:
    admission.decision = Ignore(Reason.NOT_ALLOWED)
    peer.send(rrq("/grub/grub.cfg"))
    await events.next(Ignored)
    assert peer.quiet
    admission.decision = MAC
    assert await serves(server)


class TestRaspberryPi:
    PI = MacAddress.parse("dc:a6:32:aa:bb:cc")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "raspberry-pi"
        (folder / "0a1b2c3d").mkdir(parents=True)
        (folder / "bootcode.bin").write_bytes(b"second stage")
        (folder / "0a1b2c3d" / "start4.elf").write_bytes(b"firmware")
        return folder

    @pytest.fixture
    async def server(
        self, root: Path, folder: Path, events: EventLog, admission: Admission
    ) -> AsyncIterator[TftpServer]:
        admission.decision = self.PI
        pi_files = replace(files(root), raspberry_pi=folder)
        server = TftpServer(LOOPBACK, pi_files, admit=admission, emit=events, port=0)
        server.open()
        yield server
        server.close()

    @pytest.mark.parametrize(
        ("name", "content"), [("bootcode.bin", b"second stage"), ("0a1b2c3d/start4.elf", b"firmware")]
    )
    async def test_finds_its_files_by_their_own_names(self, peer: UdpPeer, name: str, content: bytes) -> None:
        assert await peer.fetch(rrq(name), Reader()) == content

    async def test_is_told_at_once_what_is_not_there(self, peer: UdpPeer) -> None:
        assert error(await peer.ask(rrq("bootsig.bin")))[0] == 1

    async def test_cannot_leave_its_folder(self, peer: UdpPeer) -> None:
        assert error(await peer.ask(rrq("../secret")))[0] == 2

    async def test_gets_the_loader_that_it_was_offered_as_an_arm64_machine(self, peer: UdpPeer) -> None:
        assert await peer.fetch(rrq("dca632aabbcc/small"), Reader()) == b"small"

    async def test_other_pcs_do_not_get_them(self, peer: UdpPeer, admission: Admission) -> None:
        admission.decision = MAC
        assert error(await peer.ask(rrq("bootcode.bin")))[0] == 1
