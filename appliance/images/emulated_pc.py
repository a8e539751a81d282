"""The PC in which a release is tried: how QEMU is started, and in which network it is. PURE.

It has a network card, memory, a serial line that is its console, and no disk. Firmware: OVMF with EDK2's own network
boot, or SeaBIOS with iPXE as the card's ROM, which Debian's qemu-system-x86 brings.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from services.ethernet import MacAddress

EmulatedFirmware = Literal["uefi", "bios"]

QEMU = "qemu-system-x86_64"
PACKAGE = "qemu-system-x86"
OVMF_CODE, OVMF_VARIABLES = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

# A network that only the test sees; whichever this server is in makes no difference.
BOX, PC = IPv4Address("10.213.0.1"), IPv4Address("10.213.0.2")
PREFIX_LENGTH = 24
MAC = MacAddress.parse("02:00:00:00:00:01")
CARD = "test0"
"""The name of the box's network card, to which the PC is tied."""

STATE = "memory"
"""What the live system takes for its state directory's path: it keeps its work in memory (image/tree's `state`)."""

_BESIDE = 512
"""MiB that firmware, kernel and programs take beside the live system, more than a PC with an HTTP root needs."""
_LEAST = 1024

_CONFIGURATION = """\
[server]
data = "{data}"
interfaces = ["{card}"]

[control]
enabled = false

[dhcp]
mode = "server"
static = ["{mac}={pc}"]
force = true

[nfs]
networks = ["{box}/32"]

[image]
root = "http"
kernel_arguments = [{arguments}]
"""


def configuration(data: Path, kernel_arguments: Sequence[str]) -> str:
    """The configuration of the box that boots the PC. `kernel_arguments` are those that other PCs get."""
    # The last one counts, here as there.
    arguments = [*kernel_arguments, "console=ttyS0,115200", f"netboot_appliance.state={STATE}"]
    # They have no quotes in them, nor a backslash: those of [image] are checked when they are read.
    quoted = ", ".join(f'"{each}"' for each in arguments)
    return _CONFIGURATION.format(data=data, card=CARD, mac=MAC, pc=PC, box=BOX, arguments=quoted)


def memory(live_system: int) -> int:
    """MiB of memory for a PC that keeps a live system of so many bytes in memory."""
    return max(_LEAST, (live_system >> 20) + _BESIDE)


def command(
    firmware: EmulatedFirmware, directory: Path, serial: Path, card: int, mebibytes: int, *, kvm: bool
) -> list[str]:
    """The command line of QEMU. `directory` has the firmware's variables, `variables.fd`, for UEFI. `card` is the file
    descriptor of the tap device to which the PC's network card is tied."""
    # An empty romfile leaves network boot to EDK2. TCG with one processor: of two, one may hang forever after the other
    # has patched kernel code. The kernel restarts after a panic: that is the end of the test.
    device = f"virtio-net-pci,netdev=n0,mac={MAC},bootindex=1" + (",romfile=" if firmware == "uefi" else "")
    line = [QEMU, "-machine", "q35,graphics=off", "-accel", "kvm" if kvm else "tcg", "-smp", "1"]
    line += ["-m", f"{mebibytes}", "-no-reboot", "-nodefaults", "-vga", "none", "-display", "none"]
    line += ["-serial", f"file:{serial}", "-monitor", "none", "-device", "virtio-rng-pci"]
    line += ["-netdev", f"tap,id=n0,fd={card}", "-device", device]
    if firmware == "uefi":
        line += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}"]
        line += ["-drive", f"if=pflash,unit=1,format=raw,file={directory / 'variables.fd'}"]
    return line
