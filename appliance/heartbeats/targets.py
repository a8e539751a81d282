"""Whom an order is for: PCs by MAC address, range or label. PURE."""

from collections.abc import Iterable

from appliance.allowlist import Allowlist
from appliance.config.selection import names
from appliance.errors import UserError
from services.ethernet import MacAddress, MacRange

_NOTHING = "nothing was changed"


def resolve(text: str, allowlist: Allowlist, known: Iterable[int]) -> list[MacAddress]:
    """The PCs that a person means, in the order of their addresses: allowed, and among the `known` ones, those that
    have booted at least once. A label means the PCs of all entries with this label, whatever its capitals. Raises
    UserError if there are none."""
    try:
        span = MacRange.parse(text)
    except ValueError:
        return _labelled(text, allowlist, known)
    inside = [number for number in sorted(known) if span.first.value <= number <= span.last.value]
    found = [MacAddress(number) for number in inside if allowlist.allows_number(number)]
    if found:
        return found
    if span.size > 1:
        why = "is allowed any more" if inside else "has booted yet"
        raise UserError(f"no PC of {span} {why}; {_NOTHING}", "list the PCs: netboot-appliance clients list")
    if span.first not in allowlist:
        raise UserError(f"{span} is not allowed; {_NOTHING}", f"netboot-appliance allow add {span}")
    raise UserError(f"{span} has not booted yet; {_NOTHING}", "list the PCs: netboot-appliance clients list")


def labels(allowlist: Allowlist) -> list[str]:
    """All labels, sorted."""
    return sorted({entry.label for entry in allowlist.entries if entry.label})


def _labelled(text: str, allowlist: Allowlist, known: Iterable[int]) -> list[MacAddress]:
    if not any(names(text, label) for label in labels(allowlist)):
        raise UserError(
            f"{text!r} is neither a MAC address, nor a range, nor a label of the allowlist; {_NOTHING}",
            "list the labels: netboot-appliance allow list",
        )
    macs = (MacAddress(number) for number in sorted(known))
    found = [mac for mac in macs if (entry := allowlist.decide(mac)) and names(text, entry.label)]
    if not found:
        raise UserError(
            f"no PC with the label {text!r} has booted yet; {_NOTHING}", "list the PCs: netboot-appliance clients list"
        )
    return found
