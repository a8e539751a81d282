"""Who else uses the addresses of running PCs, as people and scripts see it. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.allowlist import Allowlist
from appliance.exports.ownership import CLAIM_SECONDS, read_facts
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class AddressClaimView:
    """`claimant` used an address of the PC `holder`, last at `at` (seconds since the epoch). The labels are those of
    the allowlist; the claimant's is empty if it is not allowed."""

    address: str
    claimant: str
    claimant_label: str
    holder: str
    holder_label: str
    at: float

    @property
    def words(self) -> str:
        """One line, with the words in which the administrator knows the PCs."""
        claimant = _named(self.claimant, self.claimant_label)
        return f"{claimant} claims {self.address} of {_named(self.holder, self.holder_label)}"


def address_claim_views(
    written: Iterable[Mapping[str, str | float]], allowlist: Allowlist, now: float
) -> tuple[AddressClaimView, ...]:
    """What the running server wrote as its fact "claims", the latest first; `now` is in seconds since the epoch."""
    recent = [each for each in read_facts(written) if now - each.at < CLAIM_SECONDS]
    return tuple(
        AddressClaimView(
            str(each.address),
            str(each.claimant),
            _label(allowlist, each.claimant),
            str(each.holder),
            _label(allowlist, each.holder),
            each.at,
        )
        for each in sorted(recent, key=lambda each: -each.at)
    )


def _label(allowlist: Allowlist, mac: MacAddress) -> str:
    entry = allowlist.decide(mac)
    return entry.label if entry else ""


def _named(mac: str, label: str) -> str:
    return f"{label} ({mac})" if label else mac
