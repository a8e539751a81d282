"""Who gets a canary, as people write it: a MAC address, a range, a label, or `1-per-label`, which is also written
`1 per label`. PURE."""

import re
from collections.abc import Iterable, Sequence

from appliance.allowlist import Allowlist
from appliance.config.selection import names
from appliance.errors import UserError
from image.names import DEFAULT
from services.ethernet import MacAddress, MacRange

_EACH = re.compile(r"([1-9][0-9]{0,3})[- ]per[- ]label")
NOTHING = "nothing was changed"
"""How the messages end."""
_KINDS = 'write a MAC address, a range of them, a label as in `allow list`, or "1-per-label"'


def choose(
    wanted: Sequence[str], allowlist: Allowlist, clients: Sequence[MacAddress], image: str = DEFAULT
) -> list[MacRange]:
    """The ranges that these words mean. `clients` are the PCs that have booted, those first that are best for a trial;
    `image` is the one of which the canary is a release. Raises UserError for words that mean nobody who boots it."""
    own = [mac for mac in clients if allowlist.image_of(mac) == image]
    found: dict[MacRange, None] = {}
    for words in wanted:
        found.update(dict.fromkeys(_ranges(words.strip(), allowlist, own, image)))
    return list(found)


def can_be_tried(image: str, allowlist: Allowlist, clients: Iterable[MacAddress]) -> bool:
    """Whether any PC that has booted here boots this image: else nobody can try it, and nobody is harmed by it."""
    return image == DEFAULT or any(allowlist.image_of(mac) == image for mac in clients)


def overlaps(span: MacRange, allowlist: Allowlist, image: str) -> bool:
    """Whether anybody in this range may boot, and boots this image."""
    if any(mac in allowlist and allowlist.image_of(mac) == image for mac in (span.first, span.last)):
        return True
    return any(
        span.first <= entry.range.last and entry.range.first <= span.last and (entry.settings.image or DEFAULT) == image
        for entry in allowlist.entries
    )


def _ranges(words: str, allowlist: Allowlist, clients: Sequence[MacAddress], image: str) -> list[MacRange]:
    boots = "may boot" if image == DEFAULT else f"boots the image {image}"
    if each := _EACH.fullmatch(words):
        found = list(_some_of_each(int(each[1]), allowlist, clients))
        if not found:
            raise UserError(f"{words}: no PC that {boots} has ever done so; {NOTHING}", _KINDS)
        return found
    labelled = [entry for entry in allowlist.entries if names(words, entry.label)]
    if labelled:
        ranges = [entry.range for entry in labelled if (entry.settings.image or DEFAULT) == image]
        if not ranges:
            raise UserError(f"no PC of {words} boots the image {image}; {NOTHING}", _KINDS)
        return ranges
    try:
        span = MacRange.parse(words)
    except ValueError:
        raise UserError(f"{words!r} is no label, and no MAC address or range; {NOTHING}", _KINDS) from None
    if not overlaps(span, allowlist, image):
        own = "" if image == DEFAULT else f" --image {image}"
        raise UserError(f"nobody in {span} {boots}; {NOTHING}", f"netboot-appliance allow add {span}{own}")
    return [span]


def _some_of_each(many: int, allowlist: Allowlist, clients: Sequence[MacAddress]) -> Iterable[MacRange]:
    counts: dict[str, int] = {}
    for mac in clients:
        entry = allowlist.decide(mac)
        if entry is not None and (count := counts.get(entry.label, 0)) < many:
            counts[entry.label] = count + 1
            yield MacRange(mac, mac)
