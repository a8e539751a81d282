"""Programs of Debian packages that some unit tests use. `make setup` installs them all; `make unit` does without."""

import os
import shutil
from pathlib import Path

import pytest

_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
_PACKAGES = {
    "apt-get": "apt",
    "curl": "curl",
    "ganesha.nfsd": "nfs-ganesha",
    "gpg": "gpg",
    "grub-script-check": "grub-common",
    "man": "man-db",
    "openssl": "openssl",
    "shellcheck": "shellcheck",
    "sqfstar": "squashfs-tools",
    "systemd-analyze": "systemd",
    "tftp": "tftp-hpa",
    "unsquashfs": "squashfs-tools",
}


def need(program: str) -> None:
    """Skip the test, with the command that installs it, where `program` is not installed. In CI nothing is skipped."""
    if shutil.which(program, path=_PATH) is None:
        _missing(f"{program} is not installed: sudo apt install {_PACKAGES[program]}")


def need_file(path: Path, package: str) -> None:
    """The same for a file of a package."""
    if not path.is_file():
        _missing(f"{path} is not there: sudo apt install {package}")


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
