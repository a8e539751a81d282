"""What people choose for a PC's next boot, checked before the registry keeps it (next_boot.py)."""

from appliance.allowlist import BootSettings
from appliance.boot import next_boot
from appliance.boot.preview import preview
from appliance.config.file import Config
from appliance.config.menu import check_entry
from appliance.errors import UserError
from appliance.registry.database import Registry
from services.ethernet import MacAddress

_NOTHING = "nothing was changed"


def check(entry: str) -> None:
    """Raises UserError for what cannot be an entry of any menu."""
    try:
        check_entry(entry)
    except ValueError as error:
        raise UserError(str(error), _NOTHING) from None


def choose(config: Config, registry: Registry, mac: MacAddress, entry: str) -> None:
    """Have the next boot of this PC start `entry`; raises UserError if it may not boot, or could not start that."""
    check(entry)
    allowlist = registry.allowlist()
    if mac not in allowlist:
        raise UserError(f"{mac} is not allowed; {_NOTHING}", f"netboot-appliance allow add {mac}")
    decided = preview(config, BootSettings(image=allowlist.image_of(mac)), entry)
    if decided.menu.default != entry:
        raise UserError(next((m for m in decided.missing if m.startswith(entry)), entry), _NOTHING)
    next_boot.ask(registry, mac, entry)
