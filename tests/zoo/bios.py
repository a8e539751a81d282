"""Plain BIOS: an Intel boot agent or a similar UNDI ROM, by the PXE specification 2.1, sections 2.2 and 2.3.

It gathers offers until the timeout of a DISCOVER is over. Where option 43 says "just boot the file" (6, bit 3) it loads
the file that it was offered. Some ask port 4011 nevertheless, from port 68 and with a boot item in option 43
(pixiecore#132). Without sub-option 6 a ROM looks for boot servers by broadcast and multicast, finds none and gives up.
"""

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import firmware
from tests.zoo.firmware import ClientMessage, Firmware, Options, ServerAnswer

_BOOT_ITEM = (43, bytes.fromhex("47 04 80 01 00 00 ff"))
_JUST_BOOT = 8
DEAF_SECONDS = 0.5


class Bios(Firmware):
    """`asks`: whether it asks port 4011."""

    file_options = {"blksize": 1456, "tsize": 0}  # noqa: RUF012 - never changed

    def __init__(self, mac: MacAddress, xid: int = 0x3000, *, asks: bool = False) -> None:
        super().__init__(mac, xid)
        self.asks = asks

    def options(self) -> Options:
        return firmware(0)

    def choose(self, now: float) -> tuple[ServerAnswer, ServerAnswer] | None:
        lease = next((offer for offer in self.offers if offer.is_lease), None)
        boots = [offer for offer in self.offers if offer.vendor_class.startswith("PXEClient") and self.can_boot(offer)]
        return (lease, boots[0]) if lease and boots else None

    def can_boot(self, offer: ServerAnswer) -> bool:
        """Whether it knows what to do with an offer."""
        return bool(offer.vendor_options.get(6, b"\0")[0] & _JUST_BOOT and offer.file)

    def ask(self, boot: ServerAnswer) -> str:
        return boot.server if self.asks else ""

    def ask_options(self, boot: ServerAnswer) -> Options:
        return [*self.options(), _BOOT_ITEM]


class DeafBios(Bios):
    """A ROM that resets its network card after each DISCOVER, and misses an instant answer. dnsmasq has
    dhcp-reply-delay for such ROMs; how long they are deaf is a guess."""

    def hear(self, received: ServerAnswer, now: float) -> list[ClientMessage]:
        return (
            []
            if received.answer.kind == "OFFER" and now - self.discovered < DEAF_SECONDS
            else super().hear(received, now)
        )
