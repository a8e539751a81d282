"""What a PC would be told at its next boot, read from the disk: for `live show`, `menu show`, `config check` and the
doctor."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.config.live import FOR_ALL, LiveChoices
from appliance.errors import UserError
from appliance.live import choice, overlay
from appliance.live.choice import LiveWords
from appliance.live.host_keys import stored_secret
from appliance.live.host_name import host_name
from appliance.live.overlay import Overlay, OverlayChangedError
from appliance.live.settings_files import settings_files
from appliance.registry.database import Registry
from services.ethernet import MacAddress
from services.ssh.host_key import HostKey, host_key


@dataclass(frozen=True, slots=True)
class LivePreview:
    """`overlays`: each by its name, or what is wrong with it. `host_key`: None without SSH, or before the first PC with
    SSH has booted."""

    words: LiveWords
    chosen: LiveChoices
    overlays: dict[str, Overlay | UserError]
    host_key: HostKey | None


def preview(config: Config, registry: Registry, allowlist: Allowlist, mac: MacAddress) -> LivePreview:
    """What this PC would be told."""
    chosen = choice.choices(config, mac, allowlist.decide(mac))
    overlays = {name: _read(config, name) for name in choice.overlays(chosen)}
    secret = stored_secret(registry) if chosen.ssh_keys else ""
    name = host_name(config, allowlist, mac, registry.known, registry.clients_of)
    fetch = bool(settings_files(chosen, lambda: HostKey("", ""))) or any(
        isinstance(each, UserError) or each.files for each in overlays.values()
    )
    words = LiveWords(name, choice.zone(config, chosen), choice.boinc_proxy(config, chosen), fetch)
    return LivePreview(words, chosen, overlays, host_key(secret, mac) if secret else None)


def overlay_faults(config: Config) -> Iterator[UserError]:
    """What is wrong with the overlays of the configuration."""
    for name in config.live.overlays:
        if isinstance(found := _read(config, name), UserError):
            yield found
        elif name != FOR_ALL and not found.files:
            yield UserError(
                f"{config.live.directory / name}: PCs get this overlay by [live], but there is nothing in it",
                "put files into its directory files, and hooks into hooks",
            )


def _read(config: Config, name: str) -> Overlay | UserError:
    directory = config.live.directory / name
    try:
        return overlay.read(directory)
    except UserError as error:
        return error
    except OverlayChangedError:
        return UserError(f"{directory}: was changed while it was read", "look again")
