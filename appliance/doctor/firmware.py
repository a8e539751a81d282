"""Which PCs need an offer other than the standard one, and which have accepted none."""

from collections.abc import Iterable, Sequence

from appliance.config.file import Config
from appliance.diagnosis.fault import SECURE_BOOT_CURES, SWITCH_OFF, TRY_SHIM
from appliance.doctor.finding import Finding, note, ok, warning
from appliance.errors import UserError
from appliance.firmware.knowledge import FirmwareKnowledge, Why, notable
from appliance.firmware.table import read_special
from appliance.registry.database import Registry
from services.dhcp.plan import Profile
from services.ethernet import MacAddress

_SHOWN = 10
_MOST = 10_000
_HTTP = "HTTPClient"


def judge(learned: Iterable[tuple[MacAddress, FirmwareKnowledge]]) -> list[Finding]:
    """`learned` is what is worth knowing about the PCs that may boot."""
    groups: dict[tuple[Profile, bool, Why, bool], list[MacAddress]] = {}
    for mac, known in learned:
        group = (known.profile, known.worked, known.why, _HTTP in known.fingerprint)
        groups.setdefault(group, []).append(mac)
    found = [_finding(*group, _named(macs)) for group, macs in groups.items()]
    return found or [ok("firmware", "all firmware accepts the standard offer")]


def _finding(profile: Profile, worked: bool, why: Why, http: bool, macs: str) -> Finding:
    match why:
        case Why.REFUSED if profile is Profile.STANDARD and http:
            what = f"PCs whose UEFI HTTP boot has loaded the boot loader but not started it: {macs}"
            cure = f"choose PXE boot in its firmware: there is a signed loader for it; or {SWITCH_OFF}"
            return warning("firmware", what, "most likely Secure Boot", cure)
        case Why.REFUSED if profile is not Profile.SHIM:
            what = f"PCs that have loaded the boot loader but not started it: {macs}"
            return warning("firmware", what, "most likely Secure Boot", f"{TRY_SHIM}; or {SWITCH_OFF}")
        case Why.NEITHER:
            what = f"PCs that get stuck both with the usual boot loader and with the signed one: {macs}"
            reason = "behind a proxyDHCP, GRUB asks the site's DHCP server for its files and not the box"
            return warning("firmware", what, reason, "; or ".join((*SECURE_BOOT_CURES, SWITCH_OFF)))
        case Why.IGNORED_ALL:
            what = f"PCs that have ignored every kind of offer: {macs}"
            reason = "the site's DHCP server gives no address, or names its own boot server, which overrides ours"
            cure = "capture what it hears (tcpdump -w boot.pcap) and run: netboot-appliance doctor pcap boot.pcap"
            return warning("firmware", what, reason, cure)
    if not worked:
        return note("firmware", f"PCs that are being tried with another offer ({profile}): {macs}", str(why))
    return note(
        "firmware",
        f"PCs that boot with an offer other than the standard one ({profile}): {macs}",
        f"{why}; the box remembers that",
        "nothing; after a firmware update: netboot-appliance clients forget MAC",
    )


def _named(macs: Sequence[MacAddress]) -> str:
    more = f" and {len(macs) - _SHOWN} more (status)" if len(macs) > _SHOWN else ""
    return ", ".join(str(mac) for mac in macs[:_SHOWN]) + more


def check(config: Config) -> list[Finding]:
    """Look at what was learned about the PCs that may boot."""
    if not config.registry.exists():
        return judge(())
    try:
        with Registry(config.registry) as registry:
            allowed = registry.allowlist()
            learned = ((mac, rows) for mac, rows in read_special(registry, _MOST).items() if mac in allowed)
            return judge((mac, known) for mac, rows in learned for known in notable(rows))
    except UserError as unreadable:
        return [note("firmware", f"not checked: {unreadable.message}")]
