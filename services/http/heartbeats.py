"""The heartbeat of a live system: from a body to a `Heartbeat`, and from a `HeartbeatReply` to a body. PURE.

A body is a head of `key=value` lines, an empty line, and what BOINC's GUI RPC answered, as it is: nobody here parses
that. A shell script on the client writes the head, so it may contain anything: everything is bounded, and each value
becomes one printable line. A line that is no `key=value` is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.foreign_text import printable

LONGEST_HEARTBEAT = 64 << 10
"""Bytes of a body."""

LONGEST_FACTS = 4 << 10
"""Bytes of a head; the live system's own are shorter than 1 kB."""

MOST_FACTS = 32
LONGEST_KEY = 32
LONGEST_FACT = 200
"""Characters of a value."""

LONGEST_LABEL = 60
"""Characters of the label in a reply."""

MOST_ENDED = 16
"""Orders that one heartbeat may end."""

MOST_ORDERS = 8
"""Orders in one reply."""

_KEY = re.compile(r"[a-z][a-z0-9_]*")
_ENDED = re.compile(r"([0-9]{1,15}) (done|failed: (.*))")


class OrderVerb(StrEnum):
    """What a PC can be told to do. The last four end its boot."""

    SUSPEND = "suspend"
    RESUME = "resume"
    UPDATE = "update"
    FINISH = "finish"
    FINISH_DISK = "finish-disk"
    OFF = "off"
    REBOOT = "reboot"


class WindowEnd(StrEnum):
    """What a PC does by itself when its time to compute ends."""

    OFF = "off"
    DISK = "disk"
    SUSPEND = "suspend"


LEAVING_FOR_OWNER = "owner"
"""How a PC leaves, beside those of `WindowEnd`: its owner has pressed a key, and it starts its disk."""


@dataclass(frozen=True, slots=True)
class ToldWindow:
    """A time to compute: now, or the next one. `begin` and `end` are in seconds since the epoch. At the end the PC has
    `grace` seconds to finish its work, and then does what `action` says."""

    begin: float
    end: float
    grace: int
    action: WindowEnd


@dataclass(frozen=True, slots=True)
class OrderEnd:
    """The PC has carried out an order, or why it could not: `failure` is empty if it is done."""

    order: int
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a PC says about itself. `boinc`: BOINC's answers, unread, and empty if there were none."""

    mac: MacAddress
    facts: Mapping[str, str]
    ended: tuple[OrderEnd, ...] = ()
    boinc: bytes = b""


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """What a PC is told. `time` is in seconds since the epoch, `next` is in how many seconds it is to send again,
    `files` is the tag of the BOINC files that it should have, or empty. `orders` have a number and a verb each. `label`
    is for the PC's screen. `window`: None if the PC may compute until somebody says otherwise. `owned`: whether a key
    on its keyboard gives the PC back to its owner."""

    time: float
    next: int
    files: str
    orders: tuple[tuple[int, OrderVerb], ...] = ()
    label: str = ""
    window: ToldWindow | None = None
    owned: bool = False


def decode(mac: MacAddress, body: bytes) -> Heartbeat | Ignore:
    """Read a heartbeat of the PC `mac`."""
    head, end, boinc = body[:LONGEST_HEARTBEAT].partition(b"\n\n")
    if len(body) > LONGEST_HEARTBEAT or not end or len(head) > LONGEST_FACTS:
        return Ignore(Reason.MALFORMED)
    facts: dict[str, str] = {}
    ended: list[OrderEnd] = []
    for line in head.decode("utf-8", errors="replace").split("\n"):
        key, _, value = line.partition("=")
        if key == "order":
            ended += _order_end(value)
        elif len(key) <= LONGEST_KEY and _KEY.fullmatch(key) and len(facts) < MOST_FACTS:
            facts[key] = printable(value, LONGEST_FACT)
    return Heartbeat(mac, facts, tuple(ended[:MOST_ENDED]), boinc)


def encode(reply: HeartbeatReply) -> bytes:
    """The body of a reply."""
    lines = [f"time={reply.time:.0f}", f"next={reply.next}"]
    if reply.files:
        lines.append(f"files={reply.files}")
    if reply.label:
        lines.append(f"label={printable(reply.label, LONGEST_LABEL)}")
    if (window := reply.window) is not None:
        lines.append(f"window={window.begin:.0f} {window.end:.0f} {window.grace} {window.action}")
    if reply.owned:
        lines.append("owner=yes")
    lines += [f"order={number} {verb}" for number, verb in reply.orders[:MOST_ORDERS]]
    return "".join(f"{line}\n" for line in lines).encode()


def _order_end(value: str) -> list[OrderEnd]:
    found = _ENDED.fullmatch(value)
    if found is None:
        return []
    failure = printable(found[3] or "no reason given", LONGEST_FACT) if found[2] != "done" else ""
    return [OrderEnd(int(found[1]), failure)]
