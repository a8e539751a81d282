"""Machines that asked to boot and are not allowed, as people and scripts see them. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.admission.makers import RANDOM
from appliance.allowlist import Allowlist
from appliance.registry.records import IgnoredRow
from services.decision import Reason
from services.ethernet import MacAddress

_MULTICAST = 0x01 << 40


@dataclass(frozen=True, slots=True)
class RefusedView:
    """A machine that is not in the allowlist. `services` are those that it asked, `count` how often; times are in
    seconds since the epoch. `address` is where it asked from, as far as that is known, `maker` who made its card."""

    mac: str
    maker: str
    count: int
    first_at: float
    last_at: float
    services: tuple[str, ...]
    address: str

    @property
    def label(self) -> str:
        """What it is called once it is allowed, unless somebody says better."""
        return "" if self.maker == RANDOM else self.maker


def refused_macs(rows: Iterable[IgnoredRow], allowlist: Allowlist) -> list[MacAddress]:
    """The machines that were refused and still are, the one heard last first."""
    return list(_by_machine(rows, allowlist))


def refused_views(
    rows: Iterable[IgnoredRow], allowlist: Allowlist, makers: Mapping[MacAddress, str]
) -> list[RefusedView]:
    """The machines that were refused and still are, the one heard last first."""
    return [
        RefusedView(
            mac=str(mac),
            maker=makers.get(mac, ""),
            count=sum(row.count for row in found),
            first_at=min(row.first_at for row in found),
            last_at=max(row.last_at for row in found),
            services=tuple(sorted({row.service for row in found})),
            address=next((row.sender for row in found if row.sender), ""),
        )
        for mac, found in _by_machine(rows, allowlist).items()
    ]


def _by_machine(rows: Iterable[IgnoredRow], allowlist: Allowlist) -> dict[MacAddress, list[IgnoredRow]]:
    found: dict[MacAddress, list[IgnoredRow]] = {}
    for row in rows:
        mac = _machine(row) if row.reason == Reason.NOT_ALLOWED else None
        if mac is not None and mac not in allowlist and not mac.value & _MULTICAST:
            found.setdefault(mac, []).append(row)
    latest = {mac: max(row.last_at for row in mine) for mac, mine in found.items()}
    return dict(sorted(found.items(), key=lambda each: (-latest[each[0]], each[0])))


def _machine(row: IgnoredRow) -> MacAddress | None:
    """The MAC address that the kernel knows for the sender, else the one that the request claims."""
    for text in (row.sender_mac, row.client):
        try:
            return MacAddress.parse(text)
        except ValueError:
            continue
    return None
