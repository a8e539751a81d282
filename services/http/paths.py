"""What a request path asks for. PURE.

The path is matched as it was sent, without decoding: every name we hand out is plain, so a `%` only comes from somebody
who looks for a way around these patterns.
"""

import re
from dataclasses import dataclass

from services.ethernet import MacAddress
from services.values import value

# RFC 9112, 3.2.2: a server has to accept it too. Whatever the host in it, only what is asked for here counts.
_ABSOLUTE = re.compile(r"http://[^/?#]*(?=/)", re.IGNORECASE)
_TOKEN = r"[A-Za-z0-9_-]{1,128}"  # noqa: S105 - a pattern
_NAME = r"(?!\.)[A-Za-z0-9._-]{1,128}"  # no hidden files, so neither `.` nor `..`
_BOOT = re.compile(r"/boot/([0-9A-Fa-f]{12})/(.*)", re.DOTALL)
_LOADER = re.compile(rf"loader/({_NAME})")
_IMAGE = re.compile(rf"image/({_NAME})/(vmlinuz|(?:microcode|initrd)\.img|live/{_NAME}\.squashfs)")
_ENTRY = re.compile(r"menu/([a-z0-9-]{1,64})\.ipxe")
_ARCHIVE = re.compile(rf"({_TOKEN})/boinc\.tar")
_REPORT = re.compile(rf"({_TOKEN})/report")
_EXCHANGE = re.compile(rf"({_TOKEN})/exchange")
_HEARTBEAT = re.compile(rf"({_TOKEN})/heartbeat")
_LIVE = re.compile(rf"({_TOKEN})/live(?:/([0-9a-f]{{64}})\.tar)?")


@dataclass(frozen=True, slots=True)
class ScriptUrl:
    """The boot script."""

    def __str__(self) -> str:
        return "boot.ipxe"


@dataclass(frozen=True, slots=True)
class EntryScript:
    """The boot script of one menu entry, by its key."""

    key: str

    def __str__(self) -> str:
        return f"menu/{self.key}.ipxe"


@dataclass(frozen=True, slots=True)
class AutoexecUrl:
    """The script that iPXE looks for beside itself when it starts."""

    def __str__(self) -> str:
        return "autoexec.ipxe"


@dataclass(frozen=True, slots=True)
class LoaderFile:
    """A boot loader, for firmware that boots by HTTP; in events it has the same name as by TFTP."""

    file: str

    def __str__(self) -> str:
        return self.file


@dataclass(frozen=True, slots=True)
class ImageUrl:
    """The kernel, a ramdisk or the live system of a release; `file` is its path in the release."""

    release: str
    file: str

    def __str__(self) -> str:
        return f"image/{self.release}/{self.file}"


@dataclass(frozen=True, slots=True)
class Archive:
    """The BOINC files of one boot. As text, which is for logs, the token is left out."""

    token: str

    def __str__(self) -> str:
        return "boinc.tar"


@dataclass(frozen=True, slots=True)
class ReportUrl:
    """Where the live system of one boot reports. As text, which is for logs, the token is left out."""

    token: str

    def __str__(self) -> str:
        return "report"


@dataclass(frozen=True, slots=True)
class ExchangeUrl:
    """Where the live system of one boot exchanges its token. As text, which is for logs, the token is left out."""

    token: str

    def __str__(self) -> str:
        return "exchange"


@dataclass(frozen=True, slots=True)
class HeartbeatUrl:
    """Where the live system of one boot says how it is. As text, which is for logs, the token is left out."""

    token: str

    def __str__(self) -> str:
        return "heartbeat"


@dataclass(frozen=True, slots=True)
class LiveListUrl:
    """The list of the archives for the root of one boot. As text, which is for logs, the token is left out."""

    token: str

    def __str__(self) -> str:
        return "live"


@dataclass(frozen=True, slots=True)
class LiveArchiveUrl:
    """One of these archives, by its SHA-256. As text, which is for logs, the token is left out."""

    token: str
    digest: str

    def __str__(self) -> str:
        return f"live/{self.digest[:16]}.tar"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing we hand out. The path is not logged: a mistyped one may hold a token."""

    def __str__(self) -> str:
        return "unknown path"


Target = (
    ScriptUrl
    | AutoexecUrl
    | EntryScript
    | LoaderFile
    | ImageUrl
    | Archive
    | ReportUrl
    | ExchangeUrl
    | HeartbeatUrl
    | LiveListUrl
    | LiveArchiveUrl
    | Unknown
)


@value
class BootUrl:
    """What a path asks for; `claimed` is the MAC address in it, if any."""

    claimed: MacAddress | None
    target: Target


_SCRIPT = ScriptUrl()


def parse(path: str) -> BootUrl:
    """Read a raw request path, with or without its query, or a whole URL; never fails."""
    path = path.partition("?")[0]
    if not path.startswith("/") and (host := _ABSOLUTE.match(path)):
        path = path[host.end() :]
    boot = _BOOT.fullmatch(path)
    if boot is None:
        return BootUrl(None, Unknown())
    return BootUrl(MacAddress.parse(boot[1]), _target(boot[2]))


def _target(rest: str) -> Target:
    if rest == "boot.ipxe":
        return _SCRIPT
    if rest == "loader/autoexec.ipxe":
        return AutoexecUrl()
    if entry := _ENTRY.fullmatch(rest):
        return EntryScript(entry[1])
    if loader := _LOADER.fullmatch(rest):
        return LoaderFile(loader[1])
    if image := _IMAGE.fullmatch(rest):
        return ImageUrl(image[1], image[2])
    if archive := _ARCHIVE.fullmatch(rest):
        return Archive(archive[1])
    if report := _REPORT.fullmatch(rest):
        return ReportUrl(report[1])
    if exchange := _EXCHANGE.fullmatch(rest):
        return ExchangeUrl(exchange[1])
    if heartbeat := _HEARTBEAT.fullmatch(rest):
        return HeartbeatUrl(heartbeat[1])
    if live := _LIVE.fullmatch(rest):
        return LiveArchiveUrl(live[1], live[2]) if live[2] else LiveListUrl(live[1])
    return Unknown()
