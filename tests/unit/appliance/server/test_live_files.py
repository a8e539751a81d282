"""What [live] and overlays give a PC that boots, and who gets it."""

import io
import os
import tarfile
from ipaddress import IPv4Address

import pytest

from appliance.config.file import Config
from appliance.live.host_keys import stored_secret
from services.decision import Ignore, Reason
from services.events import Reported
from services.ssh.host_key import host_key
from tests.unit.appliance.config.test_live import KEY
from tests.unit.appliance.server.test_boot_scripts import PC, Running, box

__all__ = ["box"]

ADDRESS = IPv4Address("10.77.0.50")


def configure(box: Running, live: str) -> Config:
    box.configure(f'[live]\ndirectory = "{box.data}/live"\n{live}')
    return box.box.config


def put(box: Running, name: str, text: str) -> None:
    path = box.data / "live" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    live = box.box.config.live
    for _ in range(2):
        box.box.live.overlays.turn(live.directory, live.overlays)


def unpacked(box: Running, listing: str | Ignore) -> list[dict[str, bytes]]:
    """The files of each archive of the list."""
    assert isinstance(listing, str)
    found = []
    for line in listing.splitlines():
        digest, size = line.split()
        file = box.box.live_archive(PC, box.token, digest)
        assert not isinstance(file, Ignore)
        assert file.size == int(size)
        with tarfile.open(fileobj=io.BytesIO(os.pread(file.fd, file.size, 0))) as tar:
            contents = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.isreg()}
            found.append({name: content.read() for name, content in contents.items() if content})
        file.close()
    return found


def test_a_pc_without_files_is_told_of_none(box: Running) -> None:
    configure(box, "")
    assert "netboot_appliance.live" not in box.power_on()
    assert box.box.live_list(PC, box.token) == ""


def test_the_command_line_has_name_zone_and_whether_there_are_files(box: Running) -> None:
    configure(box, 'host_name = "pc-{mac4}"\ntime_zone = "Asia/Kolkata"\n')
    words = box.power_on().split()
    assert {f"netboot_appliance.name=pc-{PC.bare[-4:]}", "netboot_appliance.zone=Asia/Kolkata"} <= set(words)
    put(box, "all/files/etc/motd", "hello")
    assert "netboot_appliance.live=1" in box.power_on().split()


def test_overlays_come_in_their_order_and_settings_last(box: Running) -> None:
    configure(box, 'keyboard = "de"\noverlay = ["lab"]\n')
    put(box, "all/files/etc/motd", "all")
    put(box, "lab/files/etc/motd", "lab")
    put(box, "unused/files/etc/motd", "unused")
    box.power_on()
    motds = [files.get("etc/motd") for files in unpacked(box, box.box.live_list(PC, box.token))]
    assert motds == [b"all", b"lab", None]


def test_an_edit_is_in_the_next_list(box: Running) -> None:
    configure(box, "")
    put(box, "all/files/etc/motd", "before")
    box.power_on()
    before = box.box.live_list(PC, box.token)
    put(box, "all/files/etc/motd", "after the edit")
    (files,) = unpacked(box, box.box.live_list(PC, box.token))
    assert files["etc/motd"] == b"after the edit"
    assert isinstance(before, str)
    assert box.box.live_archive(PC, box.token, before.split()[0]) == Ignore(Reason.NO_FILE)


def test_the_host_key_stays_the_same_and_is_the_pcs_own(box: Running) -> None:
    configure(box, f'ssh_keys = ["{KEY}"]\n')
    assert stored_secret(box.registry) == ""
    keys = []
    for _ in range(2):
        box.power_on()
        (files,) = unpacked(box, box.box.live_list(PC, box.token))
        keys.append(files["etc/ssh/netboot_host_key"].decode())
    assert keys[0] == keys[1] == host_key(stored_secret(box.registry), PC).private


def test_without_the_token_of_the_boot_there_is_nothing(box: Running) -> None:
    configure(box, 'keyboard = "de"\n')
    assert box.box.live_list(PC, "T0ken") == Ignore(Reason.NO_BOOT)
    box.power_on()
    listing = box.box.live_list(PC, box.token)
    assert isinstance(listing, str)
    digest = listing.split()[0]
    assert box.box.live_list(PC, "T0ken") == box.box.live_archive(PC, "T0ken", digest) == Ignore(Reason.TOKEN_INVALID)
    assert box.box.live_archive(PC, box.token, "0" * 64) == Ignore(Reason.NO_FILE)
    old = box.token
    box.box.exchange(PC, old, ADDRESS)
    assert box.box.live_list(PC, old) == Ignore(Reason.TOKEN_INVALID), "programs of the live system can read it"
    box.box.report(PC, box.token, Reported(PC, "reported"), ADDRESS)
    assert box.box.live_list(PC, box.token) == Ignore(Reason.TOKEN_SPENT)


@pytest.mark.parametrize(("entry", "told"), [("boinc", True), ("rescue", False)])
def test_a_rescue_gets_no_files(box: Running, entry: str, told: bool) -> None:
    configure(box, f'keyboard = "de"\n[menu]\nentries = ["boinc", "rescue"]\ndefault = "{entry}"\n')
    words = box.power_on().split()
    assert "netboot_appliance.token" in str(words)
    assert ("netboot_appliance.live=1" in words) == told
