"""[notify]: who is told what happened, by which way, and which rules are on. Values only. PURE.

What an address of apprise's means is known where apprise is: appliance/control/notify/sending.py. Here is only checked
what can be seen without it, since `serve` reads this file too.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Literal, Self

from appliance.schedules.weekly import DAYS, WeeklyWindow

MOST_ADDRESSES = 20
MOST_QUIET = 16
LONGEST_ADDRESS = 2048
"""Characters: long enough for the tokens of any service."""

_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9]{0,31})://[^\s]+")
_WEEKLY = re.compile(r"([A-Za-z]{3}) ([01]?[0-9]|2[0-3]):([0-5][0-9])")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class NotifyAddress(str):
    """A plain mail address, or a URL of apprise's such as `ntfys://ntfy.example.org/room`. Raises ValueError, which
    does not repeat it: a URL may hold a token."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the text."""
        known = _MAIL.fullmatch(text) or _URL.fullmatch(text)
        if not known or len(text) > LONGEST_ADDRESS or not text.isascii():
            raise ValueError("write a mail address, or a URL of apprise's such as ntfys://ntfy.example.org/room")
        if text.lower().startswith(("http://", "https://")):
            raise ValueError("a web address: write json:// or jsons:// for a webhook, or apprise's name of the service")
        return super().__new__(cls, text)

    @property
    def mail(self) -> bool:
        """Whether it is a plain mail address, which needs [notify.mail]."""
        return "://" not in self

    @property
    def key(self) -> str:
        """What stands for it in the registry: a URL may hold a token, so it is not repeated there."""
        return hashlib.sha256(self.encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """Its name for people, without what may be a token."""
        return str(self) if self.mail else f"{self.split(':', 1)[0].lower()}://… ({self.key[:4]})"


class WeeklyMoment(str):
    """A moment of each week, `Mon 08:00`; empty: none. Raises ValueError."""

    __slots__ = ("day", "minute")
    day: int
    minute: int

    def __new__(cls, text: str) -> Self:
        """Read the text."""
        new = super().__new__(cls, text)
        new.day = new.minute = 0
        if not text:
            return new
        found = _WEEKLY.fullmatch(text)
        if found is None or found[1].capitalize() not in DAYS:
            raise ValueError('write a day and a time, as "Mon 08:00", or "" for none')
        new.day, new.minute = DAYS.index(found[1].capitalize()), 60 * int(found[2]) + int(found[3])
        return new

    def latest(self, now: float, zone: tzinfo) -> float:
        """The last such moment up to `now`; both in seconds since the epoch."""
        here = datetime.fromtimestamp(now, zone)
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        for week in (0, 7):
            day = midnight - timedelta((here.weekday() - self.day) % 7 + week)
            moment = day.replace(hour=self.minute // 60, minute=self.minute % 60).timestamp()
            if moment <= now:
                return moment
        raise AssertionError("a week has passed twice")


@dataclass(frozen=True)
class MailSettings:
    """[notify.mail]: the mail server for plain addresses. `port` 0: the usual one for `encryption`. `from_`: the
    sender's address; empty: netboot-appliance at this host."""

    host: str = ""
    port: int = 0
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    from_: str = ""

    def __post_init__(self) -> None:
        if self.host and not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", self.host):
            raise ValueError("host: write a host name or an address; the port has a setting of its own")
        if not 0 <= self.port < 65536:
            raise ValueError("port: must be from 1 to 65535, or 0 for the usual one")
        if self.from_ and not _MAIL.fullmatch(self.from_):
            raise ValueError("from: write a plain mail address")
        if bool(self.user) != bool(self.password):
            raise ValueError("user: needs a password, and the password a user")
        if self.user and self.encryption == "none":
            raise ValueError('encryption: "none" would send the password in the clear')
        if not (self.user + self.password).isascii():
            raise ValueError("user: user and password must be ASCII")

    @property
    def effective_port(self) -> int:
        """The port to connect to."""
        return self.port or _PORTS[self.encryption]


@dataclass(frozen=True)
class RuleSettings:
    """[notify.rules]: what is told; 0, false, "off" and "" switch a rule off.

    `booted`: PCs that came up, "new": for the first time. `faults`: PCs that do not come up, or cannot compute.
    `silent`: minutes. `key_refused`: a project refuses the account key. `no_work`: hours for which PCs have found none,
    or a project was away. `task_errors`: the share of a day's tasks that failed, in per cent. `images`: built, failed,
    rolled back. `canary`: one was promoted or rolled back. `kept_work`: work of a forgotten PC is deleted in two days.
    `not_woken`: PCs that did not come when they were woken. `disk`: per cent in use. `network`: claimed addresses, new
    DHCP servers. `server`: the box itself. `digest`: when in a week, by the clock of the PCs.
    """

    booted: Literal["off", "new", "all"] = "new"
    faults: bool = True
    silent: int = 10
    key_refused: bool = True
    no_work: int = 6
    task_errors: int = 20
    images: bool = True
    canary: bool = True
    not_woken: bool = True
    kept_work: bool = True
    disk: int = 90
    network: bool = True
    server: bool = True
    digest: WeeklyMoment = field(default_factory=lambda: WeeklyMoment("Mon 08:00"))

    def __post_init__(self) -> None:
        for key, highest, unit in (
            ("silent", 10080, "minutes"),
            ("no_work", 720, "hours"),
            ("task_errors", 100, "per cent"),
            ("disk", 100, "per cent"),
        ):
            if not 0 <= getattr(self, key) <= highest:
                raise ValueError(f"{key}: must be from 0 (off) to {highest} {unit}")
        if 0 < self.silent < 3:
            raise ValueError("silent: at least 3 minutes: a PC sends one heartbeat a minute, and one may get lost")


@dataclass(frozen=True)
class NotifySettings:
    """[notify]. Nothing is told without `addresses`. `page`: the address of the page, for the links in notices; empty:
    this host's. `quiet`: times at which nothing is told; what is still so afterwards is told then."""

    addresses: tuple[str, ...] = ()
    page: str = ""
    quiet: tuple[WeeklyWindow, ...] = ()
    mail: MailSettings = field(default_factory=MailSettings)
    rules: RuleSettings = field(default_factory=RuleSettings)

    def __post_init__(self) -> None:
        if len(self.addresses) > MOST_ADDRESSES:
            raise ValueError(f"addresses: at most {MOST_ADDRESSES}")
        if len(set(self.addresses)) != len(self.addresses):
            raise ValueError("addresses: one appears twice")
        for number, text in enumerate(self.addresses, 1):
            try:
                NotifyAddress(text)
            except ValueError as error:
                raise ValueError(f"addresses: number {number}: {error}") from None
        if not self.mail.host and (mail := next((each for each in self.targets if each.mail), None)):
            raise ValueError(f'addresses: {mail} needs a mail server: [notify.mail] host = "mail.example.org"')
        if self.page and not re.fullmatch(r"https?://[^\s\"<>]{1,300}", self.page):
            raise ValueError("page: write the whole address, https://HOST:PORT/")
        if len(self.quiet) > MOST_QUIET:
            raise ValueError(f"quiet: at most {MOST_QUIET}")

    @property
    def targets(self) -> tuple[NotifyAddress, ...]:
        """The addresses."""
        return tuple(map(NotifyAddress, self.addresses))

    @property
    def secret(self) -> bool:
        """Whether it holds anything that not everybody may read."""
        return bool(self.mail.password) or any(not address.mail for address in self.targets)
