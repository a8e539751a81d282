"""The overlays: whether PCs get what is in them."""

from collections.abc import Sequence

from appliance.config.file import Config
from appliance.doctor.finding import Finding, ok, warning
from appliance.live.preview import overlay_faults


def check(config: Config) -> Sequence[Finding]:
    """Read all overlays, as the server does."""
    faults = [
        warning("live", each.message, "PCs get this overlay as it was, or not at all", each.hint)
        for each in overlay_faults(config)
    ]
    some = "the overlays can be used" if config.live.directory.exists() else "there are no overlays"
    return faults or [ok("live", f"{some} ({config.live.directory})")]
