"""The time zone of this host, by its name in tzdata. Where systemd keeps it: localtime(5); TZ: tzset(3)."""

import contextlib
import os
import re
from pathlib import Path

DATABASE = Path("/usr/share/zoneinfo")

# Names such as America/Port-au-Prince and Etc/GMT+3. None leads out of the database.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,2}")


def is_known(name: str) -> bool:
    """Whether tzdata on this host has a time zone of that name."""
    return bool(_NAME.fullmatch(name)) and (DATABASE / name).is_file()


def check(name: str) -> None:
    """Raise ValueError, about a setting `time_zone`, if tzdata on this host has no zone of that name; empty: any."""
    if name and not is_known(name):
        raise ValueError(f"time_zone: this server knows no zone {name!r}: see timedatectl list-timezones")


def of_this_host(localtime: Path = Path("/etc/localtime"), timezone: Path = Path("/etc/timezone")) -> str:
    """The name of this host's time zone; empty if it has none that tzdata knows."""
    named = [os.environ.get("TZ", "").removeprefix(":")]
    with contextlib.suppress(OSError):  # a copy instead of a link
        named.append(str(localtime.readlink()).rpartition("/zoneinfo/")[2])
    with contextlib.suppress(OSError):  # not every system has it
        named.append(timezone.read_text(errors="replace").strip())
    return next((name for name in named if is_known(name)), "")
