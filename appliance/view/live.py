"""What a PC is told at its next boot, for people and scripts: `live show` and its --json. Secrets are left out."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.allowlist import Entry
from appliance.errors import UserError
from appliance.live.archive import HOOKS
from appliance.live.overlay import Overlay
from appliance.live.preview import LivePreview
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class RootFileView:
    """A file of the PC's root. `mode` is octal; `link`: where it leads, or empty; `size` in bytes."""

    path: str
    mode: str
    size: int
    link: str


@dataclass(frozen=True, slots=True)
class OverlayView:
    """An overlay: its files and its hooks, or why it cannot be used and what to do: then both are empty."""

    name: str
    files: tuple[RootFileView, ...]
    hooks: tuple[str, ...]
    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class LiveView:
    """`time_zone` is empty for UTC, `proxy` is HOST:PORT. `host_key` is the fingerprint of the PC's key, or empty, and
    `known_hosts` its line for that file."""

    mac: str
    allowed_by: str
    host_name: str
    time_zone: str
    keyboard: str
    proxy: str
    no_proxy: tuple[str, ...]
    ca_file: str
    ssh_keys: tuple[str, ...]
    host_key: str
    known_hosts: str
    overlays: tuple[OverlayView, ...]


def live_view(mac: MacAddress, entry: Entry, found: LivePreview) -> LiveView:
    """What the PC is told; `entry` is that of the allowlist that decides for it."""
    chosen, proxy, key = found.chosen, found.chosen.web_proxy, found.host_key
    return LiveView(
        mac=str(mac),
        allowed_by=f"{entry.range} {entry.label}".rstrip(),
        host_name=found.words.name,
        time_zone=found.words.zone,
        keyboard=chosen.keyboard or "",
        proxy=f"{proxy.host}:{proxy.port}" if proxy else "",
        no_proxy=proxy.exceptions if proxy else (),
        ca_file=str(chosen.ca_file or ""),
        ssh_keys=tuple(each.shown for each in chosen.ssh_keys or ()),
        host_key=key.fingerprint if key else "",
        known_hosts=f"{found.words.name} {key.public}" if key else "",
        overlays=tuple(_overlay(name, each) for name, each in found.overlays.items()),
    )


def _overlay(name: str, found: Overlay | UserError) -> OverlayView:
    if isinstance(found, UserError):
        return OverlayView(name, (), (), found.message, found.hint)
    return OverlayView(name, tuple(_files(found)), found.hooks, "", "")


def _files(found: Overlay) -> Iterator[RootFileView]:
    for path, file in sorted(found.files.items()):
        if not file.directory and not path.startswith(f"{HOOKS}/"):
            yield RootFileView(f"/{path}", f"{file.mode:04o}", len(file.content), file.link)
