"""Which PCs' work is set aside, in a file that everybody may read: `status`, the doctor, the page and the notices.

Only root can look where the work is (kept_work.py). So root writes `state/.forgotten.json` whenever it has set work
aside, given it back or deleted it, and once a day. It says nothing that the directories do not say; what is lost of it
is written again.
"""

import contextlib
import json
from collections.abc import Iterable

from appliance.config.file import Config
from appliance.exports.forgotten_work import ForgottenWork
from services.ethernet import MacAddress
from services.linux import atomic_file

_FILE = ".forgotten.json"
_LARGEST = 1 << 20
_LATEST = 100_000_000_000
"""In the year 5138: a clock that was far wrong must not make a time that has no words."""


def write(config: Config, kept: Iterable[tuple[MacAddress, int]]) -> None:
    """Keep which there is: of whom, and since when. On a full disk the list stays as it was: that must not keep work
    from being set aside."""
    text = json.dumps([{"mac": str(mac), "at": at} for mac, at in kept])
    with contextlib.suppress(OSError):
        atomic_file.write(config.state / _FILE, text.encode())


def read(config: Config) -> tuple[ForgottenWork, ...]:
    """What is kept, that which is deleted first at the front; nothing if no list can be read."""
    try:
        with (config.state / _FILE).open("rb") as file:
            found = json.loads(file.read(_LARGEST))
        kept = (ForgottenWork(int(each["at"]), MacAddress.parse(each["mac"])) for each in found)
        return tuple(sorted(each for each in kept if 0 <= each.at < _LATEST))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return ()
