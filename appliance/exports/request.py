"""What the server and root's helper tell each other about exports: a request and its answer, as JSON. PURE codec.

The request comes from a process that root does not trust: `decode` accepts exactly what `encode` writes.
`appliance.exports.grants` checks what is asked for, `appliance.exports.mailbox` opens the files.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from typing import Any

from appliance.exports.grants import MOST_GRANTS, ExportGrant
from services.ethernet import MacAddress

LARGEST = 4 << 20
"""Bytes in a request or an answer: enough for MOST_GRANTS clients with a few addresses each."""

HEARD_SECONDS = 300.0
"""For how long root's helper remembers a packet: of a client to the NFS ports, or of somebody else at its address."""

MOST_CLAIMS = 100
"""Claims in an answer."""

_VERSION = 4
_MOST_ADDRESSES = 4 * MOST_GRANTS


@dataclass(frozen=True, slots=True)
class ExportAnswer:
    """The outcome of a request, which is named by its `digest`. After an `error`, do not assume that it is in force.

    `heard`: the seconds since a packet came to the NFS ports from a granted address and the MAC address that it is
    granted to, if that was within HEARD_SECONDS. `claims`: a granted address and the MAC address of somebody else who
    used it within that time; at most MOST_CLAIMS. Both are what was known when the request arrived. `left_out` says in
    words which directories could not be exported, though all others are.
    """

    request: str
    backend: str = ""
    why: str = ""
    changed: bool = False
    directories: int = 0
    error: str = ""
    hint: str = ""
    heard: Mapping[str, float] = field(default_factory=dict)
    claims: tuple[tuple[str, str], ...] = ()
    left_out: str = ""


def digest(content: bytes) -> str:
    """What a request is called in its answer: its SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Who is to have exports. `configuration` is the digest of the one that the server has accepted; "" is any."""

    grants: tuple[ExportGrant, ...]
    configuration: str = ""


def encode(grants: Sequence[ExportGrant], once: str, configuration: str = "") -> bytes:
    """A request; `once` makes it differ from earlier ones for the same grants. Raises ValueError if it is too large."""
    clients = [
        {
            "mac": str(grant.mac),
            "number": grant.number,
            "addresses": [str(address) for address in grant.addresses],
            "live": grant.live,
            "pinned": grant.pinned,
        }
        for grant in grants
    ]
    content = json.dumps(
        {"version": _VERSION, "once": once, "configuration": configuration, "clients": clients}
    ).encode()
    if len(content) > LARGEST or sum(len(grant.addresses) for grant in grants) > _MOST_ADDRESSES:
        raise ValueError(f"the exports of {len(grants)} clients are too much for one request")
    return content


def decode(content: bytes) -> ExportRequest:
    """Read a request; raises ValueError, which says where, for anything that `encode` does not write."""
    if len(content) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST} bytes")
    try:
        request = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    version, once, configuration, clients = _fields(
        "the request", request, version=int, once=str, configuration=str, clients=list
    )
    if version != _VERSION:
        raise ValueError(f"it has version {version}, but root's helper reads version {_VERSION}: restart the server")
    if not re.fullmatch(r"([0-9a-f]{64})?", configuration):
        raise ValueError("configuration is not a SHA-256 in hex")
    if len(once) > 100 or len(clients) > MOST_GRANTS:
        raise ValueError(f"it is for more than {MOST_GRANTS} clients")
    grants = tuple(_grant(client) for client in clients)
    if sum(len(grant.addresses) for grant in grants) > _MOST_ADDRESSES:
        raise ValueError(f"it has more than {_MOST_ADDRESSES} addresses")
    return ExportRequest(grants, configuration)


def encode_answer(answer: ExportAnswer) -> bytes:
    """The answer; people can read it too."""
    return json.dumps(asdict(answer), indent=1).encode() + b"\n"


def decode_answer(content: bytes) -> ExportAnswer:
    """Read an answer; raises ValueError for anything that `encode_answer` does not write."""
    if len(content) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST} bytes")
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    request, backend, why, changed, directories, error_, hint, heard, claims, left_out = _fields(
        "the answer",
        answer,
        request=str,
        backend=str,
        why=str,
        changed=bool,
        directories=int,
        error=str,
        hint=str,
        heard=dict,
        claims=list,
        left_out=str,
    )
    if len(heard) > _MOST_ADDRESSES or len(claims) > MOST_CLAIMS:
        raise ValueError(f"it has more than {_MOST_ADDRESSES} addresses or {MOST_CLAIMS} claims")
    return ExportAnswer(
        request,
        backend,
        why,
        changed,
        directories,
        error_,
        hint,
        dict(map(_heard, heard.items())),
        tuple(map(_claim, claims)),
        left_out,
    )


def _grant(client: object) -> ExportGrant:
    mac, number, addresses, live, pinned = _fields(
        "a client", client, mac=str, number=int, addresses=list, live=bool, pinned=bool
    )
    try:
        grant = ExportGrant(
            MacAddress.parse(mac), number, tuple(IPv4Address(_text(address)) for address in addresses), live, pinned
        )
    except ValueError as error:
        raise ValueError(f"one of its clients: {str(error)[:200]}") from None
    if str(grant.mac) != mac:
        raise ValueError(f"one of its clients: {mac!r} must be written {grant.mac}")
    return grant


def _heard(pair: tuple[str, object]) -> tuple[str, float]:
    address, seconds = pair
    if type(seconds) is not float or not math.isfinite(seconds) or not 0 <= seconds <= HEARD_SECONDS:
        raise ValueError("the seconds since a packet are not a number from 0 on")
    return str(IPv4Address(address)), seconds


def _claim(pair: object) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError("a claim is not an address and a MAC address")
    address, mac = map(_text, pair)
    return str(IPv4Address(address)), str(MacAddress.parse(mac))


def _fields(what: str, value: object, **kinds: type) -> list[Any]:
    """The values of an object that has exactly these keys, each of exactly this type (True is not an int)."""
    if not isinstance(value, dict) or set(value) != set(kinds):
        raise ValueError(f"{what} is not an object of {', '.join(kinds)}")
    for key, kind in kinds.items():
        if type(value[key]) is not kind:
            raise ValueError(f"{key} of {what} is not a {kind.__name__}")
    return [value[key] for key in kinds]


def _text(value: object) -> str:
    # IPv4Address would accept a number, too.
    if not isinstance(value, str):
        raise ValueError("an address is not text")
    return value
