"""A registry of a hundred thousand PCs that have booted, as the server leaves it."""

from ipaddress import IPv4Address
from pathlib import Path

from appliance.allowlist import Entry
from appliance.journal.codec import encode, encode_state
from appliance.journal.timeline import Boot, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState, Client
from services.ethernet import MacAddress, MacRange
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


def fill(path: Path, pcs: int, at: float, *, folded: bool = True) -> None:
    """Write them. Not `folded`: as a version without states left them."""
    with Registry(path, durable=False) as registry:
        registry.allow([Entry(MacRange.parse("52:54:00:*"), "the rooms")])
        with registry.transaction():
            for number in range(1, pcs + 1):
                row, events = boot_of(number, at + number / 1000)
                boot = Boot(row.id, row.mac, row.started, row.token, row.release, last_event=row.started)
                for when, event in events:
                    boot = fold(boot, event, when)
                registry.register(Client(max(0, number - pcs + 65534), row.mac, row.started, "secret"))
                registry.open_boot(row)
                registry.append_events((row.id, when, type(event).__name__, encode(event)) for when, event in events)
                if folded:
                    state = encode_state(boot)
                    registry.save_states([BootState(row.id, boot.last_event, str(boot.stage), boot.under_way, state)])
