"""A registry with two PCs whose boots have events, for the tests of `boots`, `events` and the API."""

from pathlib import Path

from appliance.journal.codec import encode, encode_state
from appliance.journal.timeline import Boot, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState, Client
from services.ethernet import MacAddress
from services.events import Discovered, Event, Offered, Reported, ScriptServed, TokenExchanged, TransferServed

ONE, OTHER = MacAddress(0x525400000001), MacAddress(0x525400000002)
BEGAN = 1_700_000_000.0
SECRETS = ("the token 1", "the token 2", "spent secret", "password 1", "password 2")
STORY: tuple[tuple[float, int, Event], ...] = (
    (0.0, 1, Discovered(ONE, 7, ipxe=False, xid=5, secs=0)),
    (0.1, 1, Offered(ONE, "snponly.efi", 67)),
    (2.0, 1, TransferServed(ONE, "tftp", "snponly.efi", 200_000, 1.0)),
    (3.0, 1, ScriptServed(ONE)),
    (5.0, 2, Discovered(OTHER, 7, ipxe=False, xid=6, secs=0)),
    (9.0, 2, ScriptServed(OTHER)),
    (30.0, 1, TokenExchanged(ONE, "spent secret")),
    (40.0, 1, Reported(ONE, "computing", {"hostid": "4711"})),
    (600.0, 2, Reported(OTHER, "failed", {"reason": "no root"})),
)


def fill(path: Path) -> None:
    """Boot 1 of ONE came to computing, boot 2 of OTHER failed: nine events."""
    with Registry(path) as registry, registry.transaction():
        for number, mac in ((1, ONE), (2, OTHER)):
            events = [(BEGAN + at, event) for at, boot, event in STORY if boot == number]
            began = events[0][0]
            boot = Boot(number, mac, began, f"the token {number}", "20261123-150102-1a2b3c4d", last_event=began)
            for at, event in events:
                boot = fold(boot, event, at)
            registry.register(Client(number, mac, began, f"password {number}"))
            registry.open_boot(BootRow(boot.id, mac, began, boot.token, boot.release, ""))
            state = BootState(boot.id, boot.last_event, str(boot.stage), boot.under_way, encode_state(boot))
            registry.save_states([state])
        registry.append_events((boot, BEGAN + at, type(event).__name__, encode(event)) for at, boot, event in STORY)
