"""What clients need beyond their architecture (machines.py): the one table of firmware quirks. PURE.

A row says by which messages its firmware is recognised, what regular firmware would have sent instead (pxe_rules.py
then treats it as such), and what its answer needs in addition. Each row has its source, and a test in
tests/transcripts/test_boot_quirks.py. Firmware whose messages do not show that it needs option 43 or a late answer is
not here: the box learns that, as a reply profile (plan.py).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

from services.dhcp.message import Message
from services.ethernet import MacAddress

PXE = "PXEClient"

RASPBERRY_PI_FILE = "bootcode.bin"
"""What a Raspberry Pi is offered. It ignores the name: a Pi 3 asks for this file, a later one for `config.txt`."""


@dataclass(frozen=True, slots=True)
class Quirk:
    """Firmware that `applies` recognises. `regular` returns its message as regular firmware would send it.
    `vendor_options` are the sub-options of option 43 in its offers; these are sent after `delay` seconds."""

    name: str
    applies: Callable[[Message], bool]
    regular: Callable[[Message], Message]
    vendor_options: bytes = b""
    delay: float = 0.0


# The prefixes of Raspberry Pi in the IEEE's list; raspberrypi/piserver (src/config.h, OUI_FILTER) has the first four.
_RASPBERRY_PI_MACS = frozenset((0xB827EB, 0xDCA632, 0xE45F01, 0xD83ADD, 0x2CCF67, 0x28CDC1, 0x88A29E))


def is_raspberry_pi(mac: MacAddress) -> bool:
    """Whether this is the address of a Raspberry Pi, whatever it runs at the moment."""
    return mac.value >> 24 in _RASPBERRY_PI_MACS


def _boots_raspberry_pi(message: Message) -> bool:
    # A Pi with UEFI firmware asks as any ARM64 machine does: only 0, 41 or no number is the Pi's own boot loader.
    # An operating system on a Pi sends no UUID, and a class of its own.
    if not is_raspberry_pi(message.mac):
        return False
    boots = message.vendor_class.startswith(PXE) or (not message.vendor_class and len(message.client_uuid) == 17)
    return boots and set(message.architectures) <= {0, 41}


_ARCHITECTURE_IN_CLASS = re.compile(rf"{PXE}:Arch:(\d{{5}})")


def _names_architecture(message: Message) -> bool:
    return not message.architectures and _ARCHITECTURE_IN_CLASS.match(message.vendor_class) is not None


def _with_architecture(message: Message) -> Message:
    found = _ARCHITECTURE_IN_CLASS.match(message.vendor_class)
    return replace(message, architectures=(int(found[1]),)) if found else message


QUIRKS = (
    # It sends architecture 0, BIOS (raspberrypi/rpi-eeprom#182), whose loaders it cannot run; 41 is its number in the
    # IANA registry, and what it sends over DHCPv6. Its REQUEST may lack option 60 (rpi-eeprom#82). It takes only offers
    # with the boot menu entry "Raspberry Pi Boot" in option 43 (the Pi documentation, PXE_OPTION43). Sub-options 6, 10
    # and 9 are byte for byte those that a Pi 4 took from dnsmasq's proxy and that raspberrypi/firmware#764 shows for a
    # Pi 3. A Pi 3 may miss an instant answer: piserver waits a second (src/piserver.cpp, dhcp-reply-delay). All of this
    # is from reading, and tested with the bytes of those captures, but not with a Pi.
    Quirk(
        "Raspberry Pi",
        _boots_raspberry_pi,
        lambda message: replace(message, architectures=(41,), vendor_class=message.vendor_class or PXE),
        vendor_options=b"\x06\x01\x03" + b"\x0a\x04\0PXE" + b"\x09\x14\0\0\x11Raspberry Pi Boot",
        delay=1.0,
    ),
    # RFC 4578 demands option 93, but PXE 2.1 (table 2-2) has the number in option 60 too, and many servers look only
    # there (the usual configurations of ISC dhcpd and Windows): a ROM that sends nothing else boots with them. From
    # the specification; not seen in practice.
    Quirk("architecture in option 60 only", _names_architecture, _with_architecture),
    # iPXE's ancestor, in network cards and hypervisors until about 2011. It sends option 175 as iPXE does
    # (dnsmasq.conf.example: "dhcp-match=set:gpxe,175"), but its scripts begin with "#!gpxe" (etherboot.org/wiki/
    # scripting), and ours are for iPXE: so it counts as firmware, and gets an iPXE (etherboot.org/wiki/pxechaining).
    Quirk(
        "gPXE",
        lambda message: "gPXE" in message.user_classes,
        lambda message: replace(message, user_classes=(), ipxe_options=False),
    ),
)

UNSUPPORTED_CLASSES = (
    # Macs with Intel processors, 2006 to 2017: Apple's Boot Server Discovery Protocol, an INFORM with a list of images
    # in option 43 (opensource.apple.com, bootp, bsdp.h).
    "AAPLBSDPC",
)
"""Vendor classes of network boot protocols that this server does not speak: their refusal is reported."""


def find(message: Message) -> tuple[Quirk, ...]:
    """The quirks of the firmware that sent this. Each is looked for after the ones before it were made regular."""
    found = []
    for quirk in QUIRKS:
        if quirk.applies(message):
            found.append(quirk)
            message = quirk.regular(message)
    return tuple(found)


def regular(message: Message) -> Message:
    """The message as regular firmware would have sent it."""
    return reduce(lambda read, quirk: quirk.regular(read), find(message), message)
