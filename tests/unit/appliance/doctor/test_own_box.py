"""What a probe reads of this box's own files."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.config.file import load
from appliance.doctor.own_box import OwnBox
from image import release
from services.ethernet import MacAddress
from services.probe.firmware import Agent
from services.probe.message import Checked, Packet, Refused
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, PC, BoxWithReleases

REFUSAL = Packet(1.0, False, IPv4Address("10.77.0.1"), 80, 0, Refused("boot.ipxe", "closed"))


@pytest.mark.parametrize(
    ("active", "names"), [(OLD, ["vmlinuz", "initrd.img"]), (NEW, ["vmlinuz", "microcode.img", "initrd.img"])]
)
def test_the_files_that_were_refused_are_checked_on_the_disk(tmp_path: Path, active: str, names: list[str]) -> None:
    BoxWithReleases(tmp_path)
    images = tmp_path / "images"
    release.activate(images, active)
    own = OwnBox(load(tmp_path / "c.toml"), MacAddress.parse(PC))

    def checked() -> dict[str, bool]:
        contents = [packet.content for packet in own.check_refused([REFUSAL], Agent.IPXE)]
        return {each.name: each.good for each in contents if isinstance(each, Checked)}

    assert checked() == {f"{active}/{name}": True for name in names}
    damaged = images / active / names[-2]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert checked() == {f"{active}/{name}": name != names[-2] for name in names}
