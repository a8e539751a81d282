"""What the registry knows of PCs that are to be woken: when they booted, whether they are on, and where they were."""

from collections.abc import Sequence
from ipaddress import IPv4Address

from appliance.heartbeats import census
from appliance.heartbeats.states import ON, SeenFacts, kind
from appliance.journal import history
from appliance.registry.database import Registry
from appliance.registry.rows import mac, moment, text
from appliance.wake.decision import Presence
from services.boinc.condition import Doing
from services.ethernet import MacAddress

_OF_OPEN = (
    "SELECT b.mac, b.started, b.stage, b.under_way, b.last_at, h.at, h.doing FROM boots AS b"
    " LEFT JOIN heartbeats AS h ON h.mac = b.mac AND h.boot = b.id"
    " WHERE b.latest AND b.mac IN (SELECT mac FROM wakes WHERE ended IS NULL)"
)


def read(registry: Registry, now: float) -> dict[MacAddress, Presence]:
    """The PCs with an open request that have booted, as they are at `now`, in seconds since the epoch. One query for
    all of them: it is asked once a second."""
    ended = census.ends_of_boots(registry)
    found = {}
    with registry.reading("boots"):
        for number, started, stage, under_way, last_at, beat_at, doing in registry.sql.execute(_OF_OPEN):
            facts = SeenFacts(
                text(stage),
                bool(under_way),
                moment(last_at),
                None if beat_at is None else moment(beat_at),
                Doing(doing or Doing.NO_ANSWER),
                ended.get(number),
            )
            found[mac(number)] = Presence(moment(started), kind(facts, now) in ON)
    return found


def addresses(registry: Registry, macs: Sequence[MacAddress]) -> dict[MacAddress, tuple[IPv4Address, ...]]:
    """The addresses that these PCs had at their latest boots, as far as they are known."""
    marks = ", ".join("?" * len(macs))
    rows = registry.boot_rows(f"WHERE latest AND mac IN ({marks})", tuple(each.value for each in macs))
    return {boot.mac: boot.known_addresses for boot in history.read(registry, rows)}
