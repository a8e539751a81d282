"""The .deb of a server, built by `make deb` on a throw-away copy of the server's own root directory: the package is for
the Debian it is built on. Installs nothing.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.room.processes import RoomError, tail
from tests.room.room import CHECKOUT

BUILT_AT = "/srv/source"
"""Where it is built, in that copy."""
PYTHON_3 = {"bookworm": 11, "trixie": 13}
"""The minor version of each Debian's interpreter."""
LOCKS = ("requirements.lock", "requirements-build.lock")
_SOURCES = (
    *("appliance", "services", "image", "systemd", "packaging", "debian", "docs"),
    *("Makefile", "README.md", "LICENSE", "pyproject.toml", *LOCKS),
)
OFFLINE = "PIP_NO_INDEX=1 PIP_FIND_LINKS={}"
"""Settings for pip that take wheels from a directory alone."""
_BUILD = """set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/merged"
mount -t proc proc "$2/merged/proc"
mkdir "$2/merged/srv/wheels"
mount --bind "$3" "$2/merged/srv/wheels"
chroot "$2/merged" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 $4 make --directory="$5" deb
"""


def download_wheels(directory: Path, distribution: str) -> Path:
    """The Python packages that the locks name, for the interpreter of a Debian; downloaded once to `directory`."""
    key = hashlib.sha256(b"".join((CHECKOUT / lock).read_bytes() for lock in LOCKS)).hexdigest()[:12]
    wheels = directory / f"wheels-{distribution}-{key}"
    if not wheels.exists():
        unfinished = wheels.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary", ":all:"]
        pip += ["--python-version", f"3.{PYTHON_3[distribution]}", "--dest", str(unfinished)]
        for lock in LOCKS:
            subprocess.run([*pip, "-r", CHECKOUT / lock], check=True)
        unfinished.rename(wheels)
    return wheels


def make_package(directory: Path, logs: Path, *, distribution: str, root: Path, wheels: Path) -> Path:
    """Return the package, made of the current sources in `directory`; RoomError if it cannot be built."""
    target = directory / f"package-{distribution}"
    with (directory / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = next(target.glob("*.deb"), None)
        if found is None or found.stat().st_mtime < _newest_source():
            shutil.rmtree(target, ignore_errors=True)
            _build(target, logs / f"package-{distribution}.log", root, wheels)
            (found,) = target.glob("*.deb")
    return found


def _build(target: Path, log: Path, root: Path, wheels: Path) -> None:
    stage = target.with_suffix(".unfinished")
    shutil.rmtree(stage, ignore_errors=True)
    for name in ("upper", "work", "merged"):
        (stage / name).mkdir(parents=True)
    source = stage / "upper" / BUILT_AT[1:]
    source.mkdir(parents=True)
    shutil.copystat(root / "srv", source.parent)
    for name in _SOURCES:
        if (path := CHECKOUT / name).is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    # The mounts and processes end with this process, however that ends.
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    places = [str(path.resolve()) for path in (root, stage, wheels)]
    script = ["sh", "-c", _BUILD, "build", *places, OFFLINE.format("/srv/wheels"), BUILT_AT]
    with log.open("wb") as output:
        done = subprocess.run(
            [*alone, *script], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        raise RoomError(f"`make deb` made no package; its log {log} ends:\n{tail(log)}")
    (source / "build" / "deb").rename(target)
    shutil.rmtree(stage)


def _newest_source() -> float:
    files = (file for name in _SOURCES for file in ((CHECKOUT / name), *(CHECKOUT / name).rglob("*")))
    return max(file.stat().st_mtime for file in files if file.is_file() and "__pycache__" not in file.parts)
