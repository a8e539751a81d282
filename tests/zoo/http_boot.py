"""UEFI HTTP boot as EDK2 implements it (NetworkPkg/HttpBootDxe, HttpBootDhcp4.c).

It gathers offers as in PXE, and takes the lease of one and the URL of another. Of an offer without the class HTTPClient
it uses only the lease. No port 4011, no TFTP.
"""

from tests.fakes.dhcp_client import UUID
from tests.zoo.firmware import Firmware, Options, ServerAnswer


class HttpBoot(Firmware):
    """x64, architecture 16."""

    def options(self) -> Options:
        return [(97, UUID), (94, b"\x01\x03\0"), (93, b"\0\x10"), (60, b"HTTPClient:Arch:00016:UNDI:003016")]

    def choose(self, now: float) -> tuple[ServerAnswer, ServerAnswer] | None:
        lease = next((offer for offer in self.offers if offer.is_lease), None)
        urls = [offer for offer in self.offers if offer.vendor_class.startswith("HTTPClient") and "://" in offer.file]
        return (lease, urls[0]) if lease and urls else None

    def ask(self, boot: ServerAnswer) -> str:
        return ""
