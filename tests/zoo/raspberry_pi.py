"""A Raspberry Pi 3 or 4 with its own boot loader (the Raspberry Pi documentation, "Network booting" and "Raspberry Pi
bootloader configuration"; raspberrypi/rpi-eeprom#82 and #182).

It says that it is a BIOS (architecture 0), its REQUEST lacks option 60, and it boots only from an offer whose option 43
contains "Raspberry Pi Boot". It ignores the file name in the offer and reads files with fixed names: a Pi 3
`bootcode.bin` first, a Pi 4 those in a folder named after its serial number, and then those in the root.
"""

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import UUID
from tests.zoo.firmware import ClientMessage, Firmware, Load, Options, ServerAnswer

_WANTED = b"Raspberry Pi Boot"


class RaspberryPi(Firmware):
    """A Pi 4 with the serial number `serial`, or a Pi 3 without one."""

    timeouts = (4,) * 11
    """DHCP_REQ_TIMEOUT, 4 s, until DHCP_TIMEOUT, 45 s."""
    file_options = {"blksize": 1024, "tsize": 0}  # noqa: RUF012 - never changed

    def __init__(self, mac: MacAddress, xid: int = 0x4000, *, serial: str = "") -> None:
        super().__init__(mac, xid)
        self.serial = serial

    def options(self) -> Options:
        return [*self.request_options(), (60, b"PXEClient:Arch:00000:UNDI:002001")]

    def request_options(self) -> Options:
        return [(55, bytes([1, 3, 43, 60, 66, 67, 128, 129])), (93, b"\0\0"), (94, b"\x01\x02\x01"), (97, UUID)]

    def choose(self, now: float) -> tuple[ServerAnswer, ServerAnswer] | None:
        lease = next((offer for offer in self.offers if offer.is_lease), None)
        boots = [offer for offer in self.offers if _WANTED in offer.answer.options.get(43, b"")]
        return (lease, boots[0]) if lease and boots else None

    def ask(self, boot: ServerAnswer) -> str:
        return ""

    def names(self) -> list[str]:
        """The files that it asks for first, in order; those in its own folder need not exist."""
        if not self.serial:
            return ["bootcode.bin", "bootsig.bin"]
        return [f"{self.serial}/start4.elf", f"{self.serial}/config.txt", "config.txt", "start4.elf", "fixup4.dat"]

    def _load(self, boot: ServerAnswer) -> list[ClientMessage]:
        done = super()._load(boot)
        if isinstance(self.outcome, Load):
            self.outcome = Load(self.outcome.server, self.names()[0], self.file_options)
        return done
