"""[live]: what PCs are told at each boot, so that no image has to be built for it."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from appliance.config import selection
from appliance.config.boinc import CertificateFile, proxy_of
from services import host_names
from services.boinc.files import Proxy
from services.linux import time_zone
from services.ssh.public_keys import SshPublicKey

DEFAULT_DIRECTORY = Path("/etc/netboot-appliance/live")
FOR_ALL = "all"
"""The overlay of all PCs."""
MOST_EXCEPTIONS = 64
"""[[live.exceptions]]"""
MOST_KEYS = 32
MOST_OVERLAYS = 4
"""Overlays of one PC, beside the one of all."""

_OVERLAY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_KEYBOARD = re.compile(r"[a-z]{2,12}(/[a-z0-9_-]{1,32})?")


class HostNamePattern(str):
    """A pattern of host names, such as "pc-{mac}". Raises ValueError."""

    __slots__ = ()

    def __new__(cls, pattern: str) -> Self:
        """Check the pattern."""
        return super().__new__(cls, host_names.check(pattern))


@dataclass(frozen=True)
class LiveChoices:
    """What [live] and its exceptions can say; None: nothing.

    `time_zone` is a name of tzdata; "" is the server's own. `host_name` is a pattern (services/host_names.py).
    `keyboard` is a layout of XKB, or LAYOUT/VARIANT. `proxy`: http://[USER:PASSWORD@]HOST:PORT, also for BOINC unless
    [boinc] names another; `no_proxy` are hosts that are reached without it. `ca_file` holds certificates that programs
    trust beside Debian's. With `ssh_keys` the PC lets root in by SSH with these. `overlay`: directories beside "all",
    the last one counts most.
    """

    time_zone: str | None = None
    host_name: HostNamePattern | None = None
    keyboard: str | None = None
    proxy: str | None = None
    no_proxy: tuple[str, ...] | None = None
    ca_file: CertificateFile | None = None
    ssh_keys: tuple[SshPublicKey, ...] | None = None
    overlay: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        time_zone.check(self.time_zone or "")
        if self.keyboard and not _KEYBOARD.fullmatch(self.keyboard):
            raise ValueError('keyboard: write a layout of XKB, or LAYOUT/VARIANT: "de" or "de/nodeadkeys"')
        if len(self.ssh_keys or ()) > MOST_KEYS:
            raise ValueError(f"ssh_keys: at most {MOST_KEYS}")
        if len(self.overlay or ()) > MOST_OVERLAYS:
            raise ValueError(f"overlay: at most {MOST_OVERLAYS} directories")
        for name in self.overlay or ():
            if not _OVERLAY.fullmatch(name) or name == FOR_ALL:
                raise ValueError(f'overlay: {name!r} is not the name of a directory beside "{FOR_ALL}"')
        _ = self.web_proxy

    @property
    def web_proxy(self) -> Proxy | None:
        """The proxy, or None."""
        return proxy_of(self.proxy or "", self.no_proxy or ())

    def over(self, others: "LiveChoices") -> "LiveChoices":
        """These choices, and those of `others` where these say nothing. A proxy has exceptions of its own."""
        own = {each.name: getattr(self, each.name) for each in dataclasses.fields(LiveChoices)}
        if own["proxy"] is not None:
            own["no_proxy"] = own["no_proxy"] or ()
        return LiveChoices(**{name: getattr(others, name) if own[name] is None else own[name] for name in own})


@dataclass(frozen=True)
class LiveFor(LiveChoices):
    """[[live.exceptions]]: what some PCs are told; what is not set is as in [live]."""

    for_: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.for_:
            raise ValueError('for is missing: write for = ["52:54:00:*", "a label"]')
        selection.check(self.for_)


@dataclass(frozen=True)
class LiveSettings(LiveChoices):
    """[live]. `directory` has the overlays: a directory each, with `files` for the root and `hooks` to run."""

    directory: Path = DEFAULT_DIRECTORY
    exceptions: tuple[LiveFor, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.directory.is_absolute():
            raise ValueError("directory: write an absolute path")
        if len(self.exceptions) > MOST_EXCEPTIONS:
            raise ValueError(f"exceptions: at most {MOST_EXCEPTIONS}")

    @property
    def overlays(self) -> tuple[str, ...]:
        """The names of all overlays that PCs may get."""
        named = (name for each in (self, *self.exceptions) for name in each.overlay or ())
        return tuple(dict.fromkeys((FOR_ALL, *named)))

    @property
    def secret(self) -> bool:
        """Whether a proxy here has a password."""
        return any("@" in (each.proxy or "") for each in (self, *self.exceptions))
