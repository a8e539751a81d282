"""Who boots what. PURE. Nothing else decides this: all inputs are arguments, and every refusal has a reason."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from appliance.allowlist import Allowlist
from appliance.config.loaders import SIGNED_LOADER, dialect
from appliance.journal.timeline import Boot, Stage
from image.names import DEFAULT
from services.decision import Ignore, Reason
from services.dhcp.machines import Machine
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pxe_rules import BootRequest
from services.dhcp.quirks import RASPBERRY_PI_FILE
from services.ethernet import MacAddress
from services.events import Returned
from services.menus.menu import Dialect

MOST_VAIN_BOOTS = 5
"""After so many boots in a row whose live system never came up, a PC starts its own disk, once."""

EXCHANGE_REPEATED_WITHIN = 180.0
"""Seconds in which a client may ask again for the token that it got in exchange."""


def gives_up(returned: Returned) -> bool:
    """Whether this boot should start the PC's own disk, since the live system did not come up again and again. The next
    power-on tries again. Only boots that took a file of an image count: what a menu of GRUB started is not known."""
    return returned.times >= MOST_VAIN_BOOTS and returned.file.startswith("image/")


def plan(
    request: BootRequest,
    *,
    loaders: Mapping[Machine, str],
    allowlist: Allowlist,
    release: str | None,
    base_url: str,
    profile: Profile = Profile.STANDARD,
    image: str = DEFAULT,
) -> BootPlan | Ignore:
    """What a client that asked by DHCP is offered: its loader by TFTP or HTTP, or for iPXE its boot script by HTTP.
    Where GRUB or PXELINUX is the loader, iPXE is treated like any other firmware.

    `release` is the active one of `image`, which is that of its range, or None. `base_url` is the box's HTTP address as
    this client reaches it, without a trailing slash. `profile` is for firmware that boots by PXE; iPXE and HTTP boot
    get the standard offer.
    """
    mac = request.mac
    if mac not in allowlist:
        return Ignore(Reason.NOT_ALLOWED)
    loader = next((loaders[machine] for machine in request.machines if machine in loaders), None)
    if loader is None:
        return Ignore(Reason.NO_LOADER)
    if Machine.RASPBERRY_PI in request.machines:
        return BootPlan(RASPBERRY_PI_FILE)
    if release is None:
        return nothing_to_boot(image)
    if request.ipxe and dialect(loader) is Dialect.IPXE:
        return BootPlan(f"{base_url}/boot/{mac.bare}/boot.ipxe")
    if request.http:
        return BootPlan(f"{base_url}/boot/{mac.bare}/loader/{loader}")
    if request.ipxe:
        return BootPlan(f"{mac.bare}/{loader}")
    return BootPlan(f"{mac.bare}/{SIGNED_LOADER if profile is Profile.SHIM else loader}", profile)


def nothing_to_boot(image: str) -> Ignore:
    """Why a PC of this image, which has no active release, boots nothing. It never boots another image instead: that
    may have what this PC must not get."""
    return Ignore(Reason.NO_IMAGE if image == DEFAULT else Reason.NO_IMAGE_OF_RANGE)


def admit(
    claimed: MacAddress | None,
    neighbour: MacAddress | None,
    *,
    peer: IPv4Address,
    on_link: bool,
    allowlist: Allowlist,
    networks: Sequence[IPv4Network],
) -> MacAddress | Ignore:
    """Who a TFTP or HTTP peer is. On the link the kernel's neighbour table verifies what the peer claims; behind a
    router there is only the claim, and only peers in the configured networks may make one."""
    if on_link:
        if neighbour is None:
            return Ignore(Reason.UNKNOWN_NEIGHBOUR)
        if claimed is not None and claimed != neighbour:
            return Ignore(Reason.MAC_MISMATCH)
        mac = neighbour
    elif claimed is None:
        return Ignore(Reason.NO_CLAIM)
    elif not any(peer in network for network in networks):
        return Ignore(Reason.OUTSIDE_NETWORKS)
    else:
        mac = claimed
    return mac if mac in allowlist else Ignore(Reason.NOT_ALLOWED)


def secrets(boot: Boot | None, token: str) -> Boot | Ignore:
    """Whether `token` opens the secrets of this boot: only the boot's own does, and only until userspace reports. None
    does if it may be a program of the running PC that opened the boot (Boot.next_begins_with)."""
    match current(boot, token):
        case Ignore() as refused:
            return refused
        case found if not _same(token, found.token):
            return Ignore(Reason.TOKEN_INVALID)
        case found:
            return Ignore(Reason.TOKEN_SPENT) if found.secrets_spent or found.closed_until else found


def renewal(boot: Boot | None, token: str, placed: str | None, wanted: str) -> Boot | Ignore:
    """Whether `token` opens the secrets again, on a PC that runs: only the one that the live system got in exchange,
    which root alone can read there, and only while the PC has other BOINC files than it should.

    `placed` is the tag of the files that the PC said it has, with the same token; None if it has not said so in this
    boot. `wanted` is the tag of those that it should have.
    """
    match current(boot, token):
        case Ignore() as refused:
            return refused
        case found if not _same(token, found.token):
            return Ignore(Reason.TOKEN_INVALID)
        case found if not found.exchanged or found.closed_until or placed in (None, wanted):
            return Ignore(Reason.TOKEN_SPENT)
        case found:
            return found


def reporting_token(token: str) -> str:
    """A token for the same boot's reports that opens no secrets, and from which `token` cannot be derived."""
    return hashlib.sha256(f"reports {token}".encode()).hexdigest()[:24]


def exchange(boot: Boot | None, token: str, now: float) -> Boot | Ignore:
    """Whether `token` may be exchanged for another one: the boot's own, or the one for its reports, once, and until
    userspace reports. `now` is in seconds since the epoch.

    An answer can get lost. So a spent token still gets the same answer again until the new one is used, but at most for
    EXCHANGE_REPEATED_WITHIN seconds.
    """
    if boot is None or not boot.has_reached(Stage.SCRIPT):
        return Ignore(Reason.NO_BOOT)
    spent = boot.spent_token
    if spent and (_same(token, spent) or _same(reporting_token(token), spent)):
        return boot if 0 <= now - boot.exchanged < EXCHANGE_REPEATED_WITHIN else Ignore(Reason.TOKEN_SPENT)
    found = current(boot, token)
    if isinstance(found, Boot) and (found.exchanged or found.secrets_spent):
        return Ignore(Reason.TOKEN_SPENT)
    return found


def exchanged_for(boot: Boot, token: str) -> str:
    """What `token` was exchanged for in this boot: one for reports alone stays one for reports alone."""
    return reporting_token(boot.token) if _same(token, boot.spent_token) else boot.token


def current(boot: Boot | None, token: str) -> Boot | Ignore:
    """Whether `token`, or the one for its reports, belongs to the client's latest boot. Tokens of earlier boots are
    worthless."""
    if boot is None or not boot.has_reached(Stage.SCRIPT):
        return Ignore(Reason.NO_BOOT)
    same = _same(token, boot.token) or _same(token, reporting_token(boot.token))
    return boot if same else Ignore(Reason.TOKEN_INVALID)


def _same(token: str, wanted: str) -> bool:
    # In constant time, so that a token cannot be found letter by letter.
    return hmac.compare_digest(token.encode(), wanted.encode())
