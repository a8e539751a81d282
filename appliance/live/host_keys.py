"""The secret from which the PCs' SSH host keys are made. It is in the registry, and so in a backup."""

import secrets

from appliance.registry.database import Registry

_NAME = "ssh_host_keys"


def stored_secret(registry: Registry) -> str:
    """The secret; empty before the first key was made."""
    return str(registry.server().get(_NAME, ""))


def secret(registry: Registry) -> str:
    """The secret; made if there is none."""
    if found := stored_secret(registry):
        return found
    made = secrets.token_urlsafe(32)
    registry.set_server(_NAME, made)
    return made
