"""What the box tells iPXE, GRUB and PXELINUX: menus and scripts, with tokens, locks and `boot next`."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from appliance.allowlist import BootSettings, Entry
from appliance.boot import next_boot
from appliance.config import menu_password
from appliance.config.file import Config, parse
from appliance.journal.recorder import Journal
from appliance.journal.timeline import Stage
from appliance.registry.database import Registry
from appliance.server.boot_scripts import BootScripts
from appliance.server.box import Box
from image import release
from services.decision import Ignore, Reason
from services.ethernet import MacAddress, MacRange
from services.events import Discovered, Reported, TransferProgressed
from services.linux.neighbours import Neighbours
from services.menus.menu import Dialect
from tests.unit.image.test_release import publish

PC = MacAddress.parse("52:54:00:aa:bb:cc")
ADDRESS, PEER = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.100")
OLD, NEW = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d"
PASSWORD = menu_password.scrypt("secret")
MENU = f"""
[menu]
entries = ["boinc", "previous", "memtest", "rescue"]
timeout = 10
locked = ["rescue"]
password = "{PASSWORD}"
"""


class EmptyTable:
    """An empty neighbour table; no peer is on the link."""

    def on_link(self, _: IPv4Address) -> bool:
        return False

    def mac_of(self, _: IPv4Address) -> None:
        return None


class Running:
    """A box with two releases and one allowed PC; `now` is its clock."""

    def __init__(self, data: Path) -> None:
        self.data = data
        for each in (OLD, NEW):
            publish(data / "images", each)
            release.activate(data / "images", each)
        self.now = 1000.0
        self.registry = Registry(data / "registry" / "registry.sqlite3")
        self.allow(BootSettings())
        self.journal = Journal(self.registry, lambda: self.now, lambda *_: None)
        neighbours = cast(Neighbours, EmptyTable())
        self.exports_changed = 0
        self.box = Box(self.config(""), self.registry, self.journal, neighbours, (), self._count_change)
        self.scripts = BootScripts(self.box, self.journal)

    def _count_change(self) -> None:
        self.exports_changed += 1

    def config(self, menu: str) -> Config:
        return parse(f'[server]\ndata = "{self.data}"\n[nfs]\nnetworks = ["10.77.0.0/24"]\n{menu}', Path("c.toml"))

    def configure(self, menu: str) -> None:
        self.box.config = self.config(menu)

    def allow(self, settings: BootSettings) -> None:
        self.registry.allow([Entry(MacRange(PC, PC), "", settings)])

    def ask_next(self, entry: str) -> None:
        next_boot.ask(self.registry, PC, entry)
        self.box.next_boots.refresh()

    def power_on(self) -> str:
        """A DISCOVER of firmware, then the request for the script."""
        self.now += 1000
        self.box.emit(Discovered(PC, 0, ipxe=False, xid=int(self.now), secs=0))
        return self.script()

    def script(self) -> str:
        script = self.scripts.ipxe(ADDRESS, PC, PEER)
        assert isinstance(script, str)
        return script

    async def choose(self, key: str, password: str | None = None) -> str | Ignore:
        return await self.scripts.entry(ADDRESS, PC, PEER, key, password)

    @property
    def token(self) -> str:
        boot = self.journal.boot(PC)
        assert boot
        return boot.token

    @property
    def started(self) -> str:
        boot = self.journal.boot(PC)
        assert boot
        return boot.entry


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.registry.close()


def test_without_configuration_boinc_starts_at_once(box: Running) -> None:
    script = box.power_on()
    assert f"kernel image/{NEW}/vmlinuz" in script
    assert f"netboot_appliance.token={box.token}" in script
    assert "menu" not in script
    assert box.started == "boinc"


async def test_a_menu_has_no_token_but_its_entries_do(box: Running) -> None:
    box.configure(MENU)
    script = box.power_on()
    assert "item --key 2 previous 2 BOINC (previous image" in script
    assert box.token not in script
    chosen = await box.choose("previous")
    assert isinstance(chosen, str)
    assert f"/image/{OLD}/vmlinuz" in chosen
    assert f"netboot_appliance.token={box.token}" in chosen
    assert box.started == "previous"
    assert await box.choose("reboot") == Ignore(Reason.NO_FILE)


async def test_a_locked_entry_opens_only_with_its_password(box: Running) -> None:
    box.configure(MENU)
    script = box.power_on()
    assert "rescue 3 Rescue shell (password)" in script
    assert "init=" not in script
    assert await box.choose("rescue") == Ignore(Reason.PASSWORD_NEEDED)
    assert await box.choose("rescue", "wrong") == Ignore(Reason.PASSWORD_WRONG)
    assert box.started == "boinc"
    chosen = await box.choose("rescue", "secret")
    assert isinstance(chosen, str)
    assert "init=/bin/bash" in chosen
    assert box.started == "rescue"


async def test_a_rescue_shell_gets_no_secrets(box: Running) -> None:
    box.configure(MENU)
    box.power_on()
    chosen = await box.choose("rescue", "secret")
    assert isinstance(chosen, str)
    assert box.token not in chosen
    found = re.search(r"netboot_appliance\.token=(\S+)", chosen)
    assert found
    assert box.box.secrets(PC, found[1], PEER) == Ignore(Reason.TOKEN_INVALID)
    report = Reported(PC, "root-mounted")
    assert box.box.report(PC, found[1], report, PEER) == report, "yet it can report its progress"
    assert box.box.report(PC, "rescue", report, PEER) == Ignore(Reason.TOKEN_INVALID)
    assert isinstance(box.box.secrets(PC, box.token, PEER), bytes)


async def test_many_wrong_passwords(box: Running) -> None:
    box.configure(MENU)
    box.power_on()
    found = [await box.choose("rescue", "wrong") for _ in range(6)]
    assert found == [Ignore(Reason.PASSWORD_WRONG)] * 5 + [Ignore(Reason.PASSWORDS_BLOCKED)]
    assert await box.choose("rescue", "secret") == Ignore(Reason.PASSWORDS_BLOCKED)
    assert isinstance(await box.choose("boinc"), str), "the rest of the menu goes on"


def test_a_range_s_own_default(box: Running) -> None:
    box.allow(BootSettings(entry="local"))
    box.box.refresh_allowlist()
    assert "sanboot" in box.power_on()
    assert box.started == "local"


async def test_boot_next_is_for_one_boot(box: Running) -> None:
    box.configure(MENU)
    box.ask_next("rescue")
    script = box.power_on()
    assert "init=/bin/bash" in script, "at once, and without a password"
    assert box.script() == script, "a retry of the same boot"
    assert box.started == "rescue"
    assert "menu netboot-appliance" in box.power_on()
    assert "init=" not in box.script()


def test_after_five_boots_in_vain_the_sixth_starts_the_disk_and_the_seventh_tries_again(box: Running) -> None:
    def started() -> str:
        script = box.power_on()
        box.box.emit(TransferProgressed(PC, "http", f"image/{NEW}/vmlinuz", 0, 100))
        return "the disk" if "sanboot" in script else "the live system"

    assert [started() for _ in range(6)] == [*["the live system"] * 5, "the disk"]
    assert "sanboot" in box.script(), "a retry of the same boot"
    gave_up = box.journal.boot(PC)
    assert gave_up
    assert (gave_up.entry, gave_up.stage, gave_up.under_way) == ("local", Stage.FAILED, False)
    assert gave_up.failure.startswith("the live system did not come up in 5 boots in a row")
    assert started() == "the live system"


def test_a_boot_that_came_up_ends_the_count(box: Running) -> None:
    for number in range(9):
        assert "sanboot" not in box.power_on()
        box.box.emit(TransferProgressed(PC, "http", f"image/{NEW}/vmlinuz", 0, 100))
        if number == 4:
            box.box.emit(Reported(PC, "reported", {}))


def test_boots_that_took_no_kernel_do_not_count(box: Running) -> None:
    """In a menu of GRUB or PXELINUX somebody may have chosen the disk: they do not tell."""
    assert all("sanboot" not in box.power_on() for _ in range(9))


def test_what_boot_next_asks_for_comes_first(box: Running) -> None:
    for _ in range(5):
        box.power_on()
        box.box.emit(TransferProgressed(PC, "http", f"image/{NEW}/vmlinuz", 0, 100))
    box.ask_next("boinc")
    assert "sanboot" not in box.power_on()


def test_what_is_missing_is_logged_once(box: Running) -> None:
    box.configure(MENU)
    with capture_logs() as logs:
        box.power_on()
        box.power_on()
    assert [log["entry"] for log in logs] == ["memtest: the active image has none: build another one"]
    (box.box.config.boot_root).mkdir()
    for name in ("memtest", "memtest.efi"):
        (box.box.config.boot_root / name).write_bytes(b"")
    assert "memtest 3 Memory test" in box.power_on()


def test_the_script_that_ipxe_begins_with_is_no_sign_of_a_boot(box: Running) -> None:
    script = box.scripts.autoexec(ADDRESS, PC)
    assert isinstance(script, str)
    assert f"chain --replace --autofree http://{ADDRESS}/boot/{PC.bare}/boot.ipxe ||" in script
    assert box.journal.boot(PC) is None
    (box.data / "images" / "current").unlink()
    box.box.refresh_release()
    assert box.scripts.autoexec(ADDRESS, PC) == Ignore(Reason.NO_IMAGE)


@pytest.mark.parametrize(
    ("loader", "line"), [("snponly.efi", ""), ("snponly-shimx64.efi", "shim loader/shimx64.efi ||")]
)
def test_only_a_signed_ipxe_is_told_of_the_shim_for_the_kernel(box: Running, loader: str, line: str) -> None:
    box.configure(f'[boot.loaders]\nuefi_x64 = "{loader}"\n')
    box.box.refresh_boot_files()
    assert "\n".join(each for each in box.power_on().split("\n") if "shim" in each) == line


def test_a_damaged_release_is_left_out(box: Running) -> None:
    box.configure('[menu]\nentries = ["boinc", "image:' + OLD + '"]\ntimeout = 5\n')
    assert f"item --key 2 image-{OLD} " in box.power_on()
    (box.data / "images" / OLD / "vmlinuz").unlink()
    assert f"image-{OLD}" not in box.power_on()


def test_the_other_loaders(box: Running) -> None:
    box.configure(MENU)
    grub = box.scripts.loader(ADDRESS, Dialect.GRUB, PC, PEER)
    assert isinstance(grub, str)
    assert "rescue" not in grub, "there is no grub_password"
    assert f"netboot_appliance.token={box.token}" in grub
    assert isinstance(box.scripts.loader(ADDRESS, Dialect.PXELINUX, PC, PEER), str)


def test_without_an_image_there_is_no_menu(box: Running) -> None:
    (box.data / "images" / "current").unlink()
    box.box.refresh_release()
    assert box.scripts.ipxe(ADDRESS, PC, PEER) == Ignore(Reason.NO_IMAGE)
    assert box.scripts.loader(ADDRESS, Dialect.GRUB, PC, PEER) == Ignore(Reason.NO_IMAGE)
