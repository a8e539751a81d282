"""Whom the PCs compute for: projects, or an account manager that names them. PURE.

Names and elements are those of Debian's boinc-client 7.20; sources: the BOINC wiki and the client itself.
"""

import hashlib
import re
from dataclasses import dataclass, field
from html import escape
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import urlsplit

from services.boinc.preferences import number

SECRET = re.compile(r"[!-~]{1,255}")
"""What a key or a password may consist of."""
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\.?")
"""A host that BOINC accepts in a URL."""
HASH = re.compile(r"[0-9a-f]{32}")
"""The login hash of an account manager."""
MANAGER_FILES = ("acct_mgr_login.xml", "acct_mgr_url.xml")
"""The files that attach a client to an account manager."""
MOST_SHARE = 1_000_000

_WEAK = re.compile(r"[0-9]+_[0-9a-f]{32}")
_PATH = re.compile(r"[A-Za-z0-9._~%/-]*")
_URL_LIMIT = 255
_LONGEST_NAME = 100
"""Characters of a name in a tar archive (ustar)."""


@dataclass(frozen=True, slots=True)
class Account:
    """A BOINC project by its master URL, and the key of the account that the PCs compute for.

    The URL is normalised as BOINC does it: scheme and host in lower case, a final `/`. A weak account key
    (`userid_md5`) can only attach computers. `resource_share` is the project's part of the computing, beside those of
    other projects; 0: only while no other project has work; None: what the account's preferences on the project's
    website say, which win over the number here once the project has been reached. Raises ValueError; its message never
    contains the key.
    """

    url: str
    key: str = field(repr=False)
    resource_share: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", master_url(self.url))
        if len(self.file_name) > _LONGEST_NAME:
            raise ValueError(f"{self.url!r} is not a project URL: it is too long for the name of a file")
        if not SECRET.fullmatch(self.key):
            raise ValueError("the account key must be 1 to 255 printable ASCII characters without spaces")
        if self.resource_share is not None and not 0 <= self.resource_share <= MOST_SHARE:
            raise ValueError(f"resource_share is {self.resource_share}: it must be from 0 to {MOST_SHARE:,}")

    @property
    def weak(self) -> bool:
        """Whether the key has the form of a weak one."""
        return bool(_WEAK.fullmatch(self.key))

    @property
    def usual(self) -> bool:
        """Whether the key has the form that BOINC's server gives keys."""
        return bool(_WEAK.fullmatch(self.key) or HASH.fullmatch(self.key))

    @property
    def address(self) -> IPv4Address | None:
        """The address in the URL, or None if it has a name there."""
        return address_in(self.url)

    @property
    def file_name(self) -> str:
        """The name of the account file that the client looks for: the URL, escaped as the client does it."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", self.url.partition("://")[2])
        return f"account_{name.removesuffix('_')}.xml"

    @property
    def xml(self) -> str:
        """The text of the account file."""
        share = ""
        if self.resource_share is not None:
            share = (
                f"<project_preferences>\n<resource_share>{number(self.resource_share)}</resource_share>\n"
                "</project_preferences>\n"
            )
        return (
            f"<account>\n<master_url>{escape(self.url, quote=False)}</master_url>\n"
            f"<authenticator>{escape(self.key, quote=False)}</authenticator>\n{share}</account>\n"
        )


@dataclass(frozen=True, slots=True)
class AccountManager:
    """A server that tells the clients which projects to join: BAM!, Science United, one of your own.

    `login_hash` is what the client sends in place of the password. The client brings its own answer into its files, so
    they have no more than what attaches it. Raises ValueError, without the hash.
    """

    url: str
    login: str
    login_hash: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", master_url(self.url))
        if not SECRET.fullmatch(self.login):
            raise ValueError("the login name must be 1 to 255 printable ASCII characters without spaces")
        if not HASH.fullmatch(self.login_hash):
            raise ValueError("the login hash must be 32 hexadecimal digits in lower case")

    @property
    def address(self) -> IPv4Address | None:
        """The address in the URL, or None if it has a name there."""
        return address_in(self.url)

    @property
    def files(self) -> dict[str, str]:
        """The texts of MANAGER_FILES by name."""
        return {
            "acct_mgr_login.xml": (
                f"<acct_mgr_login>\n<login>{escape(self.login, quote=False)}</login>\n"
                f"<password_hash>{self.login_hash}</password_hash>\n</acct_mgr_login>\n"
            ),
            "acct_mgr_url.xml": (
                f"<acct_mgr>\n<name></name>\n<url>{escape(self.url, quote=False)}</url>\n</acct_mgr>\n"
            ),
        }


def login_hash(login: str, password: str) -> str:
    """What a client sends to an account manager in place of the password (ACCT_MGR_OP in BOINC's client)."""
    return hashlib.md5((password + login.lower()).encode(), usedforsecurity=False).hexdigest()


def address_in(url: str) -> IPv4Address | None:
    """The IPv4 address in a URL, or None if it has a name there."""
    try:
        return IPv4Address(urlsplit(url).hostname or "")
    except AddressValueError:
        return None


def master_url(url: str) -> str:
    """The URL as BOINC writes it; raises ValueError if BOINC could not use it."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not a project URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{url!r} is not a project URL: it must begin with http:// or https://")
    if not HOST.fullmatch(host):
        raise ValueError(f"{url!r} is not a project URL: BOINC wants a host name with a dot, or an IPv4 address")
    if "@" in parts.netloc or parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
        raise ValueError(f"{url!r} is not a project URL: after the host only a plain path may follow, no user, ? or #")
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    normal = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"
    if len(normal) > _URL_LIMIT:
        raise ValueError(f"the project URL has {len(normal)} characters: BOINC takes {_URL_LIMIT}")
    return normal
