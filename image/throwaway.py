"""A live system that can be looked around in without booting it: mounted read-only, or as a shell in a copy of it that
is thrown away.

The copy is the layers with a tmpfs above them, in namespaces of its own: mounts, processes, host name, and network
unless it is wanted. All of it is gone when the shell ends, however that ends. It is for looking and trying, and no
prison: what runs in there is root's, with the few capabilities that Docker leaves it.
"""

import ctypes
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from image import command
from image.command import ALONE, CommandError
from image.release import Release, ReleaseError

_ROOM = Path("/run/netboot-appliance-shell")
_READ_ONLY = "ro,nodev,nosuid"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_KEPT = "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot setfcap"
_SETPRIV, _SHELL = "/usr/bin/setpriv", "/bin/bash"
_MNT_DETACH = 2
_MADE, _SHARED = "made", "shared"
_LONGEST_REASON = 1000


def mount(release: Release, directory: Path) -> None:
    """Mount the live system read-only on a directory; raises ReleaseError. One `umount` undoes it."""
    try:
        _mount_layers([release.path / name for name in release.layers], directory)
    except (CommandError, OSError) as error:
        raise _cannot(release, _reason(error)) from error


def shell(release: Release, *, network: bool) -> int:
    """Run a shell in a copy of the live system, on the terminal of this process, and return its status; raises
    ReleaseError if there is none. Its network is this machine's, or one with nothing in it."""
    namespaces = ("--ipc", "--uts", *(() if network else ("--net",)))
    layers = [str((release.path / name).absolute()) for name in release.layers]
    reading, writing = os.pipe()
    with open(reading, errors="replace") as outcome:
        try:
            # -P: root may be in a directory where somebody else has put an `image`.
            python = (sys.executable, "-P", "-m", "image.throwaway")
            inside = (*python, str(writing), _SHARED * network, release.id, *layers)
            status = command.attend((*ALONE[:-1], *namespaces, "--", *inside), keep_open=(writing,))
        except OSError as error:
            raise _cannot(release, _reason(error)) from error
        finally:
            os.close(writing)
        said = outcome.read(_LONGEST_REASON)
    if said != _MADE:
        raise _cannot(release, said or "it gets no namespaces of its own")
    return status


def _mount_layers(layers: Sequence[Path], directory: Path) -> None:
    if len(layers) == 1:
        _mount("squashfs", f"loop,{_READ_ONLY}", layers[0], directory)
        return
    with ExitStack() as undo:
        room = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="netboot-appliance-mount-", dir="/run")))
        places = []
        for number, layer in enumerate(layers):
            places.append(room / str(number))
            places[-1].mkdir()
            _mount("squashfs", f"loop,{_READ_ONLY}", layer, places[-1])
            # The overlay has mounts of its own of them.
            undo.callback(command.output, ("umount", str(places[-1])))
        _mount("overlay", f"{_READ_ONLY},lowerdir={_stacked(places)}", Path("overlay"), directory)


def _enter(ident: str, layers: Sequence[Path], name_servers: bytes) -> None:
    """Move into the copy; runs in the namespaces. `name_servers`: what is to be in its resolv.conf, if anything is."""
    root = _ROOM / "root"
    _ROOM.mkdir(mode=0o700, exist_ok=True)
    _mount("tmpfs", "mode=0700,size=50%", Path("tmpfs"), _ROOM)
    places = [_ROOM / str(number) for number in range(len(layers))]
    for directory in (*places, root, _ROOM / "upper", _ROOM / "work"):
        directory.mkdir()
    for layer, place in zip(layers, places, strict=True):
        _mount("squashfs", "loop,ro", layer, place)
    above = f"upperdir={_ROOM / 'upper'},workdir={_ROOM / 'work'}"
    _mount("overlay", f"lowerdir={_stacked(places)},{above}", Path("overlay"), root)
    _furnish(root)
    socket.sethostname(ident)
    _move_to(root)
    for program in (_SETPRIV, _SHELL):
        os.stat(program)
    if name_servers:
        # Now, not before: no link in the live system leads out of it any more.
        resolv_conf = Path("/etc/resolv.conf")
        resolv_conf.unlink(missing_ok=True)
        resolv_conf.write_bytes(name_servers)


def _become_shell() -> NoReturn:
    kept = ",".join(("-all", *(f"+{name}" for name in _KEPT.split())))
    environment = {"TERM": os.environ.get("TERM", "dumb"), "LANG": "C.UTF-8", "HOME": "/root", "PATH": command.PATH}
    os.execve(_SETPRIV, (_SETPRIV, "--bounding-set", kept, "--", _SHELL, "--login"), environment)  # noqa: S606


def _furnish(root: Path) -> None:
    """What programs expect to find: processes, devices, and of this machine's settings only the view."""
    _mount("proc", "nosuid,nodev,noexec", Path("proc"), root / "proc")
    command.output(("mount", "--bind", str(root / "proc/sys"), str(root / "proc/sys")))
    command.output(("mount", "-o", "remount,bind,ro", str(root / "proc/sys")))
    _mount("sysfs", "ro,nosuid,nodev,noexec", Path("sysfs"), root / "sys")
    _mount("tmpfs", "mode=0755,nosuid", Path("tmpfs"), root / "dev")
    for name in _DEVICES:
        (root / "dev" / name).touch()
        command.output(("mount", "--bind", f"/dev/{name}", str(root / "dev" / name)))
    (root / "dev/pts").mkdir()
    _mount("devpts", "newinstance,ptmxmode=0666,mode=0620", Path("devpts"), root / "dev/pts")
    (root / "dev/shm").mkdir()
    (root / "dev/shm").chmod(0o1777)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        (root / "dev" / name).symlink_to(target)


def _move_to(root: Path) -> None:
    """Make `root` the root, and leave nothing of this machine's files: out of a chroot, root finds its way back."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(root)
    command.output(("pivot_root", ".", "."))
    if libc.umount2(b".", _MNT_DETACH):
        raise OSError(ctypes.get_errno(), "the files of this machine cannot be left behind")
    os.chdir("/")


def _mount(kind: str, options: str, what: Path, where: Path) -> None:
    command.output(("mount", "-t", kind, "-o", options, str(what), str(where)))


def _stacked(places: Sequence[Path]) -> str:
    """As overlayfs wants layers: the top one first."""
    return ":".join(map(str, reversed(places)))


def _cannot(release: Release, reason: str) -> ReleaseError:
    return ReleaseError(
        f"the live system of {release.id} cannot be mounted: {reason}",
        "containers often may not mount: image ls, image cat and image diff need no mount",
    )


def _reason(error: CommandError | OSError) -> str:
    if isinstance(error, CommandError):
        return error.tail[0] if error.tail else str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror or str(error)


def _main(arguments: Sequence[str]) -> NoReturn:
    """What `shell` starts in the namespaces. How it went is written to a pipe, which the shell must not hold open."""
    outcome, shared, ident, *layers = arguments
    os.set_inheritable(int(outcome), False)
    os.environ["PATH"] = command.PATH
    os.umask(0o022)
    try:
        _enter(ident, [Path(each) for each in layers], _name_servers() if shared else b"")
        os.write(int(outcome), _MADE.encode())
    except (CommandError, OSError) as error:
        os.write(int(outcome), _reason(error).encode()[:_LONGEST_REASON])
        sys.exit(1)
    _become_shell()


def _name_servers() -> bytes:
    try:
        return Path("/etc/resolv.conf").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    _main(sys.argv[1:])
