"""A registry of a hundred thousand PCs that have booted, as the server leaves it."""

from ipaddress import IPv4Address
from pathlib import Path

from appliance.journal.codec import encode, encode_state
from appliance.journal.timeline import Boot, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Offered, Reported, ScriptServed, TransferServed

FIRST = 0x525400000000


def boot_of(number: int, at: float) -> tuple[BootRow, list[tuple[float, Event]]]:
    """The boot of PC `number`, and its events: it computes."""
    mac = MacAddress(FIRST + number)
    events: list[Event] = [
        Discovered(mac, 7, ipxe=False, xid=number, secs=0, fingerprint="PXEClient 7"),
        Offered(mac, f"{mac.bare}/snponly.efi", 67),
        TransferServed(mac, "tftp", "snponly.efi", 300_000, 0.4),
        AddressSeen(mac, IPv4Address("10.0.0.1") + number),
        ScriptServed(mac),
        TransferServed(mac, "http", "image/r/vmlinuz", 9_000_000, 1.0),
        TransferServed(mac, "http", "image/r/initrd.img", 90_000_000, 9.0),
        Reported(mac, "root-mounted"),
        Reported(mac, "reported"),
        Reported(mac, "computing", {"hostid": str(number)}),
    ]
    row = BootRow(number, mac, at, f"token-{number}", "r", "")
    return row, [(at + second, event) for second, event in enumerate(events)]


def fill(path: Path, pcs: int, at: float) -> None:
    """Write them. All have the same state: what differs is in their rows."""
    row, events = boot_of(1, at)
    boot = Boot(row.id, row.mac, row.started, row.token, row.release, last_event=row.started)
    for when, event in events:
        boot = fold(boot, event, when)
    state = encode_state(boot)
    texts = [(type(event).__name__, encode(event)) for _, event in events]
    with Registry(path, durable=False) as registry, registry.transaction():
        registry.sql.executemany(
            "INSERT INTO clients (mac, number, first_seen, gui_rpc_password) VALUES (?, ?, ?, 'secret')",
            ((FIRST + n, n - pcs + 65534 if n > pcs - 65534 else None, at) for n in range(1, pcs + 1)),
        )
        registry.sql.executemany(
            "INSERT INTO boots (id, mac, started, token, release, inherited, latest, last_at, stage, under_way, state)"
            " VALUES (?, ?, ?, 'token', 'r', '', 1, ?, ?, ?, ?)",
            ((n, FIRST + n, at, at + n / 1000, str(boot.stage), boot.under_way, state) for n in range(1, pcs + 1)),
        )
        registry.sql.executemany(
            "INSERT INTO events (boot, at, kind, details) VALUES (?, ?, ?, ?)",
            ((n, at, kind, text) for n in range(1, pcs + 1) for kind, text in texts[:3]),
        )
        registry.sql.executemany(
            "INSERT INTO adaptations VALUES (?, 'PXEClient 7', 'standard', 1, '', 1.0)",
            ((FIRST + n,) for n in range(1, pcs + 1)),
        )
