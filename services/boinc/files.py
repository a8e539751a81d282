"""The files that make a PC's boinc-client attach to a project by itself and say who may connect to it.

PURE. Names and elements are those of Debian's boinc-client 7.20; sources: the BOINC wiki (PrefsOverride, Client
configuration) and the client itself. Does not touch the client's own state, which only the client may write.
"""

import io
import re
import tarfile
from dataclasses import dataclass, field, fields
from html import escape
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import urlsplit

_SECRET = re.compile(r"[!-~]{1,255}")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\.?")
_PATH = re.compile(r"[A-Za-z0-9._~%/-]*")
_URL_LIMIT = 255

_BOUNDS = {
    "suspend_cpu_usage": (0, 100),
    "max_ncpus_pct": (1, 100),
    "cpu_usage_limit": (1, 100),
    "ram_max_used_busy_pct": (1, 100),
    "ram_max_used_idle_pct": (1, 100),
    "disk_max_used_gb": (0.1, 100_000),
    "work_buf_min_days": (0.01, 10),
    "work_buf_additional_days": (0, 10),
    "disk_interval": (10, 86_400),
    "start_hour": (0, 24),
    "end_hour": (0, 24),
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """How much of a PC is used, and when; each field is an element of global_prefs_override.xml.

    The defaults suit an idle office PC with a live system: nobody uses it, so it does not wait for idleness; its RAM
    also holds the live system's changes; its state is on a share; it may be switched off at any time, so it fetches
    little work in advance. Raises ValueError naming the field and what is allowed.
    """

    run_on_batteries: bool = True
    run_if_user_active: bool = True
    suspend_cpu_usage: float = 0
    """Suspend while other programs use more than this percentage of the CPU; 0: never."""
    max_ncpus_pct: float = 100
    cpu_usage_limit: float = 100
    """Percentage of the time during which the CPUs in use compute."""
    ram_max_used_busy_pct: float = 60
    ram_max_used_idle_pct: float = 60
    disk_max_used_gb: float = 10
    work_buf_min_days: float = 0.1
    work_buf_additional_days: float = 0.25
    disk_interval: float = 300
    """Least number of seconds between two checkpoints."""
    start_hour: float | None = None
    """Compute from this hour (the PC's clock) to `end_hour`, over midnight if that is lower; None: round the clock."""
    end_hour: float | None = None

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}: it must be from {lowest:g} to {highest:g}")
        if (self.start_hour is None) != (self.end_hour is None):
            raise ValueError("start_hour and end_hour belong together: set both or neither")
        if self.start_hour is not None and self.start_hour == self.end_hour:
            raise ValueError("start_hour equals end_hour: leave both out to compute round the clock")


@dataclass(frozen=True, slots=True)
class Account:
    """A BOINC project by its master URL, and the key of the account that the PCs compute for.

    The URL is normalised as BOINC does it: scheme and host in lower case, a final `/`. A weak account key
    (`userid_md5`) can only attach computers. Raises ValueError; its message never contains the key.
    """

    url: str
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _master_url(self.url))
        if not _SECRET.fullmatch(self.key):
            raise ValueError("the account key must be 1 to 255 printable ASCII characters without spaces")

    @property
    def address(self) -> IPv4Address | None:
        """The address in the URL, or None if it has a name there."""
        try:
            return IPv4Address(urlsplit(self.url).hostname or "")
        except AddressValueError:
            return None

    @property
    def file_name(self) -> str:
        """The name of the account file that the client looks for: the URL, escaped as the client does it."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", self.url.partition("://")[2])
        return f"account_{name.removesuffix('_')}.xml"


def render(
    account: Account | None,
    preferences: Preferences,
    gui_rpc_password: str,
    management_hosts: tuple[IPv4Address, ...],
) -> dict[str, bytes]:
    """The files of the client's data directory by name.

    Without an account the client starts and waits, attached to nothing. Everybody needs `gui_rpc_password` to connect;
    of other machines only `management_hosts` may connect at all. Raises ValueError for a password that is empty (which
    the client would take as "no password") or that its file cannot hold.
    """
    if not _SECRET.fullmatch(gui_rpc_password):
        raise ValueError("the GUI RPC password must be 1 to 255 printable ASCII characters without spaces")
    files = {
        "cc_config.xml": _CC_CONFIG,
        "global_prefs_override.xml": _preferences_xml(preferences),
        "gui_rpc_auth.cfg": f"{gui_rpc_password}\n",
        "remote_hosts.cfg": "".join(f"{host}\n" for host in sorted(set(management_hosts))),
    }
    if account is not None:
        files[account.file_name] = (
            f"<account>\n<master_url>{escape(account.url, quote=False)}</master_url>\n"
            f"<authenticator>{escape(account.key, quote=False)}</authenticator>\n</account>\n"
        )
    return {name: text.encode("ascii") for name, text in sorted(files.items())}


def archive(files: dict[str, bytes], uid: int, gid: int) -> bytes:
    """A tar of the files, mode 0600, owned by `uid` and `gid`; the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(files.items()):
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
                raise ValueError(f"{name!r} cannot be put into the archive: it is not a plain file name")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o600
            member.uid, member.gid = uid, gid
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


# The image has no graphics drivers, and the PCs may be able to reach only the project on the Internet.
_CC_CONFIG = """\
<cc_config>
<log_flags>
<file_xfer>1</file_xfer>
<sched_ops>1</sched_ops>
<task>1</task>
</log_flags>
<options>
<dont_contact_ref_site>1</dont_contact_ref_site>
<no_gpus>1</no_gpus>
<no_info_fetch>1</no_info_fetch>
</options>
</cc_config>
"""


def _preferences_xml(preferences: Preferences) -> str:
    lines = []
    for name in (entry.name for entry in fields(preferences)):
        value: bool | float | None = getattr(preferences, name)
        if value is not None:
            lines.append(f"<{name}>{_number(value)}</{name}>\n")
    return "<global_preferences>\n" + "".join(lines) + "</global_preferences>\n"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0")


def _master_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not a project URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{url!r} is not a project URL: it must begin with http:// or https://")
    if not _HOST.fullmatch(host):
        raise ValueError(f"{url!r} is not a project URL: BOINC wants a host name with a dot, or an IPv4 address")
    if "@" in parts.netloc or parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
        raise ValueError(f"{url!r} is not a project URL: after the host only a plain path may follow, no user, ? or #")
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    normal = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"
    if len(normal) > _URL_LIMIT:
        raise ValueError(f"the project URL has {len(normal)} characters: BOINC takes {_URL_LIMIT}")
    return normal
