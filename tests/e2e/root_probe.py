"""What root on a PC tries, to reach its disks past the kernel, and what it sees of clock and sleep. Runs in the live
system (tests/e2e/rooted_image.py).

Prints `probe: name=number` lines: 0 for success, or an errno. At last it prints the PC's screen.
"""

import ctypes
import email.utils
import lzma
import mmap
import os
import re
import socket
import stat
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
KERNEL = Path("/proc/sys/kernel")
STORAGE = "0x01"
"""The class of PCI devices that hold data."""


def errno_of(action: Callable[[], object]) -> int:
    """0 if the action succeeds, else its errno."""
    try:
        action()
    except OSError as error:
        return error.errno or -1
    return 0


def system_call(number: int, *arguments: int | bytes) -> int:
    """The errno of a system call of x86-64, 0 for success."""
    words = [ctypes.c_char_p(one) if isinstance(one, bytes) else ctypes.c_long(one) for one in arguments]
    return ctypes.get_errno() if _libc.syscall(number, *words) < 0 else 0


def device(major: int, minor: int) -> int:
    """The errno of opening a character device, whether /dev has it or not."""
    path = f"/root/device-{major}-{minor}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor))
    return errno_of(lambda: os.close(os.open(path, os.O_RDWR)))


def load_module() -> int:
    """The errno of loading a module that the image has and that Debian signed."""
    module = next(Path("/usr/lib/modules").rglob("dummy.ko*"))
    content = lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
    return system_call(175, content, len(content), b"")


def storage() -> list[Path]:
    """The PCI devices that hold data."""
    devices = Path("/sys/bus/pci/devices").iterdir()
    return [one for one in devices if (one / "class").read_text().startswith(STORAGE)]


def map_registers() -> int:
    """The errno of mapping a disk controller's registers."""
    resource = next(one for pci in storage() for one in pci.glob("resource[0-5]") if one.stat().st_size)
    with resource.open("r+b") as file:
        return errno_of(lambda: mmap.mmap(file.fileno(), resource.stat().st_size))


def write_configuration() -> int:
    """The errno of a write to a disk controller's configuration: it would switch its access to memory on."""
    with (storage()[0] / "config").open("r+b", buffering=0) as file:
        file.seek(4)
        return errno_of(lambda: file.write(b"\x07"))


def _box() -> str:
    """The box's URL for this PC, with the token of the command line."""
    words = dict(word.partition("=")[::2] for word in Path("/proc/cmdline").read_text().split())
    box = words["nfsroot"].partition(":")[0] if "nfsroot" in words else words["fetch"].split("/")[2]
    mac = words["BOOTIF"][3:].replace("-", "")
    return f"http://{box}/boot/{mac}/{words['netboot_appliance.token']}"


def old_token() -> int:
    """What the box answers to a report with the token of the command line."""
    try:
        with urllib.request.urlopen(f"{_box()}/report", b"stage=computing", 30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def clock_error() -> int:
    """By how many days the clock differs from the box's."""
    box = urllib.parse.urlsplit(_box())
    with socket.create_connection((box.hostname, box.port or 80), 30) as asked:
        asked.sendall(f"POST {box.path}/report HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        date = re.search(rb"\r\nDate: ([^\r]+)", asked.recv(4096))
    assert date
    return round(abs(time.time() - email.utils.parsedate_to_datetime(date[1].decode()).timestamp()) / 86400)


def answer_ntp(server: socket.socket) -> None:
    """Answer as an NTP server whose time is this PC's (RFC 4330)."""
    while True:
        asked, client = server.recvfrom(100)
        now = struct.pack("!II", int(time.time()) + 2208988800, 0)
        server.sendto(bytes((0x24, 1, asked[2], 0xEC)) + bytes(8) + b"GPS\0" + now + asked[40:48] + now + now, client)


def kernel_writes_the_clock_chip() -> int:
    """1 if the kernel copies its time to the clock chip once an NTP server has been heard: STA_UNSYNC is gone."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 123))
    threading.Thread(target=answer_ntp, args=(server,), daemon=True).start()
    settings = Path("/run/systemd/timesyncd.conf.d/probe.conf")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[Time]\nNTP=\nNTP=127.0.0.1\n")
    subprocess.run(["systemctl", "restart", "systemd-timesyncd.service"], check=True)
    latest = time.monotonic() + 120
    while not Path("/run/systemd/timesync/synchronized").exists():
        assert time.monotonic() < latest, "systemd-timesyncd asks no NTP server"
        time.sleep(0.5)
    timex = ctypes.create_string_buffer(208)
    _libc.adjtimex(timex)
    status: int = struct.unpack_from("i", timex, 40)[0]
    return int(not status & 0x40)


def screen() -> str:
    """What somebody who stands before the PC reads, once it computes."""
    latest = time.monotonic() + 600
    while "\n  Computing" not in (shown := _screen()):
        assert time.monotonic() < latest, shown
        time.sleep(1)
    return shown


def _screen() -> str:
    """The characters of the first virtual terminal, in lines (vcs(4))."""
    rows, columns = Path("/dev/vcsa1").read_bytes()[:2]
    cells = Path("/dev/vcs1").read_bytes().decode("latin-1")
    return "\n".join(cells[row * columns : (row + 1) * columns].rstrip() for row in range(rows))


def main() -> None:
    """Try everything, and print what came of it."""
    tries: dict[str, Callable[[], int]] = {
        "storage_devices": lambda: len(storage()),
        "block_devices": lambda: len([one for one in Path("/sys/block").iterdir() if not one.name.startswith("loop")]),
        "load_module": load_module,
        "allow_modules": lambda: errno_of(lambda: (KERNEL / "modules_disabled").write_text("0")),
        "map_registers": map_registers,
        "write_configuration": write_configuration,
        "memory": lambda: device(1, 1),
        "ports": lambda: device(1, 4),
        "iopl": lambda: system_call(172, 3),
        "ioperm": lambda: system_call(173, 0x1F0, 8, 1),
        "kexec": lambda: system_call(246, 0, 0, 0, 0),
        "processor_registers": lambda: device(202, 0),
        "vfio": lambda: device(10, 196),
        "disk_file_system": lambda: system_call(165, b"none", b"/mnt", b"ext4", 0, 0),
        "firmware_variables": lambda: system_call(165, b"none", b"/mnt", b"efivarfs", 0, 0),
        "user_namespace": lambda: system_call(272, 0x10000000),
        "ldisc_autoload": lambda: int(Path("/proc/sys/dev/tty/ldisc_autoload").read_text()),
        "bpf_disabled": lambda: int((KERNEL / "unprivileged_bpf_disabled").read_text()),
        "token_mode": lambda: stat.S_IMODE(Path("/run/netboot-appliance/token").stat().st_mode),
        "old_token": old_token,
        "clock_error": clock_error,
        "minutes_from_utc": lambda: time.localtime().tm_gmtoff // 60,
        "sleep_refused": lambda: int(
            subprocess.run(["systemctl", "start", "suspend.target"], check=False).returncode != 0
        ),
        "kernel_writes_the_clock_chip": kernel_writes_the_clock_chip,
    }
    for name, attempt in tries.items():
        try:
            print(f"\nprobe: {name}={attempt()}", flush=True)
        except Exception as error:  # the others are tried all the same
            print(f"\nprobe: {name} failed: {error!r}", flush=True)
    print(f"\nprobe: screen\n{screen()}", flush=True)
    print("\nprobe: end", flush=True)


if __name__ == "__main__":
    main()
