"""Which PCs did not come when they were woken last."""

from appliance.registry.database import Registry
from appliance.wake import requests
from appliance.wake.request import WakeRequest, WakeResult


def absent(registry: Registry) -> list[WakeRequest]:
    """The last requests of the PCs that did not come then, and were not seen since; the latest first. While one is
    woken again, it is still one that did not come."""
    away = [each for each in requests.latest_answers(registry) if each.result is WakeResult.DID_NOT_COME]
    seen = _last_seen(registry) if away else {}
    return [each for each in away if seen.get(each.mac.value, 0.0) < each.asked]


def _last_seen(registry: Registry) -> dict[int, float]:
    """When each PC that was woken was heard last, by the number of its MAC address."""
    return dict(
        registry.sql.execute(
            "SELECT b.mac, max(b.last_at, ifnull(h.at, 0)) FROM boots AS b LEFT JOIN heartbeats AS h ON h.mac = b.mac"
            " WHERE b.latest AND b.mac IN (SELECT mac FROM wakes)"
        ).fetchall()
    )
