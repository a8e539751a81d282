"""Clients, boots and refusals as the registry holds them, read strictly from its rows: each function raises ValueError.
PURE."""

from dataclasses import dataclass
from typing import Any

from appliance.registry.rows import mac, moment, text, whole
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class Client:
    """A MAC address that has loaded something at least once. `number` is that of its NFS exports, small and unique; 0:
    it has had none yet."""

    number: int
    mac: MacAddress
    first_seen: float
    gui_rpc_password: str


@dataclass(frozen=True, slots=True)
class BootRow:
    """What was decided when a boot began, and `state`: what its events have made of it (appliance/journal/codec.py),
    or empty."""

    id: int
    mac: MacAddress
    started: float
    token: str
    release: str
    inherited: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class BootState:
    """What the events have made of a boot. `stage` and `under_way` (it has still to come to computing) are in `state`
    too, but here SQL can see them."""

    id: int
    last_at: float
    stage: str
    under_way: bool
    state: str


@dataclass(frozen=True, slots=True)
class IgnoredRow:
    """How often, and when, one service refused one client for one reason. `sender`: the address that the requests came
    from, with its MAC address where that is known. With an empty `client`: what this sender asked under other names."""

    client: str
    service: str
    reason: str
    first_at: float
    last_at: float
    count: int
    sender: str = ""
    sender_mac: str = ""


@dataclass(frozen=True, slots=True)
class BootCounts:
    """The latest boots: of `clients`, and of `newcomers`, which have been offered something and have loaded nothing."""

    clients: int
    newcomers: int


def client(row: tuple[Any, ...]) -> Client:
    """From the columns number, mac, first_seen, gui_rpc_password."""
    number, address, first_seen, password = row
    return Client(whole(number or 0), mac(address), moment(first_seen), text(password))


def boot_row(row: tuple[Any, ...]) -> BootRow:
    """From the columns id, mac, started, token, release, inherited, state."""
    ident, address, started, *words = row
    return BootRow(whole(ident), mac(address), moment(started), *map(text, words))


def ignored_row(row: tuple[Any, ...]) -> IgnoredRow:
    """From the columns client, service, reason, first_at, last_at, count, sender, sender_mac."""
    client, service, reason, first_at, last_at, count, *sender = row
    times = moment(first_at), moment(last_at)
    return IgnoredRow(text(client), text(service), text(reason), *times, whole(count), *map(text, sender))
