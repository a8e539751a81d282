"""The host name of one PC. Names made of the last digits of a MAC address may meet: then the PC that was known first
keeps the name, and the other one gets all digits."""

from collections.abc import Callable, Iterable, Sequence

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.live.choice import choices, pattern
from appliance.registry.records import Client
from services import host_names
from services.ethernet import MacAddress

_LAST = 0xFFFF


def host_name(
    config: Config,
    allowlist: Allowlist,
    mac: MacAddress,
    known: Callable[[], Iterable[int]],
    clients_of: Callable[[Sequence[int]], Iterable[Client]],
) -> str:
    """The name. `known` returns the MAC addresses of all known PCs, as numbers; `clients_of` reads some of them."""

    def pattern_and_label(of: MacAddress) -> tuple[str, str]:
        allowed = allowlist.decide(of)
        return pattern(choices(config, of, allowed)), allowed.label if allowed else ""

    own, label = pattern_and_label(mac)
    name = host_names.render(own, mac, label)
    if "{mac}" in own:
        return name
    alike = [each for each in known() if not (each ^ mac.value) & _LAST]
    if alike in ([], [mac.value]):
        return name
    seen = {client.mac: client.first_seen for client in clients_of(alike)}
    turn = (seen.get(mac, float("inf")), mac)
    for other, first_seen in seen.items():
        if (first_seen, other) < turn:
            others_own, others_label = pattern_and_label(other)
            if host_names.render(others_own, other, others_label) == name:
                return host_names.render(host_names.widened(own), mac, label)
    return name
