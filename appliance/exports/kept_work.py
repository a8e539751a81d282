"""Work of PCs that was set aside: forgotten, kept for some days, and then deleted.

It is moved by a rename beside where it was: `volumes/.kept-MAC-SECONDS` is a file system in a file,
`state/.kept-MAC-SECONDS` a plain directory; SECONDS is when, since the epoch. No export and no mount leads there. The
caller is root. Every function blocks, and raises UserError, ProgramError and OSError: then nothing was changed.
"""

import contextlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import NotFoundError, UserError
from appliance.exports import kept_list
from appliance.exports.forgotten_work import DAYS
from appliance.exports.volumes import Volume, locked, recover
from services.ethernet import MacAddress
from services.linux import atomic_file, tree_copy, volumes

_NAME = re.compile(r"\.kept-([0-9a-f]{12})-([0-9]{1,12})")


@dataclass(frozen=True, slots=True)
class KeptWork:
    """Work of this PC, set aside at `at` (seconds since the epoch). `places`: its file system, its directory, or
    both."""

    mac: MacAddress
    at: int
    places: tuple[Path, ...]

    @property
    def until(self) -> int:
        """When it may be deleted."""
        return self.at + DAYS * 86400

    def used(self) -> int:
        """Bytes on the disk."""
        return sum(tree_copy.occupied(each) if each.is_dir() else each.stat().st_blocks * 512 for each in self.places)


def find(config: Config) -> list[KeptWork]:
    """All that is kept, by MAC address; of one PC the latest first."""
    found: dict[tuple[str, int], list[Path]] = {}
    for folder in (config.volumes, config.state):
        if folder.is_dir():
            for path in folder.iterdir():
                if parts := _NAME.fullmatch(path.name):
                    found.setdefault((parts[1], int(parts[2])), []).append(path)
    kept = [KeptWork(MacAddress.parse(name), at, tuple(places)) for (name, at), places in found.items()]
    return sorted(kept, key=lambda each: (each.mac, -each.at))


def find_of(config: Config, mac: MacAddress) -> list[KeptWork]:
    """What is kept of this PC, the latest first; raises NotFoundError if there is none."""
    found = [each for each in find(config) if each.mac == mac]
    if not found:
        raise NotFoundError(f"no work of {mac} is kept", "see what is: sudo netboot-appliance clients kept")
    return found


def note(config: Config) -> None:
    """Write anew what everybody may know of it (kept_list.py)."""
    kept_list.write(config, ((each.mac, each.at) for each in find(config)))


def set_aside(config: Config, mac: MacAddress, now: float) -> KeptWork:
    """Move the work of this PC, which nobody may use or export, aside. `now` is in seconds since the epoch. Raises
    NotFoundError if it has none."""
    with locked(config, mac.bare):
        if kept := _set_aside(_unused(config, mac), mac, int(now)):
            note(config)
            return kept
    raise NotFoundError(f"{mac} has no work here", "see: sudo netboot-appliance state list")


def restore(config: Config, mac: MacAddress, now: float) -> KeptWork | None:
    """Give this PC its latest work that was set aside back. What it has computed since, which nobody may use or export,
    is set aside in its turn, and returned."""
    with locked(config, mac.bare):
        volume = _unused(config, mac)
        wanted = find_of(config, mac)[0]
        present = _set_aside(volume, mac, int(now))
        for place in wanted.places:
            place.rename(volume.directory if place.parent == config.state else volume.image)
            atomic_file.sync_directory(place.parent)
        note(config)
        return present


def purge(config: Config, kept: KeptWork) -> None:
    """Delete it for good."""
    with locked(config, kept.mac.bare):
        for place in kept.places:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        note(config)


def _unused(config: Config, mac: MacAddress) -> Volume:
    volume = Volume(config, mac.bare)
    recover(volume)
    mounted = str(volume.real) in volumes.mounts()
    if mounted and not (volume.image.exists() and volumes.unmount(volume.real)):
        raise UserError(f"{volume.directory} is in use, or you mounted it", f"umount {volume.directory}", code=1)
    return volume


def _set_aside(volume: Volume, mac: MacAddress, at: int) -> KeptWork | None:
    taken = {each.at for each in find(volume.config) if each.mac == mac}
    while at in taken:
        at += 1
    name = f".kept-{mac.bare}-{at}"
    moved = []
    # The directory beneath a file system that is not mounted is empty.
    with contextlib.suppress(OSError):
        volume.directory.rmdir()
    for place in (volume.image, volume.directory):
        if place.exists():
            moved.append(place.rename(place.with_name(name)))
            atomic_file.sync_directory(place.parent)
    return KeptWork(mac, at, tuple(moved)) if moved else None
