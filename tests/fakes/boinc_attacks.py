"""The fake project's second program: foreign code that tries to get out, and that does what honest old programs do.

A Python application without a container: the shell script starts it as BOINC's wrapper starts programs, in the slot
directory, with the Python of the live system. Prints `name=number` lines; a number is 0 for success, or an errno.
Usage: boinc_attacks.py BOX PROJECT NEIGHBOUR
"""

import ctypes
import errno
import mmap
import multiprocessing
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

TIMEOUT = 10.0
_libc = ctypes.CDLL(None, use_errno=True)


def errno_of(action: Callable[[], object]) -> int:
    """0 if the action succeeds, else its errno."""
    try:
        action()
    except TimeoutError:
        return errno.ETIMEDOUT
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def system_call(number: int, *arguments: int) -> int:
    """The errno of a system call of x86-64, 0 for success."""
    return ctypes.get_errno() if _libc.syscall(number, *map(ctypes.c_long, arguments)) < 0 else 0


def connect(address: str, port: int) -> int:
    """The errno of a TCP connection."""
    return errno_of(lambda: socket.create_connection((address, port), TIMEOUT).close())


def open_socket(family: int, kind: int = socket.SOCK_RAW) -> int:
    """The errno of a new socket."""
    return errno_of(lambda: socket.socket(family, kind).close())


def elf(machine: int, code: bytes) -> bytes:
    """A static program without libraries: i386 (3) or x86-64 (62). Its code begins at 0x10000 plus its headers."""
    if machine == 3:
        start, size = 0x10000 + 52 + 32, 52 + 32 + len(code)
        head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, start, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        return head + struct.pack("<IIIIIIII", 1, 0, 0x10000, 0x10000, size, size, 5, 0x1000) + code
    start, size = 0x10000 + 64 + 56, 64 + 56 + len(code)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x10000, 0x10000, size, size, 0x1000) + code


# i386, as LinuxThreads of glibc 2.2 starts: modify_ldt(0, stack, 0), then exit(errno).
OLD_32 = bytes.fromhex("31db 89e1 31d2 b87b000000 cd80 f7d8 89c3 b801000000 cd80")
# x86-64, as glibc before 2.14 reads the clock: gettimeofday at 0xffffffffff600000 of the vsyscall page, then exit.
OLD_64 = bytes.fromhex("4883ec20 4889e7 31f6 48c7c0000060ff ffd0 89c7 b83c000000 0f05")
# i386: socketcall(SYS_SOCKET, {AF_PACKET, SOCK_RAW, 0}), then exit(errno).
SOCKETCALL = bytes.fromhex("6a00 6a03 6a11 89e1 bb01000000 b866000000 cd80 f7d8 89c3 b801000000 cd80")


def run_static(name: str, machine: int, code: bytes) -> int:
    """The exit status of a static program, which an application brought along."""
    program = Path(name)
    program.write_bytes(elf(machine, code))
    program.chmod(0o700)
    return subprocess.run([f"./{name}"], check=False, timeout=60).returncode


def use_threads() -> int:
    """0 if threads, subprocesses and pools of processes work as Python applications use them."""
    done = threading.Event()
    threading.Thread(target=done.set).start()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        squares = pool.map(abs, [-1, -2, -3])
    said = subprocess.run(["sh", "-c", "echo hello | cat"], capture_output=True, text=True, check=False)
    return 0 if done.wait(TIMEOUT) and squares == [1, 2, 3] and said.stdout == "hello\n" else 1


def run_made_code() -> int:
    """0 if code that the program made itself runs, as compilers at run time (Java, numba) need it."""
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(bytes.fromhex("b82a000000 c3"))
    made = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    return 0 if made() == 42 else 1


def use_temporary_files() -> None:
    """Write where wrappers, installers and Python programs put what they need for a moment."""
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")


def foreign_processes() -> int:
    """How many processes of other users are in sight; their command lines would hold the token."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found += folder.stat().st_uid != os.getuid()
        except FileNotFoundError:
            continue
    return found


def special_files() -> int:
    """How many devices in /dev are more than null, zero, full, random, terminals and the like."""
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
    found = [path for path in Path("/dev").rglob("*") if stat.S_ISBLK(path.lstat().st_mode)]
    found += [
        path for path in Path("/dev").iterdir() if stat.S_ISCHR(path.lstat().st_mode) and path.name not in harmless
    ]
    return len(found)


def status(field: str) -> int:
    """A number from /proc/self/status; those of capabilities are hexadecimal."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1], 16)


def main(box: str, project: str, neighbour: str) -> None:
    """Try everything, and print what came of it."""
    tries: dict[str, Callable[[], int]] = {
        "box_http": lambda: connect(box, 80),
        "box_nfs": lambda: connect(box, 2049),
        "neighbour": lambda: connect(neighbour, 22),
        "project": lambda: connect(project, 80),
        "token_file": lambda: errno_of(lambda: Path("/run/netboot-appliance/token").read_text()),
        "foreign_processes": foreign_processes,
        "special_files": special_files,
        "capabilities": lambda: status("CapEff") | status("CapPrm") | status("CapBnd"),
        "no_new_privileges": lambda: status("NoNewPrivs"),
        "packet_socket": lambda: open_socket(socket.AF_PACKET),
        "crypto_socket": lambda: open_socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
        "vsock": lambda: open_socket(socket.AF_VSOCK, socket.SOCK_STREAM),
        "socketcall_32": lambda: run_static("socketcall", 3, SOCKETCALL),
        "user_namespace": lambda: system_call(272, 0x10000000),
        "network_namespace": lambda: system_call(272, 0x40000000),
        "mount": lambda: system_call(165, 0, 0, 0, 0, 0),
        "bpf": lambda: system_call(321, 0, 0, 0),
        "io_uring": lambda: system_call(425, 1, 0),
        "keyring": lambda: system_call(250, 0, -3, 0),
        "module": lambda: system_call(313, 0, 0, 0),
        "kernel_log": lambda: system_call(103, 3, 0, 0),
        "sysctl": lambda: errno_of(lambda: Path("/proc/sys/kernel/core_pattern").write_text("|/bin/sh")),
        "cgroup": lambda: errno_of(lambda: Path("/sys/fs/cgroup/cgroup.procs").write_text(str(os.getpid()))),
        "set_user_id": lambda: errno_of(lambda: Path(sys.argv[0]).chmod(0o4755)),
        "own_program_32": lambda: run_static("old32", 3, OLD_32),
        "own_program_64": lambda: run_static("old64", 62, OLD_64),
        "own_threads": use_threads,
        "own_made_code": run_made_code,
        "own_idle_priority": lambda: errno_of(lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))),
        "own_affinity": lambda: errno_of(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0))),
        "own_temporary_files": lambda: errno_of(use_temporary_files),
        "own_processor": lambda: 0 if "model name" in Path("/proc/cpuinfo").read_text() else 1,
    }
    for name, attempt in tries.items():
        try:
            print(f"{name}={attempt()}", flush=True)
        except Exception as error:  # the others are tried all the same; BOINC keeps stderr
            print(f"{name}: {error!r}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
