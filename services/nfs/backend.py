"""Which NFS server serves the exports: the kernel's or NFS-Ganesha. Starts and configures neither."""

import contextlib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from services.linux import programs
from services.linux.programs import ProgramError

Setting = Literal["auto", "kernel", "ganesha"]

GANESHA_PROGRAM = "ganesha.nfsd"
_GANESHA_VFS = "ganesha/libfsalvfs.so"
_MODPROBE_SECONDS = 60


class Backend(StrEnum):
    """Which NFS server serves the exports."""

    KERNEL = "kernel"
    GANESHA = "ganesha"


class NfsError(Exception):
    """The exports are not in force. `hint` says what to do; `command`, if any, can be pasted into a shell."""

    def __init__(self, message: str, hint: str, command: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.command = command


@dataclass(frozen=True, slots=True)
class Probes:
    """What this machine has: the kernel's NFS server, exportfs, NFS-Ganesha, and its module for local directories."""

    nfsd: bool
    exportfs: bool
    ganesha: bool
    ganesha_vfs: bool


def probe() -> Probes:
    """Look at this machine; changes nothing and needs no privileges. Blocks."""
    libraries = (*Path("/usr/lib").glob("*-linux-gnu"), Path("/usr/lib"))
    return Probes(
        nfsd=_has_nfsd(),
        exportfs=programs.find("exportfs") is not None,
        ganesha=programs.find(GANESHA_PROGRAM) is not None,
        ganesha_vfs=any((directory / _GANESHA_VFS).exists() for directory in libraries),
    )


def choose(setting: Setting, probes: Probes) -> tuple[Backend, str]:
    """The backend for a configured setting, and why, in words for people; NfsError if the machine lacks it."""
    missing_kernel = _missing_kernel(probes)
    missing_ganesha = _missing_ganesha(probes)
    match setting:
        case "kernel":
            if missing_kernel:
                raise NfsError(f"the kernel's NFS server cannot be used: {missing_kernel[0]}", missing_kernel[1])
            return Backend.KERNEL, "the configuration says so"
        case "ganesha":
            if missing_ganesha:
                raise NfsError(f"NFS-Ganesha cannot be used: {missing_ganesha[0]}", missing_ganesha[1])
            return Backend.GANESHA, "the configuration says so"
        case "auto":
            if not missing_kernel:
                return Backend.KERNEL, "this kernel has nfsd, and exportfs is installed"
            if not missing_ganesha:
                return Backend.GANESHA, f"{missing_kernel[0]}, and NFS-Ganesha is installed"
            packages = "nfs-kernel-server" if probes.nfsd else "nfs-ganesha nfs-ganesha-vfs"
            raise NfsError(
                f"there is no NFS server to use: {missing_kernel[0]}, and {missing_ganesha[0]}",
                f"install one: apt-get install {packages}",
                f"apt-get install {packages}",
            )


def _missing_kernel(probes: Probes) -> tuple[str, str] | None:
    if not probes.nfsd:
        return "this kernel has no nfsd", 'set backend = "ganesha", or boot a kernel with nfsd (Debian\'s own have it)'
    if not probes.exportfs:
        return "exportfs is not installed", "apt-get install nfs-kernel-server"
    return None


def _missing_ganesha(probes: Probes) -> tuple[str, str] | None:
    if not probes.ganesha:
        return "NFS-Ganesha is not installed", "apt-get install nfs-ganesha nfs-ganesha-vfs"
    if not probes.ganesha_vfs:
        return "NFS-Ganesha cannot serve local directories (no libfsalvfs.so)", "apt-get install nfs-ganesha-vfs"
    return None


def _has_nfsd() -> bool:
    with contextlib.suppress(OSError):
        if re.search(r"\bnfsd$", Path("/proc/filesystems").read_text(), re.MULTILINE):
            return True
    try:
        programs.output(("modprobe", "-n", "-q", "nfsd"), seconds=_MODPROBE_SECONDS)
    except ProgramError:
        return False
    return True
