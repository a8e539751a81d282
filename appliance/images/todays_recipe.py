"""Whether a release is what `image build` would make today, of this configuration and by this version; if not, why not.

Compares recipes. Whether Debian has newer packages is another question, for `image build --update`.
"""

from collections.abc import Iterator
from dataclasses import fields

from appliance.config.file import Config
from image.build import digest_today
from image.recipe import ImageRecipe
from image.release import Release

CURE = "sudo netboot-appliance image build"
"""Builds what the configuration says, or takes it if it is there already, and makes it the active one."""


def outdated(config: Config, active: Release | None) -> str:
    """Why the active release is not of today's recipe, in words; empty if it is, if there is none, or if there is no
    configuration that can be read. Takes some ms."""
    recipe = config.image.recipe
    if active is None or not config.written or active.digest == digest_today(recipe):
        return ""
    changed = "; ".join(_changes(active.recipe, recipe))
    return changed or "another version of netboot-appliance built it"


def _changes(then: ImageRecipe, now: ImageRecipe) -> Iterator[str]:
    """What the configuration says now, and what it was built with."""
    for field in fields(ImageRecipe):
        old, new = getattr(then, field.name), getattr(now, field.name)
        if old != new:
            yield f"[image] {field.name} is {_words(new)}, and it was built with {_words(old)}"


def _words(value: object) -> str:
    """A value as the configuration file has it."""
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(map(_words, value))}]"
    return f'"{value}"'
