"""Why a kernel that was loaded does not come to its live system: its network card, its memory, its root. PURE."""

from appliance.diagnosis.fault import Diagnosis, Seen
from appliance.diagnosis.signs import no_further, progress, silent, stuck, times, transfer_of
from appliance.journal.timeline import Boot, Stage
from services.decision import Reason


def another_card(boot: Boot, seen: Seen, now: float) -> Diagnosis | None:
    """The live system speaks for the card that the firmware booted from, but out of another one. Then it borrows that
    card's address; where it does not, its requests are refused."""
    if not boot.has_reached(Stage.KERNEL) or boot.secrets_spent:
        return None
    refusals = (row for row in seen.refused if row.reason == Reason.MAC_MISMATCH and row.last_at >= boot.started)
    found = next((f"the card found is {row.sender_mac}" for row in refusals if row.sender_mac), "")
    if not found and "No card has the MAC address" in boot.remark and silent(boot, now):
        found = boot.remark
    if not found:
        return None
    return Diagnosis(
        "its live system uses another network card than its firmware: a dock or adapter with MAC pass-through, or no"
        " driver for the card that it booted from",
        "switch MAC pass-through off in its firmware; or allow the card that was found: netboot-appliance allow add"
        " MAC, and boot from that one",
        found,
    )


def token_refused(boot: Boot, seen: Seen, _: float) -> Diagnosis | None:
    spent = (Reason.TOKEN_INVALID.value, Reason.TOKEN_SPENT.value)
    if not any(row.reason in spent and row.last_at >= max(boot.started, boot.last_event) for row in seen.refused):
        return None
    return Diagnosis(
        "its live system shows a token that is not, or no longer, that of its latest boot",
        "restart the PC; if it happens again, look for a second machine with its MAC address, or for a program on it"
        " that asks for boot scripts",
    )


def wrong_network(boot: Boot, seen: Seen, now: float) -> Diagnosis | None:
    if not any(row.reason == Reason.OUTSIDE_NETWORKS and row.last_at >= boot.started for row in seen.refused):
        return None
    cure = "name its network under [nfs] networks, then netboot-appliance reload; or give it an address in one of them"
    return Diagnosis("its address is in none of the networks that the box serves", cure) if silent(boot, now) else None


def root_not_fetched(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    transfer = transfer_of(boot, "filesystem.squashfs")
    if transfer is None or boot.has_reached(Stage.ROOT_MOUNTED):
        return None
    if transfer.sent == transfer.size and silent(boot, now):
        return Diagnosis(
            "took the whole live system and did not start it: too little memory",
            "let it mount its root instead: netboot-appliance allow add MAC --root nfs; or more memory",
        )
    if not stuck(transfer, boot, now) or not silent(boot, now):
        return None
    cure = "check its cable and its switch port; or let it mount its root: netboot-appliance allow add MAC --root nfs"
    detail = progress(transfer)
    return Diagnosis("the live system stopped on its way to the PC", cure, detail)


def root_refused(boot: Boot, seen: Seen, now: float) -> Diagnosis | None:
    """The ramdisk has a working network card, and no root after minutes."""
    if not boot.ramdisk_spoke or boot.has_reached(Stage.ROOT_MOUNTED) or not silent(boot, now):
        return None
    if boot.root == "http":
        cure = "see its screen; look at the box's port 80 and the image: netboot-appliance doctor"
        return Diagnosis("its ramdisk runs, but has not fetched the live system", cure)
    why = seen.box.exports
    return Diagnosis(
        f"root refused by NFS: {f'the exports are not in force: {why}' if why else 'its ramdisk runs, and waits'}",
        "ask the NFS server as a PC does: netboot-appliance doctor (check nfs-mount); then sudo netboot-appliance"
        " exports apply",
        "" if boot.known_addresses else "the box knows no address of it, so nothing is exported to it",
    )


def never_came_back(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    again = no_further(boot, Stage.INITRD)
    loaded = boot.has_reached(Stage.INITRD) and not boot.has_reached(Stage.ROOT_MOUNTED)
    if boot.ramdisk_spoke or not (again or (loaded and silent(boot, now))):
        return None
    return Diagnosis(
        "took kernel and initrd, and never came back: no driver or no firmware for its network card, or too little"
        " memory",
        '[image] backports = true (a newer kernel) or firmware = "all", then netboot-appliance image build; or give'
        " the PC more memory (1 GB); its screen says which",
        times(boot) if again else "",
    )
