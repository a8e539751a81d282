"""Why a PC does not come to its kernel: what its firmware and its loader did, and did not do. PURE."""

from appliance.diagnosis.fault import SECURE_BOOT_CURES, SWITCH_OFF, TRY_SHIM, Diagnosis, Seen
from appliance.diagnosis.signs import STOPPED_AFTER, name_of, no_further, progress, silent, stuck, times, transfer_of
from appliance.journal.timeline import Boot, Stage
from services.decision import Reason

GRUB = "grubx64.efi"
"""The file that shim starts."""

GRUB_WITHIN = 30.0
"""From GRUB's last byte to its first request: less than a second if it asks us."""

AT_ONCE = 10.0
"""Firmware that refuses a loader asks again, or goes to its next boot entry, within seconds. A loader that gets no
address tries for longer."""

_BIOS = 0
_SHIMS = ("shimx64.efi", "shimaa64.efi")
"""How the names of shims end: Debian's, and iPXE's own."""

AUTOEXEC = "autoexec.ipxe"
"""What iPXE under UEFI fetches first."""

_UNDER_UEFI = (".efi",)
_IPXE_DRIVERS = {
    "snponly.efi": 'try the other iPXE, which brings its own drivers: [boot.loaders] uefi_x64 = "ipxe.efi"',
    "ipxe.efi": 'try the other iPXE, which uses the firmware\'s driver: [boot.loaders] uefi_x64 = "snponly.efi"',
    "undionly.kpxe": 'try the other iPXE, which brings its own drivers: [boot.loaders] bios = "ipxe.pxe"',
}
_OTHER_CARD = "its iPXE is that of the card, or another server's: update it; or use another card"
_SPANNING_TREE = (
    "make its switch port forward at once: an edge port, or portfast, in the switch's spanning tree settings"
)
_REFUSED_OFFERS = {
    reason.value
    for reason in (
        Reason.UNSUPPORTED_FIRMWARE,
        Reason.NO_LOADER,
        Reason.NO_IMAGE,
        Reason.NO_IMAGE_OF_RANGE,
        Reason.NO_POOL,
        Reason.POOL_EMPTY,
        Reason.TOO_OFTEN,
    )
}
_OFFER_CURES = {
    Reason.UNSUPPORTED_FIRMWARE.value: "choose PXE boot over IPv4 for x86-64 in its firmware, or use another PC",
    Reason.NO_LOADER.value: "name a loader for it under [boot.loaders], and restart the server",
    Reason.NO_IMAGE.value: "build an image: netboot-appliance image build",
    Reason.POOL_EMPTY.value: "give [dhcp] pool more addresses, or a shorter lease_time, and restart the server",
}


def not_offered(boot: Boot, seen: Seen, now: float) -> Diagnosis | None:
    if boot.stage not in (None, Stage.DISCOVERED):
        return None
    for row in seen.refused:
        if row.reason in _REFUSED_OFFERS and row.last_at >= boot.started:
            cure = _OFFER_CURES.get(row.reason, "netboot-appliance doctor probe MAC shows the conversation")
            if row.reason == Reason.NO_IMAGE_OF_RANGE.value and seen.image:
                cure = f"build it: sudo netboot-appliance image build {seen.image}; or give its range another image"
            return Diagnosis(f"asked, and got no offer: {row.reason}", cure)
    return None


def not_taken(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    if boot.stage is not Stage.OFFERED or not silent(boot, now):
        return None
    if boot.chose_us:
        return Diagnosis(
            "chose the box as its boot server, and did not load the boot loader: UDP port 69 is blocked on the way",
            "let UDP port 69 of the box through, both ways: netboot-appliance doctor reads the box's own firewall",
        )
    if boot.dhcp_server is None and not boot.addresses:
        return Diagnosis(
            "was offered the boot loader, and took no address: the site's DHCP server gives it none",
            "look at that server: is its pool full, or does it know the PC? netboot-appliance doctor probe MAC asks it",
        )
    return Diagnosis(
        "was offered the boot loader, and did not take it: another boot server answered, or ports 4011 and 69 are"
        " blocked",
        "netboot-appliance doctor names other boot servers and closed ports; capture what the PC hears, and run:"
        " netboot-appliance doctor pcap FILE",
    )


def loader_stopped(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    if boot.has_reached(Stage.LOADER) or not boot.transfers or not stuck(boot.transfers[-1], boot, now):
        return None
    return Diagnosis(
        "its boot loader stopped on its way: packets of TFTP are lost between the box and the PC",
        "check the cable, and firewalls on the way: they must let UDP port 69 through in both directions"
        ' ([tftp] ports = "session" for those that insist on a port for each transfer); and the MTU on the way',
        progress(boot.transfers[-1]),
    )


def secure_boot(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    """Firmware took a whole loader, started nothing, and asks again at once."""
    before = boot.returned
    if before is None or not no_further(boot, Stage.LOADER) or before.after > AT_ONCE:
        return None
    name = name_of(before.file)
    if boot.architecture == _BIOS or not name.endswith(_UNDER_UEFI):
        return None
    if name.endswith(_SHIMS) or name == GRUB:
        cure = f"allow Microsoft's third-party key (3rd Party UEFI CA) in its Secure Boot settings; or {SWITCH_OFF}"
        return Diagnosis("Security Violation: its firmware refuses the signed loader too", cure, times(boot))
    cause = "Security Violation: Secure Boot refuses the unsigned loader"
    return Diagnosis(cause, f"{TRY_SHIM}; or {SWITCH_OFF}", f"{name}, {times(boot)}")


def secure_boot_grub(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    """GRUB 2.06 asks the server that the lease names (siaddr), not the one that it was loaded from. With a proxyDHCP
    server that is the site's own, where it tries for half a minute for each of its files. Seen with Debian 12's
    signed GRUB in OVMF."""
    grub = any(t.path.endswith(GRUB) and t.sent == t.size and not t.failed for t in boot.transfers)
    if not grub or boot.leased_by_us or boot.has_reached(Stage.SCRIPT) or now - boot.last_event <= GRUB_WITHIN:
        return None
    cause = f"Secure Boot: GRUB asked {boot.dhcp_server or 'another server'}"
    return Diagnosis(cause, "; or ".join(SECURE_BOOT_CURES))


def no_second_address(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    """A loader was started, and never got as far as to ask for its script."""
    if not no_further(boot, Stage.LOADER) and not (boot.stage is Stage.LOADER and silent(boot, now)):
        return None
    if boot.ipxe_asked or any(name_of(transfer.path) == AUTOEXEC for transfer in boot.transfers):
        return Diagnosis(
            "iPXE was started and did not ask for its script: it got no address, or port 80 is blocked",
            "look whether the site's DHCP server answers iPXE too, and whether TCP port 80 of the box is open to it: "
            f"netboot-appliance doctor; {_SPANNING_TREE}",
        )
    if boot.architecture == _BIOS:
        return Diagnosis(
            "took the boot loader and asked for nothing more: iPXE got no address, or does not work with its network"
            " card",
            f"{_SPANNING_TREE}; or {_other_driver(boot)}",
        )
    return Diagnosis(
        "took the boot loader and asked for nothing more: iPXE got no address, or Secure Boot refuses it",
        f'look at its screen: with "Security Violation", {SWITCH_OFF}, or {TRY_SHIM}; else {_SPANNING_TREE}',
    )


def menu(boot: Boot, seen: Seen, now: float) -> Diagnosis | None:
    if boot.stage is not Stage.SCRIPT or not seen.menu or now - boot.last_event <= seen.menu + STOPPED_AFTER:
        return None
    return Diagnosis(
        "its menu waits for a person: a key was pressed, which stops the countdown",
        "choose an entry at the PC, or switch it off and on; without a menu: [menu] timeout = 0, or netboot-appliance"
        " allow add MAC --timeout 0",
    )


def stopped_on_the_way(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    """The loader began to take the kernel or a ramdisk, and stopped."""
    for name, stage in (("vmlinuz", Stage.KERNEL), ("microcode.img", Stage.INITRD), ("initrd.img", Stage.INITRD)):
        transfer = transfer_of(boot, name)
        if transfer and not boot.has_reached(stage) and stuck(transfer, boot, now):
            from_here = any(not t.path.startswith("image/") for t in boot.transfers)
            return Diagnosis(
                f"{name} stopped on its way: the loader's network driver, or the cable",
                _other_driver(boot) if from_here else _OTHER_CARD,
                progress(transfer),
            )
    return None


def _other_driver(boot: Boot) -> str:
    loaders = [name_of(t.path) for t in boot.transfers]
    return next(
        (_IPXE_DRIVERS[name] for name in loaders if name in _IPXE_DRIVERS),
        "try another loader, which brings its own drivers or uses the firmware's: [boot.loaders] ipxe.efi or"
        " snponly.efi",
    )
