"""iPXE, in a network card's ROM or as the loader that the box sent.

From src/net/udp/dhcp.c: it takes a lease and a PXEClient offer as soon as it has both, and waits 2 s for the latter. An
offer with siaddr and a boot file is complete; without them it asks port 4011 of option 54, from port 68, for at most
2 s. Until 2015 only a boot menu (43.9) counted as complete. DISCOVERs come after 1, 2, 4 and 8 s.
"""

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import NOWHERE, firmware
from tests.zoo.firmware import Firmware, Options, ServerAnswer

PROXY_SECONDS = 2.0
_FEATURES = bytes.fromhex("b1050110ec81391301010101220101 01".replace(" ", ""))


class Ipxe(Firmware):
    """iPXE on a BIOS machine (architecture 0) or a UEFI machine (7)."""

    timeouts = (1, 2, 4, 8)
    request_timeouts = (0.25, 0.5, 1, 2, 4)
    ask_timeouts = (0.25, 0.5, 1, 0.25)
    file_options = {"blksize": 1432, "tsize": 0}  # noqa: RUF012 - never changed
    eager = True

    def __init__(self, mac: MacAddress, xid: int = 0x2000, *, architecture: int = 0) -> None:
        super().__init__(mac, xid)
        self.architecture = architecture

    def options(self) -> Options:
        return firmware(self.architecture, (77, b"iPXE"), (175, _FEATURES))

    def choose(self, now: float) -> tuple[ServerAnswer, ServerAnswer] | None:
        lease = next((offer for offer in self.offers if offer.is_lease), None)
        boot = next((offer for offer in self.offers if offer.vendor_class.startswith("PXEClient")), None)
        if lease and boot is None and now - self.began > PROXY_SECONDS:
            boot = lease
        return (lease, boot) if lease and boot else None

    def ask(self, boot: ServerAnswer) -> str:
        return "" if boot is self._lease or self.is_complete(boot) else boot.server

    def is_complete(self, boot: ServerAnswer) -> bool:
        """Whether it does not have to ask port 4011."""
        return 9 in boot.vendor_options or (boot.answer.siaddr != NOWHERE and bool(boot.file))


class IpxeOf2010(Ipxe):
    """iPXE before 2015."""

    def is_complete(self, boot: ServerAnswer) -> bool:
        return 9 in boot.vendor_options
