"""The inside of `image test`: a box and a PC in a network of their own. `emulated_boot` starts it in new namespaces.

The box is the real `serve`, as a user without privileges, on a data directory of its own with just this release: the PC
goes the whole way, from DHCP over the boot loader and the boot script to the live system. All of it is in a file system
in memory, mounted in this mount namespace: with the namespaces it is gone, however they end. It prints a line for each
event (`event: {...}`), and all that the PC's console says (`console: ...`).
"""

import fcntl
import json
import os
import re
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from appliance.allowlist import Entry
from appliance.errors import UserError
from appliance.images import emulated_pc
from appliance.images.emulated_pc import BOX, CARD, MAC, PREFIX_LENGTH, EmulatedFirmware
from appliance.journal.history import latest_of
from appliance.journal.timeline import Boot, Stage
from appliance.registry.database import Registry
from services.ethernet import MacRange
from services.foreign_text import printable
from services.linux import programs
from services.linux.programs import ProgramError, RunningProgram

ROOM = Path("/run/netboot-appliance-test")
EVENT, CONSOLE, SERVER = "event: ", "console: ", "server: "

_SIZE = "256m"
"""More than a test needs, and a bound for a console that never stops."""
_USER = 65534
"""nobody: neither the server nor QEMU can do anything to this machine."""
_AS_USER = ("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--no-new-privs")
_BINDING = ("--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service", "--bounding-set=-all,+net_bind_service")
_ALONE = ("--inh-caps=-all", "--bounding-set=-all")
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_KVM = Path("/dev/kvm")
_PANIC = re.compile(r"Kernel panic - not syncing: (.{1,200})")
_LOOK_EVERY = 0.5
_SHORT = 20.0
_SERVES_WITHIN = 90.0
# Cursor movements and colours, and other control characters.
_CODES = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|[A-Z])|[\x00-\x1f\x7f]")


def run(release: Path, firmware: EmulatedFirmware, arguments: Sequence[str], *, kvm: bool, seconds: float) -> None:
    """Boot the release, and print what happens, until it has come up or has failed. Raises ProgramError, OSError, and
    _CannotTestError."""
    ends = time.monotonic() + seconds
    data, serial, log = ROOM / "data", ROOM / "console", ROOM / "server"
    configuration = _furnish(release, data, arguments)
    card = _network()
    server = programs.start_into((*_AS_USER, "--clear-groups", *_BINDING, "--", *_serve(configuration)), log)
    consoles = (_Growing(serial, CONSOLE), _Growing(log, SERVER))
    registry_file = data / "registry" / "registry.sqlite3"
    if not _wait(lambda: _serves(registry_file), server, _SERVES_WITHIN):
        consoles[1].show()
        raise _CannotTestError("the test's own server did not start; its last lines are in the log")
    size = sum(path.stat().st_size for path in (release / "live").iterdir())
    line = emulated_pc.command(firmware, ROOM, serial, card, emulated_pc.memory(size), kvm=kvm)
    groups = f"--groups={_KVM.stat().st_gid}" if kvm else "--clear-groups"
    power_on = time.time()
    pc = programs.start_into((*_AS_USER, groups, *_ALONE, "--", *line), ROOM / "qemu", (card,))
    _tell(stage="power on", seconds=0.0)
    told: set[Stage] = set()
    while True:
        # Before all else is read: then what it did until it ended is read, too.
        ended = pc.poll() is not None
        late = time.monotonic() > ends
        with Registry(registry_file) as registry:
            boot = latest_of(registry, MAC)
        for each in boot.reached if boot else ():
            if each.stage not in told:
                told.add(each.stage)
                _tell(stage=str(each.stage), seconds=round(max(0.0, each.at - power_on), 1))
        for lines in consoles:
            lines.show()
        panic = next((found[1] for found in map(_PANIC.search, consoles[0].latest) if found), "")
        why = f"its kernel panicked: {panic}" if panic else ""
        why = why or _failure(boot, pc, server, ended=ended, late=late, seconds=seconds)
        if why or Stage.REPORTED in told:
            _tell(why="" if Stage.REPORTED in told else why)
            return
        time.sleep(_LOOK_EVERY)


def _failure(
    boot: Boot | None, pc: RunningProgram, server: RunningProgram, *, ended: bool, late: bool, seconds: float
) -> str:
    stage = str(boot.stage) if boot else "no sign of it"
    if boot and boot.failure:
        return boot.failure
    if pc.returncode and (said := (ROOM / "qemu").read_text(errors="replace").strip()):
        raise _CannotTestError(f"QEMU ended with status {pc.returncode}: {said.splitlines()[-1]}")
    if server.poll() is not None:
        raise _CannotTestError("the test's own server ended; its last lines are in the log")
    if ended:
        return f"the PC restarted or went off; it had come as far as: {stage}"
    return f"it did not come up within {seconds:.0f} s; it came as far as: {stage}" if late else ""


def _furnish(release: Path, data: Path, arguments: Sequence[str]) -> Path:
    """Make the room: a file system in memory, with the release in it as a view that cannot be written to; the network;
    and who may boot. Returns the path of the server's configuration."""
    ROOM.mkdir(mode=0o755, exist_ok=True)
    _do("mount", "-t", "tmpfs", "-o", f"mode=0755,nodev,nosuid,size={_SIZE}", "tmpfs", str(ROOM))
    place = data / "images" / release.name
    for directory in (place, data / "registry", data / "boot", ROOM / "run"):
        directory.mkdir(parents=True)
    _do("mount", "--bind", str(release), str(place))
    _do("mount", "-o", "remount,bind,ro", str(place))
    (data / "images" / "current").symlink_to(release.name)
    configuration = ROOM / "config.toml"
    configuration.write_text(emulated_pc.configuration(data, arguments))
    if emulated_pc.OVMF_VARIABLES.exists():
        shutil.copyfile(emulated_pc.OVMF_VARIABLES, ROOM / "variables.fd")
    for own in ("console", "qemu", "variables.fd", "data/registry", "data/boot", "run"):
        (ROOM / own).touch()
        os.chown(ROOM / own, _USER, _USER)
    with Registry(data / "registry" / "registry.sqlite3") as registry:
        registry.allow([Entry(MacRange(MAC, MAC), "the PC of the test")])
    return configuration


def _network() -> int:
    """Make the box's network card, and return the file descriptor that is the PC's end of the cable."""
    # Opened here: QEMU's user may not. linux/if_tun.h.
    card = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(card, _TUNSETIFF, struct.pack("16sH22x", CARD.encode(), _IFF_TAP | _IFF_NO_PI))
    _do("ip", "link", "set", "lo", "up")
    _do("ip", "address", "add", f"{BOX}/{PREFIX_LENGTH}", "dev", CARD)
    _do("ip", "link", "set", CARD, "up")
    return card


def _serve(configuration: Path) -> list[str]:
    program = "from appliance.cli.main import run; run()"
    python = [sys.executable, "-P", "-c", program, "--config", str(configuration), "serve"]
    # Nobody answers its requests for exports: there are none.
    return ["env", f"RUNTIME_DIRECTORY={ROOM / 'run'}", *python]


def _serves(registry_file: Path) -> bool:
    with Registry(registry_file) as registry:
        return bool(registry.server().get("services"))


def _do(*arguments: str) -> None:
    programs.output(arguments, seconds=_SHORT)


def _wait(holds: Callable[[], bool], process: RunningProgram, seconds: float) -> bool:
    """Wait until something holds; False if the process ends before, or the time does."""
    ends = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < ends:
        if holds():
            return True
        time.sleep(_LOOK_EVERY)
    return False


class _CannotTestError(Exception):
    """Something went wrong that says nothing about the release; the text says what."""


class _Growing:
    """A file that grows: prints what is added to it, line by line, each with a mark that says whose it is."""

    def __init__(self, path: Path, mark: str) -> None:
        self._path = path
        self._mark = mark
        self._at = 0
        self.latest: list[str] = []
        """What it showed last."""

    def show(self) -> None:
        """Show what is new."""
        self.latest = list(self._new())
        for line in self.latest:
            _say(f"{self._mark}{line}")

    def _new(self) -> Iterator[str]:
        with self._path.open("rb") as file:
            file.seek(self._at)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if shown := printable(_CODES.sub("", line)).strip():
                yield shown


def _tell(**event: object) -> None:
    _say(f"{EVENT}{json.dumps(event)}")


def _say(line: str) -> None:
    """To the program that has started this one."""
    print(line, flush=True)


def _main(arguments: Sequence[str]) -> None:
    release, firmware, kvm, seconds, *kernel_arguments = arguments
    try:
        run(
            Path(release),
            "uefi" if firmware == "uefi" else "bios",
            kernel_arguments,
            kvm=bool(kvm),
            seconds=float(seconds),
        )
    except (_CannotTestError, ProgramError, UserError) as error:
        _tell(error=str(error))
    except OSError as error:
        _tell(error=f"{error.filename or 'the system'}: {error.strerror or error}")


if __name__ == "__main__":
    _main(sys.argv[1:])
