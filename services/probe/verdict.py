"""Why a PC boots or does not, from its attempts. PURE: each rule looks at what was seen and says what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.ethernet import MacAddress
from services.probe.attempt import BootAttempt
from services.probe.firmware import NOT_IPXE, Agent
from services.probe.message import NOWHERE, Checked, Refused
from services.probe.transfers import Download

_KERNEL, _RAMDISK = ("vmlinuz", "linux", "bzimage", "kernel"), ("initrd", "initramfs")
_LOADERS = (".efi", ".kpxe", ".0", ".pxe", ".signed")


class Outcome(StrEnum):
    """What the conversation shows; OPEN: neither."""

    BOOTS = "boots"
    FAILS = "does not boot"
    OPEN = "not seen to the end"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, in words, and what to do about it."""

    outcome: Outcome
    words: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class BoxFacts:
    """What is known of the box on this host, besides the packets; `release` is empty when no image is active.
    `image`: the one that its range names, if that is not the default one."""

    running: bool
    allowed: bool
    release: str
    image: str = ""


def judge(mac: MacAddress, attempts: Sequence[BootAttempt], box: BoxFacts | None) -> Verdict:
    """Say how far the PC came and what stopped it."""
    boots = [attempt for attempt in attempts if attempt.agent is not Agent.SYSTEM]
    if not boots:
        if attempts:
            return _fail(
                "its operating system asked for an address, but no firmware asked to boot",
                "set network boot (PXE, IPv4) first in the firmware's boot order, and switch the PC off and on",
            )
        return _fail(
            "nothing was heard from it", "check that the capture was taken at the PC's switch port, and check its cable"
        )
    last = boots[-1]
    for rule in (_dhcp, _boot_offer, _boot_server, _files):
        if found := rule(mac, last, box):
            return found
    system = attempts[-1].agent is Agent.SYSTEM and attempts[-1] is not last
    return _success(last, boots, system)


def _dhcp(mac: MacAddress, attempt: BootAttempt, box: BoxFacts | None) -> Verdict | None:
    if attempt.discovers and not attempt.offers:
        return _fail(
            "nobody answered its DISCOVER: neither the site's DHCP server nor a boot server",
            f"check cable, VLAN and the switch (spanning tree, DHCP snooping); {_check_the_box(mac, attempt, box)}",
        )
    if attempt.discovers and attempt.choice.lease is None and not attempt.leased:
        offered = f" ({attempt.choice.boot.server} offers a boot file, but no address)" if attempt.choice.boot else ""
        return _fail(
            f"no DHCP server offered an address{offered}",
            "check the site's DHCP server: its range may be full, or it may serve only other MAC addresses",
        )
    if attempt.refused_lease and not attempt.leased:
        return _fail(
            f"{attempt.refused_lease.server} refused the address (NAK)",
            "look at that DHCP server's log; two DHCP servers on one segment cause this",
        )
    return None


def _boot_offer(mac: MacAddress, attempt: BootAttempt, box: BoxFacts | None) -> Verdict | None:
    choice = attempt.choice
    if choice.boot is None and not attempt.asked and not attempt.answer and not attempt.downloads:
        if not attempt.discovers:
            return None
        what = " for HTTP boot (option 60 HTTPClient and a URL)" if attempt.agent is Agent.UEFI_HTTP else ""
        return _fail(
            f"no boot offer was seen{what}: {choice.lease.server if choice.lease else 'the DHCP server'} offers an "
            "address, but nobody offers a boot file",
            _check_the_box(mac, attempt, box),
        )
    if choice.problem:
        return _fail(choice.problem, "set a URL, http://ADDRESS/FILE, as boot file for HTTP boot on that server")
    if _ignored(attempt):
        waited = attempt.discovers[-1].secs - attempt.discovers[0].secs
        return _fail(
            f"{attempt.agent.words} asked {len(attempt.discovers)} times with the same xid over {waited} s and took "
            "none of the offers: the client ignores our answer",
            "update its firmware, or set boot file and server in the site's own DHCP server (options 66 and 67)",
        )
    if attempt.requests and not attempt.leased and attempt.discovers:
        return _fail(
            f"{attempt.agent.words} asked {choice.lease.server if choice.lease else 'a DHCP server'} for its lease and "
            "got no ACK",
            "look at that DHCP server's log",
        )
    return None


def _ignored(attempt: BootAttempt) -> bool:
    secs = [message.secs for message in attempt.discovers]
    return len(secs) > 1 and secs[-1] > secs[0] and bool(attempt.choice.boot) and not attempt.requests and not (
        attempt.asked or attempt.downloads or attempt.checks or attempt.boot_server_unasked
    )  # fmt: skip


def _boot_server(mac: MacAddress, attempt: BootAttempt, box: BoxFacts | None) -> Verdict | None:
    choice = attempt.choice
    if choice.ask is None or attempt.answer or attempt.boot_server_unasked or attempt.downloads:
        return _unusable(attempt)
    if attempt.nobody_at:
        return _fail(
            f"nobody listens on UDP port 4011 of {attempt.nobody_at}, where {attempt.agent.words} asks for its boot "
            "file (PXE-E55)",
            "start the boot server there; if it has none, remove option 60 'PXEClient' from that DHCP server",
        )
    if attempt.asked:
        return _fail(
            f"{attempt.asked[-1]} did not answer on UDP port 4011 (PXE-E55)",
            "let UDP port 4011 through the firewall there, and check that the boot server runs",
        )
    taken = attempt.leased.server if attempt.leased else choice.lease.server if choice.lease else "nobody"
    if attempt.leased:
        return _fail(
            f"{attempt.agent.words} took its lease from {taken} but never asked {choice.ask} for its boot file (UDP "
            "4011)",
            "its firmware ignores boot offers that are separate from the lease: update it, or set options 66 and 67 in "
            "the site's DHCP server",
        )
    return None


def _unusable(attempt: BootAttempt) -> Verdict | None:
    if attempt.answer and not attempt.answer.boot_file and not attempt.downloads:
        return _fail(f"the answer of {attempt.answer.server} names no boot file", "set one on that boot server")
    if attempt.leased and attempt.boot_file and not attempt.downloads and not attempt.checks:
        return _fail(
            f"{attempt.agent.words} took its lease from {attempt.leased.server} but never asked "
            f"{attempt.boot_server} for {attempt.boot_file}",
            "look at the PC's screen; its firmware may ignore boot offers that are separate from the lease, or the "
            "capture ends here",
        )
    return None


def _files(mac: MacAddress, attempt: BootAttempt, box: BoxFacts | None) -> Verdict | None:
    for check in attempt.checks:
        if isinstance(check, Checked) and not check.good:
            return _fail(
                f"{check.name} on the box's disk: {check.words}", "build the image again, or start the box once"
            )
    if not attempt.downloads or attempt.loaded(*_RAMDISK):
        return None
    last = attempt.downloads[-1]
    elsewhere = next((d for d in reversed(attempt.downloads) if d.server != attempt.boot_server), None)
    if last.failed and elsewhere is last and attempt.boot_server != NOWHERE:
        who = "GRUB" if "grub" in last.name.lower() else attempt.agent.words
        return _fail(
            f"{who} asked {last.server} instead of {attempt.boot_server} for {last.name}: {last.why}",
            f"it believes the DHCP server's next-server: set that to {attempt.boot_server} (siaddr, option 66) there",
        )
    looping = attempt.boot_file.endswith(_LOADERS) and not attempt.boot_file.endswith(NOT_IPXE)
    if attempt.agent is Agent.IPXE and looping:
        return _fail(
            f"iPXE was offered {attempt.boot_file}, a loader, instead of a script: {_ending(last)}; it would start "
            "itself again and again",
            "the boot server does not recognise iPXE by its user class (option 77): configure that, or let only the "
            "box answer",
        )
    if last.failed:
        times = f", asked {last.tries} times" if last.tries > 1 else ""
        return _fail(
            f"{attempt.agent.words} did not get {last.name} by {last.protocol} from {last.server}: {last.why}{times}",
            _advice(mac, last),
        )
    return None


def _advice(mac: MacAddress, download: Download) -> str:
    port = "UDP port 69" if download.protocol == "TFTP" else "the HTTP port"
    if download.end == "error":
        return f"that file is missing on {download.server}, or cannot be read there; the log there names it"
    if download.end == "refused" and download.protocol == "TFTP":
        return f"start the TFTP server on {download.server}"
    return (
        f"let {port} through the firewall of {download.server} and check that its server runs; the box itself "
        f"answers nobody but {mac}, and only if it is allowed: netboot-appliance status lists what it ignored"
    )


def _success(last: BootAttempt, boots: Sequence[BootAttempt], system: bool) -> Verdict:
    kernel = last.loaded(*_RAMDISK) or last.loaded(*_KERNEL)
    refused = any(isinstance(check, Refused) for check in last.checks)
    if refused or (last.boot_server_unasked and not last.downloads):
        seen = sum(isinstance(check, Checked) for check in last.checks)
        disk = "; its files on this disk are intact" if seen else ""
        return Verdict(
            Outcome.BOOTS,
            f"as far as can be seen from this host: DHCP is right{disk}; files are sent only to the PC itself",
            "for TFTP and HTTP, run this on a host with that MAC address, or switch the PC on and look at: "
            "netboot-appliance status",
        )
    if kernel or (system and any(boot.downloads for boot in boots)):
        after = ", and its operating system asked for an address" if system else ""
        return Verdict(Outcome.BOOTS, f"{last.agent.words} has its kernel and initial ramdisk{after}")
    if (loaded := next((d for d in reversed(last.downloads) if d.whole), None)) is not None:
        return Verdict(
            Outcome.OPEN,
            f"{last.agent.words} has loaded {loaded.base} from {loaded.server}, and nothing more was seen",
            "look at the PC's screen: the script's next file was never asked for"
            if last.agent is Agent.IPXE
            else "if the PC stops there: with Secure Boot on, firmware refuses a loader without a trusted signature",
        )
    return Verdict(Outcome.OPEN, f"nothing wrong was seen, but {last.agent.words} was not seen to finish",
                   "capture for longer, from before power-on until the PC stops")  # fmt: skip


def _ending(download: Download) -> str:
    if download.whole:
        return f"it loaded {download.base} again"
    return f"{download.why} at {download.server}" + (f", asked {download.tries} times" if download.tries > 1 else "")


def _check_the_box(mac: MacAddress, attempt: BootAttempt, box: BoxFacts | None) -> str:
    """What to check on the box, which did not answer."""
    allow = f"netboot-appliance allow add {mac}"
    if box is None:
        return (
            f"on the box: is it running and on this segment (netboot-appliance status), is the PC allowed ({allow}), "
            "is an image active (netboot-appliance image list)?"
        )
    if not box.running:
        return "the box is not running on this host: netboot-appliance serve"
    if not box.allowed:
        return f"its MAC address is not in the allowlist: {allow}"
    if not box.release:
        if box.image:
            return (
                f"the image {box.image} of its range has no active release: netboot-appliance image build {box.image}"
            )
        return "no image is active: netboot-appliance image build"
    if attempt.agent is Agent.OTHER:
        return "its firmware is neither BIOS nor UEFI x64: name a boot loader for it in the box's [boot.loaders]"
    return (
        "the box is running, allows it and has an image: check that it serves this interface and segment (config show)"
    )


def _fail(words: str, hint: str) -> Verdict:
    return Verdict(Outcome.FAILS, words, hint)
