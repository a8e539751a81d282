"""Sections of the configuration that a running server cannot change: its sockets rest on them."""

from collections.abc import Iterable, Mapping
from typing import Any

from appliance.config.file import Config, plain

FIXED = ("server", "dhcp", "tftp", "boot")


def fixed(config: Config) -> dict[str, Any]:
    """These sections as plain values, by their names. There is no secret in them."""
    return {name: plain(getattr(config, name)) for name in FIXED}


def changed(started: Mapping[str, Any], config: Config) -> list[str]:
    """The names of the sections that differ from those that a server has `started` with."""
    after = fixed(config)
    return [name for name in FIXED if started.get(name) != after[name]]


def in_words(names: Iterable[str]) -> str:
    """The names for people: `[server] and [dhcp]`."""
    return " and ".join(f"[{name}]" for name in names)
