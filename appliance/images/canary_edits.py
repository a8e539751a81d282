"""What people do with canaries, for verbs, page and API: begin one, promote it, cancel it.

Only to promote one needs root, who makes it the active release; the rest is in the registry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.config.file import Config
from appliance.errors import NotFoundError, OvertakenError, UserError
from appliance.images import canary_choice, rollout_table
from appliance.images.rollout import Canary, Ending, Proof, end
from appliance.registry.database import Registry
from image import activation, release
from image.release import ReleaseError
from services.ethernet import MacRange

USUAL_PROOF = Proof(3600.0)
"""All PCs that boot it compute within an hour."""

_NOTHING = "nothing was changed"


@dataclass(frozen=True, slots=True)
class BegunCanary:
    """`base` is the release that all others boot, `ranges` are those that get the canary; `warning`: what its signature
    lacks, in words, or empty."""

    base: str
    ranges: Sequence[MacRange]
    warning: str = ""


def begin(
    config: Config, registry: Registry, ident: str, wanted: Sequence[str], proof: Proof, now: float
) -> BegunCanary:
    """Begin a canary: `ident` for those that these words mean (canary_choice.py). Raises UserError."""
    try:
        found = release.read(config.images, ident)
        active = release.current(config.images, found.image)
        warning = activation.assert_usable(config.images, ident, config.key_ring).warning
    except ReleaseError as error:
        there = release.is_id(ident) and (config.images / ident).is_dir()
        raise (OvertakenError if there else NotFoundError)(str(error), error.hint) from error
    if active is None:
        raise UserError("no release is active, so there is nothing to go back to", f"without --canary: {_NOTHING}")
    if active.id == found.id:
        raise UserError(
            f"{ident} is the active release already; {_NOTHING}", "choose one: netboot-appliance image list"
        )
    _refuse_second(registry)
    ranges = canary_choice.choose(wanted, registry.allowlist(), rollout_table.heard_last(registry), found.image)
    with registry.edit():
        # To read a release takes a second, in which another page may have begun one.
        _refuse_second(registry)
        rollout_table.begin(registry, ident, active.id, ", ".join(wanted), ranges, proof, now)
    return BegunCanary(active.id, ranges, warning)


def _refuse_second(registry: Registry) -> None:
    if running := rollout_table.open_canary(registry):
        raise OvertakenError(
            f"{running.release} is a canary already, and only one can be; {_NOTHING}",
            "end it: netboot-appliance image canary promote, or cancel",
        )


def cancel(registry: Registry, now: float) -> Canary:
    """End the canary that is open; returns it. Raises NotFoundError."""
    canary = end(find_open(registry), Ending.CANCELLED, "by hand", now)
    rollout_table.keep(registry, canary)
    return canary


def find_open(registry: Registry) -> Canary:
    """The canary that is open; raises NotFoundError."""
    canary = rollout_table.open_canary(registry)
    if canary is None:
        raise NotFoundError(
            f"no canary is open; {_NOTHING}", "begin one: netboot-appliance image activate ID --canary MAC"
        )
    return canary
