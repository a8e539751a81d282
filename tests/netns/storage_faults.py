"""A box whose disk and files fail while PCs boot from it: each fault is a context manager that repairs it after."""

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Self
from urllib.parse import urlencode, urlsplit

from tests.fakes.dhcp_client import firmware
from tests.fakes.tftp_peer import oack, rrq
from tests.netns.attacked_box import LOADER, TIMEOUT, AttackedBox, FarPc
from tests.netns.scripted_pc import IPXE, BootScript
from tests.room.namespaces import Network, run
from tests.room.processes import Process, RoomError, wait_until
from tests.room.room import appliance_command


class FaultyDiskBox(AttackedBox):
    """The box with its data on a small disk, and a stand-in for systemd that records its notifications."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.directory = directory
        self.notified: list[str] = []
        """What it notified systemd of, in order."""
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.bind(str(directory / "systemd"))
        threading.Thread(target=self._listen, daemon=True).start()
        super().__init__(network, directory)
        # Provoked by every test.
        self.forgiven.append("cannot write the registry")

    @property
    def registry(self) -> Path:
        return self.data / "registry" / "registry.sqlite3"

    def _listen(self) -> None:
        while True:
            self.notified.append(self._systemd.recv(4096).decode())

    def launch(self, log: str = "", within: Sequence[str] = ()) -> Process:
        """Start `serve` and return at once; with output to the path `log` instead of its log file, run by the
        command `within`."""
        command = ["env", f"NOTIFY_SOCKET={self.directory}/systemd", *within, appliance_command()]
        command += ["--config", str(self.configuration), "serve"]
        if log:
            command = ["sh", "-c", f'exec "$@" >{log} 2>&1', "sh", *command]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process

    def await_word(self, word: str, since: int) -> None:
        """Wait for a notification that contains `word`, after the first `since` ones."""
        wait_until(lambda: any(word in said for said in self.notified[since:]), TIMEOUT, f"{word!r} to systemd", 0.02)

    def end(self) -> str:
        """Ask it to end; returns how it ended."""
        assert self.process
        self.process.stop(TIMEOUT)
        try:
            self.process.require()
        except RoomError as error:
            return str(error)
        return "it runs"

    def booting(self, number: int) -> "BootingPc":
        """Honest PC `number`, after it got its boot script."""
        pc = self.pc(number)
        pc.discover(firmware(7))
        url = pc.discover(firmware(7, *IPXE)).file
        return BootingPc(pc, BootScript.parse(pc.get(url).decode(), url))


class BootingPc:
    """A PC that has its boot script; `rest` does everything after that."""

    def __init__(self, pc: FarPc, script: BootScript) -> None:
        self.pc = pc
        self.mac = pc.mac
        self.script = script

    def rest(self, kernel: bytes, initrd: bytes) -> None:
        """Load the image, which must be this one, fetch the secrets and report."""
        assert self.pc.get(self.script.kernel) == kernel
        assert self.pc.get(self.script.initrd) == initrd
        assert b"account_" in self.pc.get(f"/boot/{self.mac.bare}/{self.script.token}/boinc.tar")
        assert self.report("root-mounted") == 204

    def report(self, stage: str) -> int:
        """Report a stage; the status of the answer."""
        return post(self.pc, f"/boot/{self.mac.bare}/{self.script.token}/report", {"stage": stage})


def post(pc: FarPc, target: str, form: dict[str, str]) -> int:
    """POST a form; the status of the answer."""
    with closing(HTTPConnection(pc.box)) as connection:
        connection.sock = pc.connect()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", urlsplit(target).path, urlencode(form), kind)
        return connection.getresponse().status


def status(pc: FarPc, path: str) -> int:
    """The status of the answer to one GET below this PC's own path; ConnectionError when there is none."""
    with pc.connect() as tcp, tcp.makefile("rb") as answer:
        tcp.sendall(f"GET /boot/{pc.mac.bare}/{path} HTTP/1.0\r\n\r\n".encode())
        line = answer.readline()
        if not line:
            raise ConnectionError("closed without an answer")
        return int(line.split()[1])


class Watcher:
    """A PC that keeps asking for a file's size by TFTP and for an offer by DHCP: `longest` is the longest wait for an
    answer, in seconds. Use as a context manager."""

    def __init__(self, pc: FarPc) -> None:
        self.longest = 0.0
        self.answers = 0
        self._pc = pc
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            for ask in (self._size, self._offer):
                begun = time.monotonic()
                ask()
                self.longest = max(self.longest, time.monotonic() - begun)
                self.answers += 1

    def _size(self) -> None:
        with self._pc.udp() as udp:
            udp.settimeout(TIMEOUT)
            udp.sendto(rrq(f"{self._pc.mac.bare}/{LOADER.name}", tsize=0), (self._pc.box, 69))
            assert int(oack(udp.recv(2048))["tsize"]) == LOADER.stat().st_size
            udp.sendto(b"\0\5\0\0the size was all\0", (self._pc.box, 69))

    def _offer(self) -> None:
        self._pc.discover(firmware(7))


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Mount a small file system at a directory."""
    run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(directory)])
    try:
        yield
    finally:
        run(["umount", "--lazy", str(directory)])


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill this disk to the last byte."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue
        assert os.statvfs(disk).f_bavail == 0
        yield
    finally:
        ballast.unlink()


@contextmanager
def locked(registry: Path) -> Iterator[None]:
    """Another process holds a write lock on the registry."""
    with closing(sqlite3.connect(registry, isolation_level=None, timeout=TIMEOUT)) as sql:
        sql.execute("BEGIN EXCLUSIVE")
        yield
        sql.execute("ROLLBACK")


def overwrite(files: Sequence[Path], content: bytes) -> None:
    """Overwrite the beginning of files in place."""
    for file in files:
        with file.open("r+b") as opened:
            opened.write(content)
