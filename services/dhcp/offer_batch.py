"""The offers of one batch of requests leave together, after one commit of the boots they belong to.

A room that is switched on at once would otherwise wait for a commit per PC. A registry that cannot be written does not
hold offers back: the commit then returns without an error, and the boots are saved later.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

_Offer = TypeVar("_Offer")


class OfferBatch(Generic[_Offer]):
    """`commit` saves the boots, `send` sends offers, which all leave by the same port. `failed` is called inside the
    exception handler, with the address of the client, for each offer that is dropped because `commit` raised."""

    def __init__(
        self, commit: Callable[[], None], send: Callable[[Sequence[_Offer]], None], failed: Callable[[str], None]
    ) -> None:
        self._commit = commit
        self._send = send
        self._failed = failed
        self._open = False
        self.waiting: dict[bytes, tuple[str, _Offer]] = {}
        """Offers that have not been sent yet, by the client's hardware address."""

    def begin(self) -> None:
        """From now on offers wait for `send` or `end`."""
        self._open = True

    def add(self, chaddr: bytes, client: str, offer: _Offer) -> None:
        """Send the offer: with the others of the batch, or at once outside of a batch."""
        if self._open:
            self.waiting[chaddr] = client, offer
        else:
            self._send([offer])

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
        self._send([offer for _, offer in offers])

    def end(self) -> None:
        """Send the offers that wait; the batch is over."""
        self.send()
        self._open = False
