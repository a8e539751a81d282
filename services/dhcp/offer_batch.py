"""When offers leave: those of one batch together, once the boots that they belong to are written down."""

from collections.abc import Callable

Leave = Callable[[], None]


class OfferBatch:
    """`commit` writes down; `failed` is called while that is handled, with who asked, when an offer could not leave."""

    def __init__(self, commit: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._commit = commit
        self._failed = failed
        self._gathering = False
        self.waiting: dict[bytes, tuple[str, Leave]] = {}
        """What has not left yet, by the client's hardware address."""

    def gather(self) -> None:
        """From now on offers wait for `leave_all`."""
        self._gathering = True

    def add(self, chaddr: bytes, whom: str, leave: Leave) -> None:
        """`leave` sends it: with the others of the batch, or at once when none is being worked on."""
        if self._gathering:
            self.waiting[chaddr] = whom, leave
        else:
            leave()

    def leave(self) -> None:
        """Send what has gathered; all of it stays when the boots cannot be written down, for nobody is to be offered
        one that a restart would not know."""
        leaving = list(self.waiting.values())
        self.waiting.clear()
        try:
            self._commit()
        except Exception:
            for whom, _ in leaving:
                self._failed(whom)
            return
        for whom, leave in leaving:
            try:
                leave()
            except Exception:
                self._failed(whom)

    def leave_all(self) -> None:
        """The batch is done."""
        self.leave()
        self._gathering = False
