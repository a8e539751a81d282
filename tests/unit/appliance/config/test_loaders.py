"""[boot]: the loaders of each kind of firmware, as an administrator writes them."""

from pathlib import Path

import pytest

from appliance.config.file import load, parse
from appliance.config.loaders import DEFAULT_DIRECTORY, BootFiles, Loaders, dialect
from appliance.doctor.configuration import warnings
from appliance.errors import UserError
from services.dhcp.machines import Machine
from services.menus.menu import Dialect

HERE = Path("/etc/c.toml")


def test_the_default_is_debians_packages() -> None:
    boot = parse("", HERE).boot
    assert boot == BootFiles(DEFAULT_DIRECTORY, Loaders())
    assert boot.loaders.by_machine == {
        Machine.BIOS: "undionly.kpxe",
        Machine.UEFI_X64: "snponly.efi",
        Machine.UEFI_ARM64: "ipxe-arm64.efi",
    }


def test_own_loaders_for_more_kinds() -> None:
    text = '[boot]\ndirectory = "/srv/l"\n[boot.loaders]\nuefi_ia32 = "a.efi"\nuefi_arm64 = "b.efi"\nbios = ""\n'
    boot = parse(text, HERE).boot
    assert boot.directory == Path("/srv/l")
    assert boot.loaders.by_machine == {
        Machine.UEFI_IA32: "a.efi",
        Machine.UEFI_X64: "snponly.efi",
        Machine.UEFI_ARM64: "b.efi",
    }
    assert boot.names == ("a.efi", "snponly.efi", "b.efi")


def test_a_file_for_two_kinds_is_served_once() -> None:
    assert BootFiles(loaders=Loaders(bios="", uefi_ia32="x.efi", uefi_x64="x.efi", uefi_arm64="")).names == ("x.efi",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[boot]\ndirectory = "loaders"', "/etc/c.toml:2: [boot] directory: must be an absolute path"),
        ('[boot]\nloaders = "x"', "/etc/c.toml:2: loaders is a section"),
        ('[boot.loaders]\nuefi_x86 = "x.efi"', "/etc/c.toml:2: unknown key 'uefi_x86'"),
        ('[boot.loaders]\n\nuefi_x64 = "../x.efi"', "/etc/c.toml:3: [boot.loaders] uefi_x64: must be a file name"),
        ('[boot.loaders]\nuefi_x64 = ".x.efi"', "/etc/c.toml:2: [boot.loaders] uefi_x64: must be a file name"),
        ('[boot.loaders]\nuefi_x64 = "ipxe.lkrn"', "/etc/c.toml:2: [boot.loaders] uefi_x64: must end in .efi"),
        (f'[boot.loaders]\nbios = "{"x" * 65}"', "/etc/c.toml:2: [boot.loaders] bios: must be a file name"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, HERE)
    assert caught.value.message.startswith(message)


def test_config_check_warns_of_a_missing_loader(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f'[boot]\ndirectory = "{tmp_path}"\n[boot.loaders]\nuefi_arm64 = "arm64.efi"\n')
    path.chmod(0o644)
    (warning,) = warnings(load(path))
    assert warning.startswith(f"the boot file arm64.efi is neither in {tmp_path} nor in the image; put it there")
    (tmp_path / "arm64.efi").write_bytes(b"x")
    assert list(warnings(load(path))) == []


def test_the_folder_for_raspberry_pis_is_served_in_place(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f'[boot]\ndirectory = "{tmp_path}"\n[boot.loaders]\nraspberry_pi = "pi"\n')
    path.chmod(0o644)
    config = load(path)
    assert config.boot.raspberry_pi == tmp_path / "pi"
    assert "pi" not in config.boot.names
    assert list(warnings(config)) == [
        f"there is no folder {tmp_path}/pi; put the boot files of your Raspberry Pis there, readable by everybody"
    ]
    (tmp_path / "pi").mkdir()
    assert list(warnings(config)) == []


def test_by_default_there_is_no_folder_for_raspberry_pis() -> None:
    assert BootFiles().raspberry_pi is None


def test_the_longest_name_fits_the_boot_file_field() -> None:
    url = f"http://255.255.255.255:65535/boot/525400aabbcc/loader/{'x' * 64}"
    assert len(url) <= 127


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("shimx64.efi", Dialect.GRUB),
        ("grubx64.efi", Dialect.GRUB),
        ("pxelinux.0", Dialect.PXELINUX),
        ("lpxelinux.0", Dialect.PXELINUX),
        ("snponly.efi", Dialect.IPXE),
        ("my-shimx64.efi", Dialect.IPXE),
    ],
)
def test_the_name_of_a_loader_says_what_it_reads(name: str, reads: Dialect) -> None:
    assert dialect(name) is reads
