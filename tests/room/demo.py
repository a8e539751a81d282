"""The demo: a diskless PC in a virtual room is switched on, computes, and reports a BOINC task, all by itself.

`python -m tests.room.demo [--keep]`, as root. Everything it makes is in .room/ below the checkout: the image, which the
next run uses again, and the logs of the latest run, with pictures of the page. Ctrl-C at any time ends it and leaves no
process, namespace or mount.
"""

import argparse
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from services.ethernet import MacAddress
from tests.fakes.boinc_project import read_status
from tests.room.interruption import Interrupted, interrupt_once
from tests.room.live_image import DEMO, build_image, only_one
from tests.room.namespaces import leftovers
from tests.room.page import PASSWORD
from tests.room.pc import OVMF, Pc
from tests.room.processes import Process, RoomError, tail
from tests.room.room import BOX, CHECKOUT, PAGE, Room, appliance_command
from tests.room.view import Moment, Transfer, display, stage_table

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
# An emulated PC on a slow, loaded machine needs two to three minutes.
BOOT_SECONDS = 600
# Each needed program, with the Debian package it comes from.
PROGRAMS = {
    "ip": "iproute2",
    "ss": "iproute2",
    "setpriv": "util-linux",
    "dnsmasq": "dnsmasq-base",
    "qemu-system-x86_64": "qemu-system-x86",
    "ganesha.nfsd": "nfs-ganesha",
    "rpcbind": "rpcbind",
    "chromium": "chromium",
}


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description="A switched-on PC computes: the whole thing in a virtual room.")
    parser.add_argument("--directory", type=Path, default=DEMO, help="where the image and logs are kept")
    parser.add_argument("--seconds", type=float, default=BOOT_SECONDS, help="give up after this long (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the room, with its page, until Ctrl-C")
    options = parser.parse_args()
    interrupt_once()
    console = Console()
    try:
        check_prerequisites()
        with only_one(options.directory):
            build_image(options.directory, console)
            demonstrate(options.directory, console, options.seconds, keep=options.keep)
    except RoomError as error:
        console.print(f"\nThe demo failed: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except Interrupted as interruption:
        console.print("\nInterrupted. Everything was cleaned up.", highlight=False)
        return 128 + interruption.number
    return 0


def check_prerequisites() -> None:
    """Raise RoomError that says what to do if this machine cannot run the room."""
    if os.geteuid() != 0:
        raise RoomError("network namespaces need root: run it with sudo")
    packages = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if not (OVMF / "OVMF_CODE_4M.fd").exists():
        packages.add("ovmf")
    if packages:
        raise RoomError(f"packages are missing: apt-get install --no-install-recommends {' '.join(sorted(packages))}")
    if not Path("/etc/mtab").exists():
        raise RoomError("NFS-Ganesha exports nothing without /etc/mtab: ln -s /proc/mounts /etc/mtab")
    if not Path(appliance_command()).exists():
        raise RoomError(f"{appliance_command()} is missing: install the project there, with: make setup")


def demonstrate(directory: Path, console: Console, seconds: float, *, keep: bool = False) -> None:
    """Switch on a PC in a new room and wait until its task is reported; raises RoomError with the ends of the logs.

    With `keep` the room stays until Ctrl-C, and its page is on this machine's loopback.
    """
    room = Room(directory, directory / "logs" / "demo", page=True)
    try:
        with room:
            say(console, "The room is up: a bridge, the site's dnsmasq, the box, a BOINC project.")
            room.start_project()
            room.start_box()
            room.set_page_password(PASSWORD)
            command = [sys.executable, "-m", "tests.room.photographer", str(room.logs)]
            room.management.start("the photographer of the page", command, room.logs / "photographer.log", CHECKOUT)
            say(
                console, f"The box serves. {room.appliance('allow', 'add', str(MAC), '--label', 'demo').stdout.strip()}"
            )
            say(console, f"The page: {show_page(room) if keep else PAGE}/ (password: {PASSWORD})")
            pc = room.pc(MAC)
            pc.power_on()
            say(console, f"The PC {MAC} is on: UEFI, no disk, 1 GB.")
            watch(room, pc, console, seconds)
            pictures = len(list(room.logs.glob("page-*.png")))
            say(console, f"{pictures} pictures of the page are in {room.logs}")
            if keep:
                say(console, "The room goes on until Ctrl-C.")
                # That is how it is meant to end.
                with suppress(Interrupted):
                    while True:
                        # An order on the page may have switched the PC off.
                        if not pc.running:
                            pc.power_off()
                        room.require_all()
                        time.sleep(1)
    finally:
        # Also after an interruption: a room must leave nothing behind, whatever ended it.
        if left := leftovers(room.network.room):
            raise RoomError("the room left behind: " + "; ".join(left))


def show_page(room: Room) -> str:
    """Open the room's page to this machine's loopback; returns its address."""
    command = [sys.executable, "-m", "tests.room.loopback_port", "8443", room.management.name, str(BOX), "8443"]
    port = Process("the port on this machine", command, room.logs / "port.log", room.network.room, CHECKOUT)
    port.wait_for_log("listening on", 60)
    return "https://127.0.0.1:8443"


def watch(room: Room, pc: Pc, console: Console, seconds: float) -> None:
    """Show the boot until the project has a reported task of the PC, then print the table."""
    switched_on = time.time()
    moment = Moment(0)
    try:
        with display(console, f"PC {MAC}") as screen:
            while True:
                room.require_all()
                host = reported_by(room)
                moment = observe(room, pc, switched_on)
                screen.show(moment)
                if host is not None:
                    break
                if moment.elapsed > seconds:
                    raise RoomError(f"no task was reported within {seconds:.0f} s")
                time.sleep(1)
    except RoomError as error:
        raise RoomError(explain(error, room, pc, moment)) from error
    done = ("task reported", moment.elapsed)
    console.print(stage_table(Moment(moment.elapsed, stages=(*moment.stages, done))))
    console.print(f"\ntask reported by host {host}", style="bold", highlight=False)


def observe(room: Room, pc: Pc, switched_on: float) -> Moment:
    """What the box, the project and the serial line say now."""
    moment = Moment(elapsed=time.time() - switched_on, project=project_says(room), serial="".join(pc.lines()[-1:]))
    boot = room.boot(pc.mac)
    if boot is None:
        return moment
    offset = boot["started"] - switched_on
    return replace(
        moment,
        stages=tuple((stage["stage"], stage["at"] + offset) for stage in boot["stages"]),
        transfers=tuple(
            Transfer(t["path"].rpartition("/")[2], t["service"], t["sent"], t["size"]) for t in boot["transfers"]
        ),
        failure=boot["failure"],
    )


def project_says(room: Room) -> str:
    """The latest news of the project about any host, in words."""
    status = read_status(room.project_directory)
    if not status.results:
        return "".join(f"host {host.id} ({host.domain_name}) joined the project" for host in status.hosts.values())
    results = list(status.results.values())
    # A host gets its next task in the answer to its report; show the report.
    result = next((result for result in results if result.state == "reported"), results[-1])
    return f"task {result.name} {result.state}, host {result.hostid} ({status.hosts[result.hostid].domain_name})"


def reported_by(room: Room) -> int | None:
    """The number of the host that reported a task, once one has."""
    results = read_status(room.project_directory).results.values()
    return next((result.hostid for result in results if result.state == "reported"), None)


def explain(error: RoomError, room: Room, pc: Pc, moment: Moment) -> str:
    """The failure with its last stage and the ends of the most useful logs."""
    serve = room.serve.log if room.serve else room.logs / "serve.log"
    serial = "\n".join(pc.lines()[-25:])
    return (
        f"{error}\nThe last stage was: {moment.last}\n"
        f"\n--- the end of {serve} ---\n{tail(serve, 15)}\n"
        f"\n--- the end of {pc.serial} ---\n{serial}\n"
        f"\nAll logs are in {room.logs}"
    )


def say(console: Console, line: str) -> None:
    """Print one plain line."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
