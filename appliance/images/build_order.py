"""What the unit that builds is asked for, as a line of JSON: build_unit.py passes it on."""

import json
from dataclasses import dataclass

from image.build import Rebuild
from image.names import check_name


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """A build of these images, or of all if `names` is empty. `since`: packages that another build has renewed at or
    after this time, in seconds since the epoch, are not renewed again; 0: only those that this build renews."""

    rebuild: Rebuild = Rebuild.NEVER
    names: tuple[str, ...] = ()
    since: float = 0.0


def encode(order: BuildOrder) -> str:
    """The order as text."""
    return json.dumps({"rebuild": order.rebuild.value, "names": order.names, "since": order.since})


def decode(text: str) -> BuildOrder:
    """Read an order; raises ValueError for what is none."""
    try:
        found = json.loads(text)
        names = tuple(check_name(name) for name in found["names"])
        return BuildOrder(Rebuild(found["rebuild"]), names, float(found["since"]))
    except (TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("it is no order for a build") from error
