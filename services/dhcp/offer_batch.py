"""The offers of one batch of requests leave together, after one commit of the boots they belong to.

A room that is switched on at once would otherwise wait for a commit per PC. A registry that cannot be written does not
hold offers back: the commit then returns without an error, and the boots are saved later.
"""

from collections.abc import Callable


class OfferBatch:
    """`commit` saves the boots. `failed` is called inside the exception handler, with the address of the client,
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
        """Send the waiting offers. If `commit` raises, which is a bug, drop them."""
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
