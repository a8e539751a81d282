"""How the page asks root's helper (appliance/exports/work_root_helper.py) to set the work of a PC aside.

The request names a PC, and nothing else.
"""

import secrets
from collections.abc import Callable
from pathlib import Path

from appliance.errors import OvertakenError
from appliance.root_requests.answer import decode_request, encode_words
from appliance.root_requests.desk import Desk, can_ask, desk
from services.ethernet import MacAddress

DESK = desk("work", "work-request")

SECONDS = 50.0
"""Root's helper waits for the end of the export, which takes a few seconds, for WITHDRAWN_WITHIN at most."""

WITHDRAWN_WITHIN = 30.0


def available(configuration: Path) -> bool:
    """Whether root's helper can be asked: this process is the unit of systemd, with the configuration of the helper."""
    return can_ask(configuration)


def ask(mac: MacAddress, accepted: Callable[[], None], at: Desk = DESK) -> str:
    """Have the work of this PC set aside; returns what was done, in words. Nothing is changed before root has accepted
    that; then `accepted` is called, which must end the export. Blocks for up to SECONDS. Raises UserError, and what
    `accepted` raises."""
    answer = at.ask(encode(mac, secrets.token_hex(8)), SECONDS, accepted)
    if answer.error:
        raise OvertakenError(answer.error, answer.hint)
    return answer.done


def encode(mac: MacAddress, once: str = "") -> bytes:
    """The request; `once` makes two requests for the same PC differ."""
    return encode_words({"mac": str(mac), "once": once})


def decode(content: bytes) -> MacAddress:
    """Read a request; raises ValueError for anything that `encode` does not write."""
    text, _ = decode_request(content, "mac")
    mac = MacAddress.parse(text)
    if str(mac) != text:
        raise ValueError(f"{text!r} must be written {mac}")
    return mac
