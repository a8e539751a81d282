"""The numbers of the clients' NFS exports: given when a client first needs one, and taken from those away longest.

NFS-Ganesha knows 65535, and a path must keep its number as long as it is exported (services/nfs/exports.py). Only
clients whose boots are in memory can have exports, so a number is taken from another one.
"""

from collections.abc import Container
from dataclasses import replace

from appliance.registry.database import Registry
from appliance.registry.records import Client
from appliance.registry.sql_errors import SqlError
from services.ethernet import MacAddress
from services.nfs.exports import LARGEST_NUMBER

MOST_NUMBERS = LARGEST_NUMBER - 1
"""One is that of the images."""

_AT_ONCE = 500


class ExportNumbers:
    """Numbers that can be given."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._last = registry.highest()[0]
        self._taken: dict[MacAddress, int] = {}
        self._free: list[int] = []

    def give(self, in_memory: Container[MacAddress]) -> int:
        """A number that no client has, or 0 if there is none. Clients `in_memory` keep theirs."""
        if self._last < MOST_NUMBERS:
            self._last += 1
            return self._last
        if not self._free:
            try:
                clients = self._registry.clients_away_longest(len(self._taken) + _AT_ONCE)
            except SqlError:
                return 0
            for client in clients:
                if client.mac not in in_memory and client.mac not in self._taken:
                    self._taken[client.mac] = client.number
                    self._free.append(client.number)
        return self._free.pop() if self._free else 0

    def checked(self, client: Client) -> Client:
        """A client as the registry has it, without a number that was taken from it."""
        return replace(client, number=0) if client.mac in self._taken else client

    def write_taken(self) -> None:
        """Delete the numbers from the clients that had them, before others are written with them."""
        if self._taken:
            self._registry.take_numbers(self._taken)

    def written(self) -> None:
        """What `write_taken` wrote is committed."""
        self._taken.clear()
