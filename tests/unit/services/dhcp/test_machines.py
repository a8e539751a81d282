"""The table of architectures: each number means what the IANA registry says, and PXE and HTTP boot stay apart."""

import pytest

from services.dhcp.machines import MACHINES, Machine, pxe_files

# "Processor Architecture Types" of the registry dhcpv6-parameters, with the names used there.
REGISTRY = {
    0: ("x86 BIOS", Machine.BIOS),
    6: ("x86 UEFI", Machine.UEFI_IA32),
    7: ("x64 UEFI", Machine.UEFI_X64),
    9: ("EBC, and x64 by RFC 4578 before its erratum", Machine.UEFI_X64),
    11: ("ARM 64-bit UEFI", Machine.UEFI_ARM64),
    15: ("x86 UEFI boot from HTTP", Machine.UEFI_IA32),
    16: ("x64 UEFI boot from HTTP", Machine.UEFI_X64),
    19: ("ARM UEFI 64 boot from HTTP", Machine.UEFI_ARM64),
    20: ("pc/at bios boot from HTTP", Machine.BIOS),
    41: ("arm rpiboot", Machine.RASPBERRY_PI),
}


@pytest.mark.parametrize(("number", "name", "machine"), [(number, *row) for number, row in REGISTRY.items()])
def test_each_number_is_the_machine_of_the_registry(number: int, name: str, machine: Machine) -> None:
    assert MACHINES[number] is machine, name


def test_every_row_has_its_test() -> None:
    assert set(MACHINES) == set(REGISTRY)


def test_another_dhcp_server_is_given_only_pxe_loaders() -> None:
    loaders = {Machine.BIOS: "b", Machine.UEFI_X64: "x.efi", Machine.UEFI_ARM64: "a.efi", Machine.RASPBERRY_PI: "pi"}
    files = pxe_files(loaders)
    assert files == {0: "b", 7: "x.efi", 9: "x.efi", 11: "a.efi"}
