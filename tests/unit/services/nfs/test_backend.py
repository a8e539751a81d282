"""The choice of an NFS server, with its reason, or an error with a hint."""

import os
from pathlib import Path

import pytest

from services.nfs.backend import Backend, NfsError, Probes, Setting, choose, probe

EVERYTHING = Probes(nfsd=True, exportfs=True, ganesha=True, ganesha_vfs=True)
NOTHING = Probes(nfsd=False, exportfs=False, ganesha=False, ganesha_vfs=False)
ONLY_GANESHA = Probes(nfsd=False, exportfs=False, ganesha=True, ganesha_vfs=True)


@pytest.mark.parametrize(
    ("setting", "probes", "backend", "why"),
    [
        ("auto", EVERYTHING, Backend.KERNEL, "this kernel has nfsd, and exportfs is installed"),
        ("auto", ONLY_GANESHA, Backend.GANESHA, "this kernel has no nfsd, and NFS-Ganesha is installed"),
        (
            "auto",
            Probes(nfsd=True, exportfs=False, ganesha=True, ganesha_vfs=True),
            Backend.GANESHA,
            "exportfs is not installed, and NFS-Ganesha is installed",
        ),
        ("ganesha", EVERYTHING, Backend.GANESHA, "the configuration says so"),
        ("kernel", EVERYTHING, Backend.KERNEL, "the configuration says so"),
    ],
)
def test_the_backend_is_chosen_with_a_reason(setting: Setting, probes: Probes, backend: Backend, why: str) -> None:
    assert choose(setting, probes) == (backend, why)


@pytest.mark.parametrize(
    ("setting", "probes", "message", "hint"),
    [
        ("auto", NOTHING, "no nfsd, and NFS-Ganesha is not installed", "nfs-ganesha nfs-ganesha-vfs"),
        ("auto", Probes(True, False, False, False), "exportfs is not installed", "nfs-kernel-server"),
        ("auto", Probes(False, True, True, False), "libfsalvfs", "nfs-ganesha-vfs"),
        ("kernel", ONLY_GANESHA, "this kernel has no nfsd", 'backend = "ganesha"'),
        ("kernel", Probes(True, False, True, True), "exportfs is not installed", "nfs-kernel-server"),
        ("ganesha", Probes(True, True, False, False), "NFS-Ganesha is not installed", "nfs-ganesha nfs-ganesha-vfs"),
        ("ganesha", Probes(True, True, True, False), "libfsalvfs", "nfs-ganesha-vfs"),
    ],
)
def test_a_missing_backend_is_an_error_with_a_hint(setting: Setting, probes: Probes, message: str, hint: str) -> None:
    with pytest.raises(NfsError) as caught:
        choose(setting, probes)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_the_probes_look_at_this_machine() -> None:
    found = probe()
    assert found.ganesha == any(
        (Path(folder) / "ganesha.nfsd").exists() for folder in (*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin")
    )
