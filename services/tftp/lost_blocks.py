"""Which clients get blocks of 512 bytes because larger ones do not reach them. PURE; times are monotonic seconds.

A tunnel, or a switch on the way, may carry less than the interfaces at both ends, and say nothing of what it drops.
Then a client agrees to a block size, acknowledges that, and hears nothing more. The size cannot be changed within a
transfer. So the client's next request gets blocks of 512 bytes, which fit into the smallest packet that every IPv4 host
has to take (576).

Only the client's own silence says so, and silence can be forged: whoever sends a request and the ACK of its options in
a PC's name looks like a PC behind such a tunnel. Therefore:

- A request alone counts for nothing; neither does a transfer whose options were not acknowledged.
- A PC that acknowledged a block as large within the last hour is believed more than any silence after that. One that
  does so later has its large blocks back at once.
- What silence brings lasts five minutes: time for a PC to try again. It lasts a day only if the PC then takes a whole
  loader in small blocks, each of which a forger would have to acknowledge blindly and in time. After that day larger
  blocks are tried again.

The worst that is left is a loader that takes as long as it takes clients that ask for no larger blocks.
"""

from collections import OrderedDict
from typing import TypeVar

from services.tftp.transfer import DEFAULT_BLOCK

SENT = 2
"""How many times a block leaves before its loss counts; at least a second of silence follows."""

LOWERED_SECONDS = 300.0
"""How long a client gets small blocks after its silence. PXE ROMs and EDK2 give up within a minute and start anew."""

CONFIRMED_SECONDS = 86_400.0
"""How long it does if it then read a whole loader: it should not fail first at each of its boots."""

CONFIRMING_BLOCKS = 64
"""Blocks that a file must have for that. The smallest loader, PXELINUX, has 80."""

CARRIED_SECONDS = 3600.0
"""How long a large block that was acknowledged speaks for the way."""

MOST_CLIENTS = 4096
"""Clients that are remembered for each of the two, of some 200 bytes. The oldest are forgotten."""


_Known = TypeVar("_Known")


class LostBlocks:
    """Clients by their IPv4 address, as in services/linux/udp_batches.py, whatever their port."""

    def __init__(self) -> None:
        self._lowered: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()  # until when, and whether confirmed
        self._carried: OrderedDict[bytes, tuple[float, int]] = OrderedDict()  # until when, and how large a block

    def limit(self, client: bytes, largest: int, now: float) -> int:
        """The largest block for the next transfer, in bytes, if the way takes `largest`."""
        lowered = self._lowered.get(client)
        if lowered is None:
            return largest
        if now >= lowered[0]:
            del self._lowered[client]
            return largest
        return min(largest, DEFAULT_BLOCK)

    def lost(self, client: bytes, block: int, now: float) -> None:
        """Take note that the client took the options and is silent since a block of this size was sent SENT times."""
        carried_until, carried = self._carried.get(client, (now, 0))
        if block > DEFAULT_BLOCK and (block > carried or now >= carried_until):
            until, confirmed = self._lowered.get(client, (now, False))
            if now >= until or not confirmed:
                _remember(self._lowered, client, (now + LOWERED_SECONDS, False))

    def carried(self, client: bytes, block: int, now: float) -> None:
        """Take note that the client acknowledged a block of this size."""
        if block > DEFAULT_BLOCK:
            self._lowered.pop(client, None)
            _remember(self._carried, client, (now + CARRIED_SECONDS, block))

    def served(self, client: bytes, blocks: int, now: float) -> bool:
        """Take note that the client has read a whole file of so many blocks. Returns whether that shows for the first
        time that small blocks reach it, and large ones do not."""
        lowered = self._lowered.get(client)
        if lowered is None or lowered[1] or now >= lowered[0] or blocks < CONFIRMING_BLOCKS:
            return False
        self._lowered[client] = (now + CONFIRMED_SECONDS, True)
        return True


def _remember(table: OrderedDict[bytes, _Known], client: bytes, what: _Known) -> None:
    table[client] = what
    table.move_to_end(client)
    if len(table) > MOST_CLIENTS:
        table.popitem(last=False)
