"""`doctor probe` against the real box: from the PC itself, from other hosts, and when something is missing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.registry.database import Registry
from image.release import Release
from services.ethernet import MacAddress
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import ScriptedPc
from tests.netns.served import Box
from tests.room.namespaces import Namespace
from tests.room.room import BOX, OTHER, SITE, Room, appliance_command, host_mac

TIMEOUT = 90.0
ADDRESSES = (f"10.77.0.{number}" for number in range(221, 254))
"""The PCs' addresses here, outside the site's range: no lease is taken, neither before nor during a probe. Each PC has
its own, since the box keeps the address of a PC for it for a while."""


@dataclass(frozen=True)
class Probed:
    """What a run of the command said."""

    code: int
    report: Any
    errors: str

    @property
    def texts(self) -> list[str]:
        """The timeline's words."""
        return [step["text"] for step in self.report["steps"]]

    @property
    def plans(self) -> list[str]:
        """What the agent does next, for each step that says so."""
        return [step["next"] for step in self.report["steps"] if step["next"]]

    @property
    def verdict(self) -> dict[str, str]:
        """The verdict."""
        return dict(self.report["verdict"])

    def said(self, words: str) -> str:
        """The first line of the timeline that contains these words."""
        found = [text for text in self.texts if words in text]
        assert found, (words, self.report)
        return found[0]


def probe(host: Namespace, configuration: Path, mac: MacAddress, arch: str, *more: str) -> Probed:
    """Run `doctor probe` on a host."""
    command = [appliance_command(), "--config", str(configuration), "doctor", "probe", str(mac), "--arch", arch]
    done = host.run([*command, "--json", *more], timeout=TIMEOUT, check=False)
    assert done.stdout, done.stderr
    return Probed(done.returncode, json.loads(done.stdout), done.stderr)


def probe_pc(pc: ScriptedPc, box: Box, arch: str) -> Probed:
    """Run `doctor probe` on the PC itself, and check that it asked the site's DHCP server for no lease."""
    if not pc.address:
        pc.use(next(ADDRESSES))
    probed = probe(pc.host, box.configuration, pc.mac, arch)
    assert not [text for text in probed.texts if text.startswith("REQUEST from")]
    return probed


async def test_the_pc_itself_boots_as_bios(box: Box, room: Room, plug: Plug, release: Release) -> None:
    pc = plug()
    probed = probe_pc(pc, box, "bios")
    assert probed.verdict["outcome"] == "boots", probed.report
    assert probed.code == 0
    assert probed.plans == [
        f"the BIOS takes its lease from {SITE}, and loads {pc.mac.bare}/undionly.kpxe from {BOX} by TFTP",
        f"iPXE takes its lease from {SITE}, and loads http://{BOX}/boot/{pc.mac.bare}/boot.ipxe",
    ]
    assert probed.said(f"{pc.mac.bare}/undionly.kpxe: ").endswith("as it should be")
    for name, size in (("vmlinuz", 3 << 20), ("initrd.img", (5 << 20) + 1)):
        line = probed.said(f"image/{release.id}/{name}: ")
        assert f"{size:,} bytes, sha256 {release.files[name].sha256[:16]}…, as it should be" in line
    assert room.leased(pc.mac) is None


async def test_the_pc_itself_boots_as_uefi_and_asks_port_4011(box: Box, plug: Plug) -> None:
    pc = plug()
    probed = probe_pc(pc, box, "uefi-x64")
    assert (probed.code, probed.verdict["outcome"]) == (0, "boots"), probed.report
    assert f"asks {BOX} on port 4011" in probed.plans[0]
    assert probed.plans[1] == f"loads {pc.mac.bare}/snponly.efi from {BOX} by TFTP"
    probed.said(f"ACK from {BOX} port 4011: boot file {pc.mac.bare}/snponly.efi")
    assert "it only wanted the size" in probed.said("TFTP ERROR 8")
    assert probed.said(f"{pc.mac.bare}/snponly.efi: ").endswith("as it should be")


async def test_the_pc_itself_boots_as_ipxe(box: Box, plug: Plug) -> None:
    pc = plug()
    probed = probe_pc(pc, box, "ipxe")
    assert (probed.code, probed.verdict["outcome"]) == (0, "boots"), probed.report
    assert not [text for text in probed.texts if text.startswith("TFTP")]
    assert probed.said("/initrd.img: ").endswith("as it should be")


async def test_the_pc_itself_boots_over_http(box: Box, room: Room, plug: Plug) -> None:
    pc = plug()
    probed = probe_pc(pc, box, "uefi-http")
    assert (probed.code, probed.verdict["outcome"]) == (0, "boots"), probed.report
    path = f"/boot/{pc.mac.bare}/loader/snponly.efi"
    assert probed.plans[0] == f"UEFI HTTP boot takes its lease from {SITE}, and loads http://{BOX}{path}"
    assert probed.said(f"{path}: ").endswith("as it should be")
    away = probe(room.other, room.directory / "no-such.toml", pc.mac, "uefi-http", "--interface", "lan0")
    assert (away.code, away.verdict["outcome"]) == (0, "boots"), away.report
    assert len([text for text in away.texts if text.startswith("refused, as it should be")]) == 2


async def test_a_file_that_differs_from_the_manifest(box: Box, plug: Plug, release: Release) -> None:
    pc = plug()
    initrd = release.path / "initrd.img"
    content = initrd.read_bytes()
    try:
        initrd.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        probed = probe_pc(pc, box, "ipxe")
    finally:
        initrd.write_bytes(content)
    assert (probed.code, probed.verdict["outcome"]) == (1, "does not boot")
    assert "its sha256 is wrong" in probed.verdict["text"]


async def test_a_pc_that_is_not_allowed(box: Box, plug: Plug) -> None:
    stranger = plug(stranger=True)
    probed = probe_pc(stranger, box, "bios")
    assert (probed.code, probed.verdict["outcome"]) == (1, "does not boot")
    assert "no boot offer was seen" in probed.verdict["text"]
    assert f"netboot-appliance allow add {stranger.mac}" in probed.verdict["hint"]
    offers = [text for text in probed.texts if text.startswith("OFFER")]
    assert offers
    assert all(f"from {SITE}" in offer for offer in offers)


async def test_from_another_host_dhcp_is_judged_and_files_are_refused(box: Box, room: Room, plug: Plug) -> None:
    """`other` has no configuration of the box: all that it says comes from the network."""
    mac = plug().mac
    nowhere = room.directory / "no-such.toml"
    probed = probe(room.other, nowhere, mac, "uefi-x64", "--interface", "lan0")
    assert (probed.code, probed.verdict["outcome"]) == (0, "boots"), probed.report
    assert "as far as can be seen from this host" in probed.verdict["text"]
    assert "on this disk" not in " ".join(probed.texts)
    probed.said(f"ACK from {BOX} port 4011: boot file {mac.bare}/snponly.efi")
    refused = [text for text in probed.texts if text.startswith("refused, as it should be")]
    assert len(refused) == 2
    assert all(f"this host's MAC is {host_mac(OTHER)}, not {mac}" in text for text in refused)
    # The box took the probe's address for no PC's.
    with Registry(box.data / "registry" / "registry.sqlite3") as registry:
        addresses = [row for boot in registry.boots(mac) for row in registry.events(boot.id) if "AddressSeen" in row]
    assert addresses == []


async def test_on_the_box_its_own_answers_are_heard_and_its_disk_is_read(box: Box, plug: Plug) -> None:
    pc = plug()
    mac = pc.mac
    warned = f"warning: {mac} has booted (root mounted, last heard"
    for arch, loader in (("bios", "undionly.kpxe"), ("uefi-x64", "snponly.efi")):
        probed = probe(box.host, box.configuration, mac, arch)
        assert (probed.code, probed.verdict["outcome"]) == (0, "boots"), probed.report
        probed.said(f"OFFER from {BOX}: no address, boot file {mac.bare}/{loader}")
        probed.said(f"OFFER from {SITE}: address 10.77.0.")
        probed.said(f"{loader} on this disk: ")
        assert probed.said("/initrd.img on this disk: ").endswith("as in the manifest")
        if arch == "uefi-x64":
            assert "only be seen from another host" in probed.said("port 4011")
        assert (warned in probed.errors) == (arch == "uefi-x64")
        script = await pc.run_ipxe()
        assert pc.report(script.token, "root-mounted") == 204
        box.await_stage(mac, "root mounted")


async def test_the_box_is_stopped(box: Box, plug: Plug) -> None:
    pc = plug()
    assert box.process
    box.process.stop()
    probed = probe_pc(pc, box, "bios")
    assert (probed.code, probed.verdict["outcome"]) == (1, "does not boot")
    assert "no boot offer was seen" in probed.verdict["text"]
    assert "netboot-appliance serve" in probed.verdict["hint"]


async def test_no_image_is_active(box: Box, room: Room, plug: Plug, release: Release) -> None:
    pc = plug()
    link = room.data / "images" / "current"
    target = link.readlink()
    since = box.mark()
    link.unlink()
    try:
        box.wait_for("active image", since, release=None)
        probed = probe_pc(pc, box, "uefi-x64")
    finally:
        since = box.mark()
        link.symlink_to(target)
        box.wait_for("active image", since, release=release.id)
    assert (probed.code, probed.verdict["outcome"]) == (1, "does not boot")
    assert "no image is active: netboot-appliance image build" in probed.verdict["hint"]


async def test_a_dhcp_client_on_port_68_is_not_in_the_way(box: Box, plug: Plug) -> None:
    pc = plug()
    pc.use(next(ADDRESSES))
    with pc.nic(68) as nic:
        probed = probe_pc(pc, box, "ipxe")
        assert nic.heard(), "it still receives what comes to its port"
    assert (probed.code, probed.verdict["outcome"]) == (0, "boots"), probed.report


async def test_bad_input(box: Box, room: Room) -> None:
    for arguments in (["52:54:00"], ["525400770001", "--interface", "no0"], ["525400770001", "--arch", "vax"]):
        done = box.verb("doctor", "probe", *arguments, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
