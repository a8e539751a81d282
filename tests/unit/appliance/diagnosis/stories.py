"""PCs that do not boot, as the box sees them: events of one power-on or several, folded as the journal folds them."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from appliance.heartbeats.records import StoredHeartbeat
from appliance.journal.timeline import Boot, PowerOnSign, continues, fold, returned
from appliance.registry.records import IgnoredRow
from services.boinc.condition import BoincMessage, Condition, Doing, ProjectCondition, Task, to_json
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    Event,
    LeaseChosen,
    Offered,
    Reported,
    ScriptServed,
    TransferProgressed,
    TransferServed,
)

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
ADDRESS, SITE = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.2")
IMAGE = "image/20261123-150102-1a2b3c4d"
COMPUTES = Condition(Doing.COMPUTING, 1000.0)
Story = tuple[tuple[float, Event], ...]


def asks(architecture: int = 7, *, ipxe: bool = False, xid: int = 1) -> Discovered:
    """A DISCOVER of the firmware, or of iPXE."""
    return Discovered(MAC, architecture, ipxe=ipxe, xid=xid, secs=0)


def power_on(at: float, loader: str = "snponly.efi", architecture: int = 7) -> Story:
    """The firmware asks, takes a lease and our offer, and loads the loader; two seconds in all."""
    return (
        (at, asks(architecture, xid=int(at))),
        (at + 0.1, Offered(MAC, f"525400aabbcc/{loader}", 67)),
        (at + 0.5, LeaseChosen(MAC, SITE, ours=False)),
        (at + 0.6, AddressSeen(MAC, ADDRESS)),
        (at + 1.0, TransferProgressed(MAC, "tftp", loader, 0, 200_000)),
        (at + 2.0, TransferServed(MAC, "tftp", loader, 200_000, 1.0)),
    )


def autoexec() -> TransferServed:
    """iPXE has started, and fetched the script that it looks for first."""
    return TransferServed(MAC, "tftp", "autoexec.ipxe", 300, 0.1)


def script(at: float, root: str = "nfs") -> Story:
    """iPXE asks for an address and takes the script."""
    return ((at, asks(ipxe=True, xid=2)), (at + 1.0, ScriptServed(MAC, root)))


def kernel(at: float) -> Story:
    """The whole kernel."""
    return ((at, TransferServed(MAC, "http", f"{IMAGE}/vmlinuz", 8_000_000, 1.0)),)


def ramdisk(at: float) -> Story:
    """The whole ramdisk."""
    return ((at, TransferServed(MAC, "http", f"{IMAGE}/initrd.img", 40_000_000, 1.0)),)


def loaded(at: float = 100.0, root: str = "nfs", loader: str = "snponly.efi") -> Story:
    """A boot up to its kernel and ramdisk; 12 seconds."""
    return (*power_on(at, loader), *script(at + 4, root), *kernel(at + 8), *ramdisk(at + 12))


def up(at: float = 100.0) -> Story:
    """A boot up to its userspace; 60 seconds."""
    stages = ((at + 20, "initrd"), (at + 40, "root-mounted"), (at + 60, "reported"))
    return (*loaded(at), *((when, Reported(MAC, stage)) for when, stage in stages))


def told(events: Iterable[tuple[float, Event]]) -> Boot:
    """The latest boot of the story: a new one is opened as the journal opens it."""
    boot: Boot | None = None
    for at, event in events:
        if isinstance(event, PowerOnSign) and (boot is None or not continues(boot, event, at)):
            vain = returned(boot, event, at) if boot else None
            boot = Boot(1, MAC, at, "t", "r", last_event=at)
            if vain:
                boot = fold(boot, vain, at)
        assert boot is not None
        boot = fold(boot, event, at)
    assert boot is not None
    return boot


def heard(at: float, condition: Condition = COMPUTES, **facts: str) -> StoredHeartbeat:
    """A heartbeat of that boot."""
    known = {"uptime": "4000", "clock": str(at), "boinc": "running", "state_directory": "ok"}
    return StoredHeartbeat(MAC, 1, at, known | facts, to_json(condition))


def says(*lines: str, tasks: int = 0, **fields: Any) -> Condition:
    """BOINC, idle since 1000 s or computing, whose last messages about its project are these."""
    messages = tuple(BoincMessage(1000.0 + number, "Fake", line, 1) for number, line in enumerate(lines))
    project = ProjectCondition("http://p/", "Fake", 17, 1.0, 0.1, 5, 0, False, False, 0, 0, 0.0)
    task = Task("t1", "http://p/", "running", 0.5, 60.0, 60.0, 9e9, True)
    doing = Doing.COMPUTING if tasks else Doing.IDLE
    base = Condition(doing, 1000.0, tasks=(task,) * tasks, projects=(project,), messages=messages)
    return replace(base, **fields)


def refused(reason: Reason, at: float, sender_mac: str = "", service: str = "http") -> IgnoredRow:
    """A refusal in the name of the PC."""
    return IgnoredRow(str(MAC), service, reason.value, at, at, 3, "10.0.0.9", sender_mac)
