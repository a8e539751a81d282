"""The image that PCs boot: no module by which even root on a PC could reach disks, and all that network cards need."""

import json
import lzma
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config.file import load
from appliance.images.recipe import wanted
from image import activation, contents, file_tree, signature
from image.bootfiles import DIRECTORY, PACKAGED
from image.build import Rebuild, build
from image.customization import Customization, read
from image.pull import pull
from image.push import push
from image.recipe import ImageRecipe
from image.release import INITRD, RECIPE, SQUASHFS, Release
from image.signature import KeyRing
from tests.room.live_image import DEMO, customize, give_image, only_one
from tests.room.signed_repository import SignedRepository

FORBIDDEN = re.compile(
    r"/(?:ata|cdrom|comedi|cxl|dax|firewire|firmware|kvm|md|mei|memstick|message|mmc|mtd|nvdimm|nvme|nvmem|parport|"
    r"pcmcia|platform|scsi|spi|target|tpm|ufs|uio|vfio|vhost|ipmi|nfit|busses|storage|usbip|gadget|vmw_vsock|bluetooth)/"
    r"|/(?:vfio|uio|nd_|dax|device_dax|virtio_pmem|virtio_blk|virtio_scsi|efi[-_]pstore|efivarfs|pstore|ramoops|mtd|nvme|"
    r"ahci|libata|sd_mod|sr_mod|sg|usb-storage|uas|mmc|sdhci|rtsx|spi-|mei|i2c-dev|i2c-stub|nvram|msr|nbd|"
    r"dm-|dell_rbu|think-lmi|capsule-loader|ipmi|tpm|xen-blk|hv_storvsc|ext4|xfs|btrfs|vfat|ntfs3?|fuse|cifs)[^/]*\.ko"
)
"""Modules that drive disks or memory that outlives a restart, or that let programs drive devices."""
MODULE = (".ko", ".ko.xz")
"""How the names of modules end, in Debian 12 and 13."""
OF_CARDS = ("bnx2/bnx2-mips-09-6.2.1b.fw", "e100/d101m_ucode.bin", "rtl_nic/rtl8168h-2.fw", "tigon/tg3.bin")
"""Some of the firmware that the drivers of office PCs' network cards load."""
MICROCODE = {f"kernel/x86/microcode/{vendor}.bin" for vendor in ("AuthenticAMD", "GenuineIntel")}
"""Where the kernel looks for the microcode of each vendor's processors."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release that the tests boot."""
    return (give_image(tmp_path_factory.mktemp("data")) / "current").resolve()


@pytest.fixture(scope="module")
def squashfs(release: Path) -> list[str]:
    """The live system's files, as `ls -l` shows them, in both its layers."""
    listing = ["unsquashfs", "-lln", "-d", ""]
    layers = [str(release / "live" / name) for name in ("filesystem.squashfs", "recipe.squashfs")]
    shown = [subprocess.run([*listing, layer], capture_output=True, text=True, check=True).stdout for layer in layers]
    return "".join(shown).splitlines()


def test_the_live_system_has_no_driver_for_disks_nor_one_that_lets_programs_drive_them(squashfs: list[str]) -> None:
    modules = [line.split()[-1] for line in squashfs if line.endswith(MODULE)]
    assert len(modules) > 500
    assert [module for module in modules if FORBIDDEN.search(module)] == []


def test_the_boot_loaders_are_beside_the_live_system_and_not_in_it(release: Path, squashfs: list[str]) -> None:
    files = json.loads((release / "manifest.json").read_text())["files"]
    wanted = {f"{DIRECTORY}/{name}" for name, file in PACKAGED.items() if file.everywhere}
    assert wanted <= files.keys()
    assert [line for line in squashfs if "netboot-loaders" in line] == []


def test_neither_has_the_initramfs(release: Path) -> None:
    modules = [name for name in initramfs(release / "initrd.img") if name.endswith(MODULE)]
    assert len(modules) > 100
    assert [module for module in modules if FORBIDDEN.search(f"/{module}")] == []


def test_what_a_network_boot_does_not_need_is_not_in_the_initramfs_which_each_pc_loads(release: Path) -> None:
    modules = [name for name in initramfs(release / "initrd.img") if name.endswith(MODULE)]
    useless = re.compile(r"/drivers/(?:hid|input/keyboard|watchdog|power|usb/typec|usb/dwc3|soundwire|pinctrl)/")
    assert [module for module in modules if useless.search(module)] == []


def test_no_program_gives_its_user_more_rights(squashfs: list[str]) -> None:
    files = [line for line in squashfs if line.startswith("-")]
    assert len(files) > 5000
    assert any("/usr/local/sbin/site" in line for line in files), "which a hook gives such a bit"
    assert [line for line in files if "s" in line.split()[0].lower()] == []


@pytest.fixture(scope="module")
def modules(release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The live system's modules, by name."""
    root = tmp_path_factory.mktemp("modules") / "root"
    command = ["unsquashfs", "-q", "-n", "-d", str(root), str(release / "live/filesystem.squashfs"), "usr/lib/modules"]
    subprocess.run(command, capture_output=True, check=True)
    return {named(path): path for path in (root / "usr/lib/modules").rglob("*.ko*")}


def test_the_network_cards_drivers_have_what_they_depend_on(modules: dict[str, Path]) -> None:
    (directory,) = {path for path in next(iter(modules.values())).parents if path.parent.name == "modules"}
    builtin = {named(Path(line)) for line in (directory / "modules.builtin").read_text().split()}
    needs = {name: {each.replace("-", "_") for each in said(path, b"depends")} for name, path in modules.items()}
    broken: set[str] = set()
    while more := {name for name in needs.keys() - broken if needs[name] - builtin - (modules.keys() - broken)}:
        broken |= more
    cards = {name for name in broken if re.search("/drivers/net/(ethernet|usb)/", str(modules[name]))}
    # b44 needs the drivers of SD cards, cnic is for disks on the network, hso and cdc_phonet are for telephones.
    assert {name for name in cards if not name.endswith("_cs")} == {"b44", "cnic", "hso", "cdc_phonet"}


def test_it_has_the_firmware_that_network_cards_ask_for_and_no_other(
    squashfs: list[str], modules: dict[str, Path]
) -> None:
    files = [line for line in squashfs if line.startswith("-") and "/usr/lib/firmware/" in line]
    firmware = {line.partition("/usr/lib/firmware/")[2] for line in files}
    asked = {name for path in modules.values() if "/drivers/net/" in str(path) for name in said(path, b"firmware")}
    assert firmware >= set(OF_CARDS)
    assert firmware <= asked


def test_the_initramfs_has_it_too_and_is_one_archive_that_every_tool_reads(release: Path) -> None:
    names = initramfs(release / "initrd.img")
    assert {name.partition("lib/firmware/")[2] for name in names} >= set(OF_CARDS)
    assert not [name for name in names if "microcode/" in name]


def test_the_microcode_of_both_vendors_is_a_file_of_its_own_that_is_not_compressed(release: Path) -> None:
    members: dict[str, int] = {}
    rest = (release / "microcode.img").read_bytes()
    while rest:
        found, end = archive(rest)
        at = (release / "microcode.img").stat().st_size - len(rest)
        members |= {name: at + start for name, start in found.items()}
        rest = rest[end:].lstrip(b"\0")
    assert members.keys() >= MICROCODE
    assert all(name == "." or name.startswith("kernel") for name in members)
    # Where Intel's processors take it from.
    assert members["kernel/x86/microcode/GenuineIntel.bin"] % 16 == 0


def test_what_changed_is_built_alone_and_gives_what_a_whole_build_gives_bit_for_bit(
    release: Path, tmp_path: Path
) -> None:
    """Also that two whole builds are the same: that of the image of these tests, and another one, with a repository of
    somebody else, of which nothing but the package is left."""
    config = load(DEMO / "config.toml")
    recipe, added = wanted(config)
    customize(tmp_path)
    own = tmp_path / "images" / "boinc"
    (own / "files/etc/site/words").write_text("other words")
    (own / "hooks/20-more.chroot").write_text("#!/bin/sh\nset -e\nuseradd --system site\n")
    vendor = SignedRepository(tmp_path / "vendor")
    vendor.add("vendor-words", {"usr/share/vendor/words": "from the vendor\n"})
    (own / "repositories").mkdir()
    (own / "repositories/vendor.asc").write_bytes(vendor.key)
    with only_one(DEMO, wait=True):
        subprocess.run(["cp", "-a", str(config.server.data / "build"), str(tmp_path / "work")], check=True)

    def make(
        recipe: ImageRecipe, added: Customization, rebuild: Rebuild = Rebuild.NEVER, image: str = "boinc"
    ) -> Release:
        # Nothing may be taken from an earlier release.
        images = Path(tempfile.mkdtemp(dir=tmp_path))
        return build(
            recipe, tmp_path / "work", images, lambda _: None, rebuild, added=added, image=image, others=("boinc",)
        )

    with vendor.served() as url:
        (own / "repositories/vendor.list").write_text(f"deb {url} stable main\n")
        more, changed = replace(recipe, packages=("sl", "vendor-words")), read(own)
        whole = make(more, changed, Rebuild.ALWAYS)
        back = make(recipe, added)
        # Another image, with only a file more: what it has in common with the first is not built again.
        (own / "files/etc/site/words").write_text("words of the lab")
        steps = tmp_path / "work" / "steps"
        common = {each: (steps / each / "record.json").stat().st_ino for each in ("bootstrap", "packages", "system")}
        lab = make(recipe, read(own), image="lab")
        assert {each: (steps / each / "record.json").stat().st_ino for each in common} == common
        assert (lab.image, lab.files[SQUASHFS], lab.files[INITRD]) == ("lab", back.files[SQUASHFS], back.files[INITRD])
        assert lab.files[RECIPE] != back.files[RECIPE]
        (own / "files/etc/site/words").write_text("other words")
        again = make(more, read(own))
    assert again.files == whole.files
    with contents.opened(whole) as root:
        assert file_tree.find(root, "/usr/share/vendor/words")[1].size == len("from the vendor\n")
        assert not [path for path, _ in file_tree.walk(file_tree.find(root, "/etc/apt")[1], "") if "netboot-" in path]
    assert again.layers == ("live/filesystem.squashfs", "live/recipe.squashfs")
    first = json.loads((release / "manifest.json").read_text())["files"]
    if (release / "packages").read_bytes() == (
        back.path / "packages"
    ).read_bytes():  # else Debian has made updates since
        assert {name: file.sha256 for name, file in back.files.items()} == {
            name: file["sha256"] for name, file in first.items()
        }


def test_the_release_is_signed_and_another_box_takes_it(release: Path, tmp_path: Path) -> None:
    images = release.parent
    ring, other = KeyRing(images.parent / "image-keys", required=True), KeyRing(tmp_path / "keys", required=True)
    own = signature.own(ring)
    assert own
    push(images, release.name, tmp_path / "www", ring)
    signature.trust(other, own.pem.encode())
    done = pull(tmp_path / "images", (tmp_path / "www").as_uri(), other)
    assert done.key == own.id
    assert activation.activate(tmp_path / "images", release.name, other).release.files == done.release.files
    suites = {each.suite for each in done.release.archives}
    assert {"trixie", "trixie-security"} <= suites


def named(module: Path) -> str:
    """The name of a module, as modules name each other."""
    return module.name.partition(".ko")[0].replace("-", "_")


def said(module: Path, field: bytes) -> set[str]:
    """What a module says of itself in the field, such as the names of those it depends on."""
    content = module.read_bytes()
    if module.suffix == ".xz":
        content = lzma.decompress(content)
    found = re.findall(rb"(?:^|\0)%s=([^\0]*)" % field, content)
    return {name for each in found for name in each.decode().split(",") if name}


def initramfs(image: Path) -> list[str]:
    """The names in an initramfs, which is one archive, compressed by zstd."""
    content = subprocess.run(["zstd", "-dcq", str(image)], capture_output=True, check=True).stdout
    names, end = archive(content)
    assert not content[end:].strip(b"\0")
    return list(names)


def archive(content: bytes) -> tuple[dict[str, int], int]:
    """The names in the archive with which this begins, in cpio's newc format, and where their content is; and where the
    archive ends."""
    found: dict[str, int] = {}
    at = 0
    while True:
        assert content[at : at + 6] == b"070701"
        fields = [int(content[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = content[at + 110 : at + 110 + length - 1].decode()
        at = (at + 110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found, at
        found[name] = at
        at = (at + size + 3) // 4 * 4
