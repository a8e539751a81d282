"""Clients that are forgotten: because there are too many, or because a person asked for it.

Too many: who can load a file under made-up MAC addresses opens as many. What a person asks for is done by the running
server, which has the clients in its memory too; it learns of it as of any edit.

A PC that is forgotten boots as before. It gets another GUI RPC password, and its boots until then are no longer known;
its work, its daily figures and its place in the allowlist stay.
"""

from collections.abc import Iterable

from appliance.registry.database import Registry
from services.ethernet import MacAddress

MOST_UNPROVEN = 20_000
"""Clients whose live system has never come up, as far as their latest boot says: made up, or PCs that boot their own
disk from the menu."""

MOST_CLIENTS = 200_000
"""All clients: 2 kB of the registry each, and more for each boot."""

# Without a state the boot is an older version's, and nobody knows yet how far it came.
_UNPROVEN = "state != '' AND stage IN ('', 'discovered', 'offered', 'loader', 'script', 'kernel', 'initrd')"


def forget_clients(registry: Registry) -> set[int]:
    """Delete those heard longest ago, with their boots; returns their MAC addresses as numbers. Takes 0.1 s for a
    hundred thousand clients."""
    order = "AND mac IN (SELECT mac FROM clients) ORDER BY last_at DESC LIMIT -1 OFFSET ?"
    too_many = registry.sql.execute(
        f"SELECT mac FROM (SELECT mac FROM boots WHERE latest AND {_UNPROVEN} {order})"  # noqa: S608
        f" UNION SELECT mac FROM (SELECT mac FROM boots WHERE latest {order})",
        (MOST_UNPROVEN, MOST_CLIENTS),
    ).fetchall()
    gone = {mac for (mac,) in too_many}
    with registry.transaction():
        _delete(registry, gone)
    return gone


_TABLES = ("clients", "boots", "adaptations", "heartbeats", "orders", "credits")
_ASKED = "forget"


def ask(registry: Registry, mac: MacAddress) -> None:
    """Have the running server forget this client."""
    with registry.edit():
        registry.set_server(_ASKED, sorted({*asked(registry), mac.value}))


def asked(registry: Registry) -> set[int]:
    """The clients, by the numbers of their MAC addresses, that the server is to forget."""
    found = registry.server().get(_ASKED, [])
    return {each for each in found if type(each) is int} if isinstance(found, list) else set()


def forget(registry: Registry, numbers: Iterable[int]) -> None:
    """Delete these clients with all that is known of them, but for their daily figures; nothing is asked any more."""
    chosen = set(numbers)
    with registry.transaction():
        _delete(registry, chosen, (*_TABLES, "next_boots", "fallbacks", "wakes", "respites"))
        registry.sql.execute("DELETE FROM server WHERE key = ?", (_ASKED,))


def _delete(registry: Registry, numbers: Iterable[int], tables: Iterable[str] = _TABLES) -> None:
    rows = [(number,) for number in numbers]
    for table in tables:
        registry.sql.executemany(f"DELETE FROM {table} WHERE mac = ?", rows)  # noqa: S608 - names of ours
