"""Machines that claim the addresses of running PCs: duplicates, by accident or on purpose."""

import time
from collections.abc import Sequence

from appliance.config.file import Config
from appliance.doctor.finding import Finding, note, ok, warning
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.view.address_claims import AddressClaimView, address_claim_views

_LISTED = 10


def judge(claims: Sequence[AddressClaimView]) -> list[Finding]:
    """`claims` are those of the last hour, the latest first."""
    findings = [_finding(claim) for claim in claims[:_LISTED]]
    if len(claims) > _LISTED:
        findings.append(note("addresses", f"and {len(claims) - _LISTED} more claims (status --json)"))
    return findings or [ok("addresses", "no other machine claims the address of a running PC")]


def _finding(claim: AddressClaimView) -> Finding:
    return warning(
        "addresses",
        claim.words,
        "the PC keeps the address and its exports, but two machines with one address disturb each other; or somebody"
        " tries to get at the PC's files",
        f"find {claim.claimant} in the address table of the switch; give it another address, outside those that DHCP"
        " leases, or unplug it",
    )


def check(config: Config) -> list[Finding]:
    """Look at what the running server has seen."""
    if not config.registry.exists() or holder(config.registry) is None:
        return [ok("addresses", "not checked: no server is running")]
    try:
        with Registry(config.registry) as registry:
            written = registry.server().get("claims", ())
            return judge(address_claim_views(written, registry.allowlist(), time.time()))
    except UserError as unreadable:
        return [note("addresses", f"not checked: {unreadable.message}")]
