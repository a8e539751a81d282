"""Boots a release in an emulated PC on this server, to see whether its live system comes up. `image test`.

Nothing of it reaches a real network or outlives it: network, processes and files are in namespaces that end with this
process, whatever ends it (image/command.py, emulated_room.py). What stays is the console's log, and the note of how it
went. Without KVM it takes about two minutes.
"""

import json
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images import emulated_pc, notes
from appliance.images.emulated_pc import PACKAGE, QEMU, EmulatedFirmware
from appliance.images.emulated_room import CONSOLE, EVENT
from appliance.images.notes import BootTest
from image import command
from image.command import CommandError
from image.release import Release
from services.linux import programs

SECONDS = 900.0
"""How long the live system may take, with a loaded server that has no KVM in mind."""

MISSING = 3
"""Exit code: QEMU is not installed, so nothing is known."""

_TAIL_LINES = 25
_LOGS = 20
_NETWORK = ("unshare", "--net", "--ipc", "--uts", "--")
_KVM = Path("/dev/kvm")
_MODULE = "appliance.images.emulated_room"
_OLD = "state director"

Heard = Callable[[str, float], None]
"""Is told of each stage, and after how many seconds it came."""


def require(firmware: EmulatedFirmware | None = None) -> None:
    """Raise UserError unless a release can be tested here."""
    if os.geteuid() != 0:
        raise UserError("only root can make the network and the mounts of a test", "run it with sudo")
    if programs.find(QEMU) is None:
        raise UserError(
            f"{QEMU} is not installed, so nothing was tested", f"sudo apt install {PACKAGE} ovmf", code=MISSING
        )
    if firmware == "uefi" and not has_ovmf():
        raise UserError("there is no firmware for a PC with UEFI", "sudo apt install ovmf", code=MISSING)


def has_qemu() -> bool:
    """Whether QEMU is installed."""
    return programs.find(QEMU) is not None


def has_ovmf() -> bool:
    """Whether Debian's UEFI firmware for QEMU is installed."""
    return emulated_pc.OVMF_CODE.exists() and emulated_pc.OVMF_VARIABLES.exists()


def has_kvm() -> bool:
    """Whether the kernel can run virtual machines, for the group that the device belongs to: QEMU is not root here, nor
    in root's group."""
    try:
        found = _KVM.stat()
    except OSError:
        return False
    return bool(found.st_gid) and stat.S_IMODE(found.st_mode) & 0o060 == 0o060


def boot(
    config: Config,
    release: Release,
    heard: Heard,
    firmware: EmulatedFirmware | None = None,
    *,
    kvm: bool = True,
    seconds: float = SECONDS,
) -> tuple[BootTest, tuple[str, ...]]:
    """Boot it, and keep how that went; returns that, and the last lines of its console. Without a `firmware`: UEFI
    where OVMF is installed. `kvm`: use it if it is there. Raises UserError if it cannot be tested, or the result cannot
    be kept."""
    require(firmware)
    firmware = firmware or ("uefi" if has_ovmf() else "bios")
    kvm = kvm and has_kvm()
    stages: list[tuple[str, float]] = []
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    ended: list[str] = []
    errors: list[str] = []

    def hear(line: str) -> None:
        if line.startswith(CONSOLE):
            tail.append(line.removeprefix(CONSOLE))
        elif line.startswith(EVENT):
            event: dict[str, Any] = json.loads(line.removeprefix(EVENT))
            if "error" in event:
                errors.append(event["error"])
            elif "why" in event:
                ended.append(event["why"])
            else:
                stages.append((event["stage"], event["seconds"]))
                heard(*stages[-1])

    # -P: root may be in a directory where somebody else has put an `appliance`.
    inside = (sys.executable, "-P", "-m", _MODULE, str(release.path.absolute()), firmware, "kvm" * kvm, f"{seconds}")
    log = _log(config, release)
    try:
        with log.open("w") as file:
            arguments = (*_NETWORK, *inside, *config.image.kernel_arguments)
            command.run(arguments, cwd=Path("/"), log=file, on_line=hear)
    except CommandError as error:
        errors.append(error.tail[-1] if error.tail else str(error))
    except OSError as error:
        raise UserError(
            f"the test could not be made: {error}", "check the disk, and that util-linux is installed", 1
        ) from error
    if errors or not ended:
        what = errors[-1] if errors else "it ended without a result"
        raise UserError(f"the test could not be made, so nothing is known of the release: {what}", f"see {log}", code=1)
    why = ended[-1]
    if why.lower().startswith(_OLD):
        why = "an older version built it, whose live systems cannot be tested: build again"
    done = BootTest(time.time(), why, firmware, "kvm" if kvm else "tcg", tuple(stages), str(log))
    try:
        notes.keep_test(config.images, release.id, done)
    except OSError as error:
        raise UserError(
            f"the result cannot be kept in {config.images}: {error.strerror}", "check the disk", 1
        ) from error
    return done, tuple(tail)


def _log(config: Config, release: Release) -> Path:
    """Where the console of this test is kept; the oldest logs are deleted."""
    logs = config.server.data / "build" / "tests"
    try:
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            for old in sorted(logs.glob("*.log"))[: -_LOGS or None]:
                old.unlink()
    except OSError as error:
        raise UserError(f"the log cannot be written to {logs}: {error.strerror}", "check the disk", code=1) from error
    return logs / f"{release.id}.log"
