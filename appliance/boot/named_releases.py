"""Which releases PCs may start by name: by [menu], a range or `boot next`. They must not be deleted."""

from appliance.boot import next_boot
from appliance.config.file import Config
from appliance.config.menu import release_of
from appliance.registry.database import Registry


def named_releases(config: Config, registry: Registry) -> set[str]:
    """The ids of the releases; some may be gone."""
    entries = {entry.settings.entry for entry in registry.allowlist().entries}
    entries.update(each.entry for each in next_boot.all_of(registry))
    return {name for entry in entries.union(config.menu.entries) if (name := release_of(entry))}
