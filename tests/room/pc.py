"""An emulated PC: QEMU with a network card on the room's bridge, and a serial line that tests read.

UEFI means OVMF with EDK2's own network boot; BIOS means SeaBIOS with the card's iPXE ROM. Emulated by TCG only: the
test machines have no working KVM.
"""

import re
import shutil
import socket
from pathlib import Path
from typing import Literal

from services.ethernet import MacAddress
from tests.room.namespaces import Network
from tests.room.processes import Process, RoomError, wait_until

# Cursor movements and colours, and the other control characters but newline.
_CODES = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|[A-Z])|[\x00-\x09\x0b-\x1f\x7f]")
# systemd draws its waiting line again twice a second.
_WAITING = re.compile(r"\[[ *]+\] ")

Firmware = Literal["uefi", "uefi-http", "uefi-secure", "uefi-test-keys", "bios"]
"""`uefi` boots by PXE, `uefi-http` by HTTP, `uefi-secure` by PXE and only loads what Microsoft's keys signed,
`uefi-test-keys` only what tests/room/signing.py signed."""

OVMF = Path("/usr/share/OVMF")
ONE_PROCESSOR = ("-smp", "1")
"""One processor: of two, one may hang forever after the other patched kernel code, which TCG does not always notice (a
soft lockup in getrandom after "crng init done", seen on a busy machine)."""

_MONITOR_SECONDS = 60.0

_HTTP_ONLY = [
    part
    for option in ("IPv4PXESupport", "IPv6PXESupport")
    for part in ("-fw_cfg", f"name=opt/org.tianocore/{option},string=n")
]
_KEYS = {"uefi-secure": ".ms", "uefi-test-keys": ".snakeoil"}
_SECURE = ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]


class Pc:
    """One PC. Its firmware settings and its disks outlive a power cut; its memory does not."""

    def __init__(
        self,
        network: Network,
        mac: MacAddress,
        *,
        directory: Path,
        logs: Path,
        firmware: Firmware = "uefi",
        card: str = "virtio-net-pci",
        memory: int = 1024,
        extra: tuple[str, ...] = (),
    ) -> None:
        """`memory` is in MiB. `directory` holds what the PC keeps, `logs` a serial log for each power-on. `card`: the
        network card's model, as QEMU calls it. `extra`: arguments for QEMU, for hardware that other PCs have not."""
        self.network = network
        self.mac = mac
        self.firmware = firmware
        self.card = card
        self.memory = memory
        self.extra = extra
        self.tap = network.tap(mac)
        self._variables = directory / f"ovmf-{mac.bare}.fd"
        self._monitor = directory / f"monitor-{mac.bare}"
        self._logs = logs
        self._power_ons = 0
        self._process: Process | None = None
        self.may_go_off = False
        """Whether it was switched on for something that ends by itself."""
        directory.mkdir(parents=True, exist_ok=True)
        logs.mkdir(parents=True, exist_ok=True)
        self._secure = _KEYS.get(firmware, "")
        if self._uefi:
            shutil.copyfile(OVMF / f"OVMF_VARS_4M{self._secure}.fd", self._variables)

    @property
    def running(self) -> bool:
        """Whether the PC is on."""
        return self._process is not None and self._process.running

    @property
    def switched_on(self) -> bool:
        """Whether it was switched on and not off again; it may still have gone off by itself."""
        return self._process is not None

    @property
    def serial(self) -> Path:
        """The serial log of the latest power-on."""
        return self._logs / f"serial-{self.mac.bare}-{self._power_ons}.log"

    @property
    def serial_logs(self) -> list[Path]:
        """The serial logs of all power-ons, oldest first."""
        return [self._logs / f"serial-{self.mac.bare}-{number}.log" for number in range(1, self._power_ons + 1)]

    def power_on(self, *, may_go_off: bool = False) -> None:
        """Switch on; raises RoomError if QEMU does not start or the PC is on already. `may_go_off`: if it goes off by
        itself, that ends nobody's wait for something else in the room."""
        if self.running:
            raise RoomError(f"the PC {self.mac} is on already")
        self.may_go_off = may_go_off
        self._power_ons += 1
        self.serial.write_bytes(b"")
        self._process = self.network.wire.start(
            f"PC {self.mac}", self._command(), self._logs / f"qemu-{self.mac.bare}.log"
        )

    def power_off(self) -> None:
        """Pull the plug: no shutdown, no flush."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def wait_until_off(self, seconds: float) -> None:
        """Return when the PC has switched itself off."""
        wait_until(lambda: not self.running, seconds, f"the PC {self.mac} to switch itself off")
        self.power_off()

    def text(self) -> str:
        """What came over the serial line since the latest power-on."""
        return self.serial.read_bytes().decode("utf-8", "replace") if self._power_ons else ""

    def type(self, text: str) -> None:
        """Type lower-case letters and digits; `\n` is Enter."""
        self._tell(*(f"sendkey {'ret' if key == chr(10) else key}" for key in text))

    def press_power(self) -> None:
        """Press the power button for a moment: the system that runs is asked to shut down."""
        self._tell("system_powerdown")

    def _tell(self, *commands: str) -> None:
        """Have QEMU's monitor carry them out."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(_MONITOR_SECONDS)
            monitor.connect(str(self._monitor))
            _await_prompt(monitor)
            for command in commands:
                monitor.sendall(f"{command}\n".encode())
                _await_prompt(monitor)

    def lines(self) -> list[str]:
        """The serial log as people read it: without terminal codes, empty lines and repetitions of waiting lines."""
        found: list[str] = []
        for line in _CODES.sub("", self.text()).splitlines():
            if found and _WAITING.match(line) and _WAITING.match(found[-1]):
                found[-1] = line
            elif line.strip():
                found.append(line.strip())
        return found

    def wait_for(self, text: str, seconds: float) -> None:
        """Return as soon as `text` came over the serial line; RoomError when the PC went off, or after `seconds`."""
        self.wait_for_any((text,), seconds)

    def wait_for_any(self, texts: tuple[str, ...], seconds: float) -> None:
        """Return as soon as one of `texts` came over the serial line; else like `wait_for`."""

        def seen() -> bool:
            said = self.text()
            if any(text in said for text in texts):
                return True
            self.require_on()
            return False

        wait_until(seen, seconds, f"{' or '.join(map(repr, texts))} on the serial line, {self.serial}")

    def ramdisk(self, seconds: float) -> int:
        """How many bytes of ramdisk the kernel says it was started with, in whole pages of 4096."""
        self.wait_for("RAMDISK: [mem ", seconds)
        found = re.search(r"RAMDISK: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]", self.text())
        assert found
        return int(found[2], 16) + 1 - int(found[1], 16)

    def require_on(self) -> None:
        """Raise RoomError if QEMU has ended by itself, or the PC was never switched on."""
        if self._process is None:
            raise RoomError(f"the PC {self.mac} is off")
        self._process.require()

    @property
    def _uefi(self) -> bool:
        return self.firmware.startswith("uefi")

    def _command(self) -> list[str]:
        # graphics=off puts SeaBIOS and iPXE on the serial line. An empty romfile leaves network boot to EDK2 itself;
        # otherwise OVMF would run the card's iPXE ROM.
        card = f"{self.card},netdev=n0,mac={self.mac},bootindex=1" + (",romfile=" if self._uefi else "")
        machine = "q35,graphics=off" + (",smm=on" if self._secure else "")
        command = ["qemu-system-x86_64", "-machine", machine, "-accel", "tcg,thread=multi,tb-size=128"]
        command += ["-name", f"pc-{self.mac.bare}", "-m", str(self.memory), *ONE_PROCESSOR, "-no-reboot"]
        command += ["-display", "none", "-nodefaults", "-vga", "none", "-serial", f"file:{self.serial}"]
        command += ["-monitor", f"unix:{self._monitor},server=on,wait=off"]
        command += self.extra
        command += ["-netdev", f"tap,id=n0,ifname={self.tap},script=no,downscript=no", "-device", card]
        command += ["-device", "virtio-rng-pci"]
        if self._uefi:
            code = OVMF / f"OVMF_CODE_4M{self._secure}.fd"
            command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
            command += ["-drive", f"if=pflash,unit=1,format=raw,file={self._variables}"]
            command += _SECURE if self._secure else []
            command += _HTTP_ONLY if self.firmware == "uefi-http" else []
        return command


def _await_prompt(monitor: socket.socket) -> None:
    """Return when QEMU's monitor prompts again and so has taken the last command; TimeoutError if it does not."""
    said = b""
    while not said.endswith(b"(qemu) "):
        said += monitor.recv(4096)
