"""A boot that has come to its ramdisk, for the tests of the views."""

from ipaddress import IPv4Address

from appliance.journal.timeline import Boot, fold
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Offered, ScriptServed, TransferProgressed, TransferServed

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
RELEASE = "20261123-150102-1a2b3c4d"


def loading(mac: MacAddress = MAC, began: float = 1000.0) -> Boot:
    """A third of the ramdisk is with the PC, 3.5 s after it was switched on."""
    boot = Boot(1, mac, began, "the token", RELEASE, last_event=began)
    for after, event in (
        (0.0, Discovered(mac, 7, ipxe=False, xid=5, secs=0)),
        (0.01234, Offered(mac, "snponly.efi", 67)),
        (2.0, TransferServed(mac, "tftp", "snponly.efi", 200_000, 1.0)),
        (3.0, ScriptServed(mac)),
        (3.1, AddressSeen(mac, IPv4Address("10.77.0.5"))),
        (3.5, TransferProgressed(mac, "http", f"image/{RELEASE}/initrd.img", 10, 30)),
    ):
        boot = fold(boot, event, began + after)
    return boot
