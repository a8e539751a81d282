"""The machines that boot loaders are built for, and the numbers of option 93 that mean them. PURE.

The one table of architectures: pxe_rules.py answers by it, and the box chooses loaders by it. The numbers are those of
the IANA registry "Processor Architecture Types" (RFC 5970, section 3.3), with which RFC 4578 agrees since its erratum
4624. Option 60, not the number, says whether a client speaks PXE or HTTP. Firmware that needs more than this is in
quirks.py.
"""

from collections.abc import Mapping
from enum import StrEnum


class Machine(StrEnum):
    """What a boot loader is built for. The values are the keys of [boot.loaders]."""

    BIOS = "bios"
    UEFI_IA32 = "uefi_ia32"
    UEFI_X64 = "uefi_x64"
    UEFI_ARM64 = "uefi_arm64"
    RASPBERRY_PI = "raspberry_pi"

    @property
    def words(self) -> str:
        """Its name for people."""
        return _WORDS[self]


_WORDS = {
    Machine.BIOS: "BIOS",
    Machine.UEFI_IA32: "UEFI IA32",
    Machine.UEFI_X64: "UEFI x64",
    Machine.UEFI_ARM64: "UEFI ARM64",
    Machine.RASPBERRY_PI: "Raspberry Pi",
}

MACHINES = {
    # RFC 4578 section 2.1 calls 0 "Intel x86PC".
    0: Machine.BIOS,
    # 32-bit UEFI, often on a 64-bit processor (Atom of 2012 to 2015).
    6: Machine.UEFI_IA32,
    # RFC 4578 erratum 4624: x64 UEFI sends 7, where the RFC's table says EBC.
    7: Machine.UEFI_X64,
    # The RFC's own number for x64, sent by firmware that follows the RFC and not its erratum (docker-netbootxyz#8).
    9: Machine.UEFI_X64,
    # In the registry since RFC 5970; RFC 4578 ends at 9.
    11: Machine.UEFI_ARM64,
    # The same machines when they boot from HTTP. EDK2 sends 16 (tests/captures/uefi-http-proxy.pcap); the others are
    # from the registry alone.
    15: Machine.UEFI_IA32,
    16: Machine.UEFI_X64,
    19: Machine.UEFI_ARM64,
    20: Machine.BIOS,
    # The boot loader of a Raspberry Pi, "arm rpiboot" in the registry. Over IPv4 it sends 0: see quirks.py.
    41: Machine.RASPBERRY_PI,
}

_OVER_HTTP = frozenset({15, 16, 19, 20})
_RASPBERRY_PI = 41


def pxe_files(loaders: Mapping[Machine, str]) -> dict[int, str]:
    """The loaders by the numbers that PXE firmware sends. Left out are HTTP boot, which takes URLs, and the Raspberry
    Pi, which loads no file by its name."""
    others = {n: machine for n, machine in MACHINES.items() if n not in _OVER_HTTP and n != _RASPBERRY_PI}
    return {n: loaders[machine] for n, machine in others.items() if machine in loaders}
