"""The files that make a PC's boinc-client compute for somebody by itself, and say who may connect to it. PURE.

Names and elements are those of Debian's boinc-client 7.20; sources: the BOINC wiki (PrefsOverride, Client
configuration) and the client itself. Does not touch the client's own state, which only the client may write.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from ipaddress import IPv4Address

from services.boinc import preferences as prefs
from services.boinc.accounts import HOST, SECRET, Account, AccountManager, address_in
from services.boinc.preferences import Preferences

CA_FILE = "netboot-ca.crt"
"""The member of the archive with certificates to trust beside Debian's."""
TAG_FILE = "netboot-files-tag"
"""The member of the archive with the tag of the others."""
_NO_PROXY_LIMIT = 255
"""Characters that the client keeps of the list of exceptions (HTTP_OP::no_proxy_for_url)."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy for BOINC and its applications' files. `exceptions` are hosts that are reached without it, as they
    are written in URLs. Raises ValueError, without the password."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    exceptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in (self.user, self.password):
            if text and not SECRET.fullmatch(text):
                raise ValueError("user and password of a proxy must be printable ASCII characters without spaces")
        if self.password and not self.user:
            raise ValueError("the proxy has a password but no user")
        for host in self.exceptions:
            if not HOST.fullmatch(host):
                raise ValueError(f"{host!r} is not a host: write a name with a dot or an IPv4 address, without a port")
        if len(",".join(self.exceptions)) > _NO_PROXY_LIMIT:
            raise ValueError(f"the hosts have more than {_NO_PROXY_LIMIT} characters together: BOINC keeps no more")

    @property
    def address(self) -> IPv4Address | None:
        """The proxy's address, or None if it has a name."""
        return address_in(f"http://{self.host}/")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """All that the files of one PC say, but for its password. Either accounts or a manager, or neither: then the client
    starts and waits. `ca` is PEM text."""

    accounts: tuple[Account, ...] = ()
    manager: AccountManager | None = None
    preferences: Preferences = prefs.STANDARD
    management_hosts: tuple[IPv4Address, ...] = ()
    proxy: Proxy | None = None
    ca: str = ""


def render(settings: ClientSettings, gui_rpc_password: str) -> dict[str, bytes]:
    """The files of the client's data directory by name, and CA_FILE.

    Everybody needs `gui_rpc_password` to connect; of other machines only `management_hosts` may connect at all. Raises
    ValueError for a password that is empty (which the client would take as "no password") or that its file cannot hold.
    """
    if not SECRET.fullmatch(gui_rpc_password):
        raise ValueError("the GUI RPC password must be 1 to 255 printable ASCII characters without spaces")
    files = {
        "cc_config.xml": _CC_CONFIG.format(proxy="" if settings.proxy is None else _proxy_xml(settings.proxy)),
        "global_prefs_override.xml": prefs.render(settings.preferences),
        "gui_rpc_auth.cfg": f"{gui_rpc_password}\n",
        "remote_hosts.cfg": "".join(f"{host}\n" for host in sorted(set(settings.management_hosts))),
        **{account.file_name: account.xml for account in settings.accounts},
        **({} if settings.manager is None else settings.manager.files),
        **({CA_FILE: settings.ca} if settings.ca else {}),
    }
    return {name: text.encode("ascii") for name, text in sorted(files.items())}


def tag(files: Mapping[str, bytes]) -> str:
    """16 hexadecimal digits that change with any of the files."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def archive(files: Mapping[str, bytes], uid: int, gid: int) -> bytes:
    """A tar of the files and their tag, mode 0600, owned by `uid` and `gid`; the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted({**files, TAG_FILE: f"{tag(files)}\n".encode()}.items()):
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
                raise ValueError(f"{name!r} cannot be put into the archive: it is not a plain file name")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o600
            member.uid, member.gid = uid, gid
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


# The image has no graphics drivers, and the PCs may be able to reach only the project on the Internet. A PC may be
# switched off at any time, so results must not wait for the next request of work.
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
<report_results_immediately>1</report_results_immediately>
{proxy}</options>
</cc_config>
"""


def _proxy_xml(proxy: Proxy) -> str:
    elements = {
        "http_server_name": proxy.host,
        "http_server_port": str(proxy.port),
        "http_user_name": proxy.user,
        "http_user_passwd": proxy.password,
        "no_proxy": ",".join(proxy.exceptions),
    }
    lines = [f"<{name}>{escape(text, quote=False)}</{name}>\n" for name, text in elements.items() if text]
    return "<proxy_info>\n" + "".join(lines) + "</proxy_info>\n"
