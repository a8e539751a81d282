"""Whole boots with the real `serve`: scripted BIOS, EDK2 and iPXE, and replayed packets of real firmware."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from image.release import INITRD, KERNEL, MICROCODE, PACKAGES, SQUASHFS, Release
from tests.captures import Datagram, all_captures, datagrams
from tests.fakes.dhcp_client import Answer, firmware
from tests.fakes.tftp_peer import Reader, error, oack, rrq
from tests.netns.conftest import CAPTURED, Plug
from tests.netns.scripted_pc import LOADERS, Frame, ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.processes import wait_until
from tests.room.room import BOX, SITE, Room

WHOLE_BOOT = ["discovered", "offered", "loader", "script", "kernel", "initrd"]


async def boot_by_ipxe(pc: ScriptedPc, architecture: int, release: Release) -> None:
    """From iPXE's DISCOVER to the last byte of the initrd."""
    script = await pc.run_ipxe(architecture)
    kernel, initrd = pc.load_image(script)
    assert kernel == (release.path / "vmlinuz").read_bytes()
    assert initrd == (release.path / "initrd.img").read_bytes()


@pytest.mark.parametrize("asks", [True, False], ids=["asks port 4011", "reads siaddr and file"])
async def test_a_plain_bios_boots(box: Box, room: Room, plug: Plug, release: Release, asks: bool) -> None:
    pc = plug()
    since = box.mark()
    offer = (await pc.power_on(firmware(0), tries=[0, 4]))[pc.box]
    assert (offer.yiaddr, offer.siaddr, offer.sname) == ("0.0.0.0", pc.box, pc.box)
    assert offer.options[43] == bytes.fromhex("060108ff")
    assert not {1, 3, 6, 51} & offer.options.keys()
    assert str(room.leased(pc.mac)) == pc.address
    answer = await pc.ask_boot_server(firmware(0), 68) if asks else offer
    assert (answer.siaddr, answer.file) == (pc.box, f"{pc.mac.bare}/undionly.kpxe")
    loader = (LOADERS / "undionly.kpxe").read_bytes()
    assert await pc.load(answer.file, 1456, tsize=0) == loader
    box.await_stage(pc.mac, "loader")
    await boot_by_ipxe(pc, 0, release)
    boot = box.await_stage(pc.mac, "initrd")
    assert [reached["stage"] for reached in boot["stages"]] == WHOLE_BOOT
    assert boot["addresses"] == [pc.address]
    sizes = {path: release.files[path].size for path in ("vmlinuz", "initrd.img")}
    assert [(t["service"], t["path"], t["sent"], t["size"]) for t in boot["transfers"]] == [
        ("tftp", "undionly.kpxe", len(loader), len(loader)),
        *(("http", f"image/{release.id}/{name}", size, size) for name, size in sizes.items()),
    ]
    assert len(box.said("discovered", since, mac=str(pc.mac))) == 3, "two of the ROM and one of iPXE"


async def test_an_edk2_boots(box: Box, room: Room, plug: Plug, release: Release) -> None:
    pc = plug()
    offer = (await pc.power_on(firmware(7, undi="003010")))[pc.box]
    assert 43 not in offer.options
    assert offer.options[60] == b"PXEClient"
    answer = await pc.ask_boot_server(firmware(7, undi="003010"), 4011)
    assert answer.options[97] == bytes.fromhex("00d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")
    assert (answer.siaddr, answer.file) == (pc.box, f"{pc.mac.bare}/snponly.efi")
    loader = (LOADERS / "snponly.efi").read_bytes()
    with pc.tftp() as probe:
        size = oack(await probe.ask(rrq(answer.file, tsize=0, blksize=1468)))["tsize"]
        assert int(size) == len(loader)
        probe.send(b"\0\5\0\x08User aborted the transfer\0")
    assert await pc.load(answer.file, 1468, windowsize=4) == loader
    box.await_stage(pc.mac, "loader")
    await boot_by_ipxe(pc, 7, release)
    boot = box.await_stage(pc.mac, "initrd")
    assert [reached["stage"] for reached in boot["stages"]] == WHOLE_BOOT
    assert [transfer["failed"] for transfer in boot["transfers"]] == [""] * 3, "the probe is no failure"
    assert str(room.leased(pc.mac)) == pc.address


async def test_a_uefi_that_boots_over_http(box: Box, plug: Plug, release: Release) -> None:
    pc = plug()
    http = [(93, b"\0\x10"), (94, b"\x01\x03\0"), (60, b"HTTPClient:Arch:00016:UNDI:003000")]
    offer = (await pc.power_on(http))[pc.box]
    url = f"http://{pc.box}/boot/{pc.mac.bare}/loader/snponly.efi"
    assert (offer.yiaddr, offer.file, offer.options[60]) == ("0.0.0.0", url, b"HTTPClient")
    assert pc.get(url) == (LOADERS / "snponly.efi").read_bytes()
    box.await_stage(pc.mac, "loader")
    await boot_by_ipxe(pc, 7, release)
    boot = box.await_stage(pc.mac, "initrd")
    assert [reached["stage"] for reached in boot["stages"]] == WHOLE_BOOT
    assert (boot["transfers"][0]["service"], boot["transfers"][0]["path"]) == ("http", "snponly.efi")


async def test_ipxe_gets_its_first_script_and_loaders_follow_the_active_image(
    box: Box, room: Room, plug: Plug, release: Release, tmp_path: Path
) -> None:
    """By Debian's tftp, which knows no options; the path is that of the loader."""
    pc = plug()
    await pc.power_on(firmware(7))

    def fetch(name: str) -> bytes:
        got = tmp_path / "got"
        pc.host.run(["tftp", "-m", "octet", pc.box, "-c", "get", f"{pc.mac.bare}/{name}", str(got)], timeout=60)
        return got.read_bytes()

    first = fetch("autoexec.ipxe").decode().splitlines()
    assert first[0] == "#!ipxe"
    assert f"chain --replace --autofree http://{pc.box}/boot/{pc.mac.bare}/boot.ipxe ||" in first
    assert fetch("snponly.efi") == (LOADERS / "snponly.efi").read_bytes()
    with pc.tftp() as peer:
        reader = Reader()
        acknowledgement = reader.answer(await peer.ask(rrq(f"{pc.mac.bare}/snponly.efi")))
        install_release(room.data / "images", loaders={"snponly.efi": b"of another image"})
        wait_until(lambda: fetch("snponly.efi") == b"of another image", TIMEOUT, "the other image's loader", 0.2)
        assert acknowledgement
        whole = await peer.fetch(acknowledgement, reader)
        assert whole == (LOADERS / "snponly.efi").read_bytes(), "a PC gets the rest of the file that it began"
    box.verb("image", "rollback")
    wait_until(lambda: fetch("snponly.efi") != b"of another image", TIMEOUT, "the first image's loader", 0.2)
    assert fetch("snponly.efi") == (LOADERS / "snponly.efi").read_bytes()
    assert box.boot(pc.mac)["transfers"][0]["path"] == "autoexec.ipxe"


async def test_where_large_blocks_are_dropped_on_the_way_a_client_that_tries_again_gets_small_ones(
    box: Box, room: Room, plug: Plug, tmp_path: Path
) -> None:
    """A bridge port with a smaller MTU drops frames and says nothing, as a switch does before a tunnel."""
    pc = plug()
    await pc.power_on(firmware(7))
    port = f"port-{pc.host.name.rpartition('-')[2]}"
    room.network.wire.ip("link", "set", port, "mtu", "1400")

    def fetch(*more: str) -> bytes:
        got = tmp_path / "got"
        url = f"tftp://{pc.box}/{pc.mac.bare}/snponly.efi"
        command = [
            "curl",
            "--silent",
            "--show-error",
            "--tftp-blksize",
            "1468",
            "--max-time",
            "6",
            "--output",
            str(got),
        ]
        pc.host.run([*command, *more, url], timeout=60)
        return got.read_bytes()

    since = box.mark()
    loader = (LOADERS / "snponly.efi").read_bytes()
    assert fetch("--retry", "2") == loader
    assert fetch() == loader, "the next boot need not fail first"
    told = [line for line in box.lines(since) if "[tftp] largest_block" in line["event"]]
    assert len(told) == 1
    assert pc.address in told[0]["event"]
    other = plug()
    await other.power_on(firmware(7))
    assert await other.load(f"{other.mac.bare}/snponly.efi", 1468) == loader


async def test_an_ipxe_in_rom_needs_no_loader(box: Box, plug: Plug, release: Release) -> None:
    pc = plug()
    await boot_by_ipxe(pc, 0, release)
    boot = box.await_stage(pc.mac, "initrd")
    assert [reached["stage"] for reached in boot["stages"]] == [s for s in WHOLE_BOOT if s != "loader"]


async def test_an_image_with_microcode_and_the_one_before_it_without_any(
    box: Box, room: Room, plug: Plug, release: Release
) -> None:
    """The script names what the release has; a boot has come to its ramdisk when that is there, not its microcode."""
    pc, url = plug(), "boot.ipxe"
    older = await pc.run_ipxe(7)
    assert [each.rpartition("/")[2] for each in older.initrds] == [INITRD]
    sizes = {KERNEL: 30_000, MICROCODE: 70_000, INITRD: 50_000, SQUASHFS: 4096, PACKAGES: 100}
    newer = install_release(room.data / "images", sizes)
    wait_until(lambda: newer.id in pc.get(pc.path(url)).decode(), TIMEOUT, "the script of the newer image", 0.2)
    script = await pc.run_ipxe(7)
    files = [(newer.path / name).read_bytes() for name in (KERNEL, MICROCODE, INITRD)]
    assert [pc.get(each) for each in (script.kernel, script.initrds[0])] == files[:2]
    microcode = f"image/{newer.id}/{MICROCODE}"
    wait_until(lambda: box.boot(pc.mac)["transfers"][-1]["path"] == microcode, TIMEOUT, "microcode", 0.2)
    assert box.await_stage(pc.mac, "kernel")["stage"] == "kernel"
    assert list(pc.load_image(script)) == files
    box.await_stage(pc.mac, "initrd")
    assert await pc.load(f"{pc.mac.bare}/{microcode}", 1468) == files[1]
    box.verb("image", "rollback")
    wait_until(lambda: release.id in pc.get(pc.path(url)).decode(), TIMEOUT, "the script of the older image", 0.2)
    await boot_by_ipxe(plug(), 7, release)


LEASE_OFFER = f"{SITE} offers a lease"
LEASES = f"{SITE} leases 10.77.0.134"
SNPONLY = f"{CAPTURED.bare}/snponly.efi"
SNPONLY_URL = f"http://{BOX}/boot/{CAPTURED.bare}/loader/snponly.efi"
SCRIPT = f"http://{BOX}/boot/{CAPTURED.bare}/boot.ipxe"
SHIM = Path("/usr/lib/shim/shimx64.efi.signed")
REPLAYS = {
    "bios-ipxe-virtio.pcap": [
        # iPXE in the ROM of a virtio card; then the live system's kernel, which takes its lease like any Linux.
        ("67", f"{BOX} offers {SCRIPT} with 43 060108ff", LEASE_OFFER),
        ("67", f"{BOX} offers {SCRIPT} with 43 060108ff", LEASE_OFFER),
        ("67", LEASES),
        ("4011", f"{BOX} acknowledges {SCRIPT} with 43 060108470480010000ff"),
        ("67", LEASE_OFFER),
        ("67", LEASES),
    ],
    "uefi-http-proxy.pcap": [
        # UEFI HTTP boot; then iPXE, and what QEMU's own TFTP server was asked.
        ("67", f"{BOX} offers {SNPONLY_URL}", LEASE_OFFER),
        ("67", LEASES),
        ("67", f"{BOX} offers {SCRIPT}", LEASE_OFFER),
        ("67", LEASES),
        *[("69", f"{BOX} grants blksize=1432, tsize={(LOADERS / 'snponly.efi').stat().st_size}")] * 6,
    ],
    "uefi-pxe-edk2-head.pcap": [
        ("67", f"{BOX} offers {SNPONLY}", LEASE_OFFER),
        ("67", LEASES),
        ("4011", f"{BOX} acknowledges {SNPONLY}"),
        # When this was recorded, the server offered Debian's shim, which every box with the package has as well.
        ("69", f"{BOX} grants tsize={SHIM.stat().st_size}, blksize=1468, windowsize=4"),
        ("69", f"{BOX} grants blksize=1468, windowsize=4"),
    ],
}


def test_every_capture_is_replayed() -> None:
    assert sorted(REPLAYS) == all_captures()


@pytest.mark.parametrize("name", REPLAYS)
def test_real_firmware_gets_what_it_needs(box: Box, plug: Plug, name: str) -> None:
    """Replays the bytes that real firmware sent: what the box and the site's server answer."""
    pc = plug(mac=CAPTURED)
    asked = [datagram for datagram in datagrams(name, 67, 69, 4011) if datagram.source not in (BOX, SITE)]
    heard = []
    for datagram, (_, *expected) in zip(asked, REPLAYS[name], strict=True):
        heard.append((str(datagram.port), *sorted(replay(pc, datagram, len(expected)))))
        assert pc.frames.heard() == []
    assert heard == REPLAYS[name]


def replay(pc: ScriptedPc, datagram: Datagram, answers: int) -> list[str]:
    """Send a captured datagram from its original address and port, and describe what comes back."""
    source = "" if str(datagram.source) == "0.0.0.0" else str(datagram.source)
    if pc.address != source:
        pc.use(source)
    with pc.nic(datagram.source_port) as nic:
        nic.say(datagram.payload, str(datagram.destination), datagram.port)
        heard = [described(frame) for frame in (pc.frames.next() for _ in range(answers))]
        if datagram.port == 69:
            nic.say(b"\0\5\0\0that was all\0", pc.box, 69)
    return heard


def described(frame: Frame) -> str:
    """An answer in words."""
    if frame.source_port == 69:
        if frame.payload[:2] == b"\0\5":
            return "{} says error {} {}".format(frame.source, *error(frame.payload))
        return f"{frame.source} grants {', '.join(f'{key}={value}' for key, value in oack(frame.payload).items())}"
    answer = Answer.parse(frame.payload)
    assert answer.options[54] == IPv4Address(frame.source).packed
    if answer.yiaddr != "0.0.0.0":
        return LEASE_OFFER if answer.kind == "OFFER" else f"{frame.source} leases {answer.yiaddr}"
    assert answer.siaddr == frame.source
    more = f" with 43 {answer.options[43].hex()}" if 43 in answer.options else ""
    return f"{frame.source} {'offers' if answer.kind == 'OFFER' else 'acknowledges'} {answer.file}{more}"
