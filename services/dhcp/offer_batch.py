"""The offers of one batch of requests leave together, once the boots they belong to are written down.

One commit for many boots: a room that is switched on at once would otherwise wait for a commit per PC.
"""

from collections.abc import Callable


class OfferBatch:
    """`commit` writes the boots down. `failed` is called inside the exception handler, with the address of the client,
    for each offer that could not be sent."""

    def __init__(self, commit: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._commit = commit
        self._failed = failed
        self._open = False
        self.waiting: dict[bytes, tuple[str, Callable[[], None]]] = {}
        """Offers that have not been sent yet, by the client's hardware address."""

    def begin(self) -> None:
        """From now on offers wait for `send` or `end`."""
        self._open = True

    def add(self, chaddr: bytes, client: str, send: Callable[[], None]) -> None:
        """`send` sends the offer: it is called with the others of the batch, or at once outside of a batch."""
        if self._open:
            self.waiting[chaddr] = client, send
        else:
            send()

    def send(self) -> None:
        """Send the offers that wait. When the boots cannot be written down, drop them instead: nobody is to be offered
        a boot that a restart would not know."""
        offers = list(self.waiting.values())
        self.waiting.clear()
        try:
            self._commit()
        except Exception:
            for client, _ in offers:
                self._failed(client)
            return
        for client, send in offers:
            try:
                send()
            except Exception:
                self._failed(client)

    def end(self) -> None:
        """Send the offers that wait; the batch is over."""
        self.send()
        self._open = False
