"""What the running server wants exported, worked out from the registry: for the CLI and the doctor.

The server itself has its boots in memory (appliance/server/export_task.py); root's helper does not read the registry.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network

from appliance.config.file import Config
from appliance.exports.grants import ExportGrant, decide_grants
from appliance.exports.install import exports_now
from appliance.journal.history import latest
from appliance.registry.database import Registry
from services.nfs.exports import Export


def expected_grants(networks: Sequence[IPv4Network], registry: Registry) -> tuple[ExportGrant, ...]:
    """Who may mount what, as the running server decides. Only that one knows which PCs run, so all of them are pinned:
    `exports apply` must not unpin a running PC."""
    numbers = {client.mac: client.number for client in registry.clients()}
    boots = {boot.mac: boot for boot in latest(registry)}
    return decide_grants(networks, registry.allowlist(), numbers, boots, running=boots.keys())


def expected_exports(config: Config, networks: Sequence[IPv4Network], registry: Registry) -> list[Export]:
    """The exports for these grants."""
    return exports_now(config, expected_grants(networks, registry))
