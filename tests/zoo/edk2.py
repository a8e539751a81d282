"""PXE in UEFI firmware as EDK2 implements it: the version of 2014, which many PCs still have, and versions since 2018.

From NetworkPkg/UefiPxeBcDxe (PxeBcDhcp4.c) and Dhcp4Dxe (Dhcp4Io.c): it gathers offers until the timeout of a DISCOVER
is over, and only then chooses. Without a good one it asks again after 4, 8 and 16 s, and gives up 32 s later. An offer
of PXEClient with sub-options 6 to 10 in option 43 is "PXE10", one without them is "BINL"; after a BINL offer it asks
port 4011 of siaddr, or of option 54. Until April 2017 a bug in PxeBcCacheDhcp4Offer dropped every PXE10 offer that came
from a proxy (tianocore/edk2#6944): to such firmware it is as if there were no boot server.
"""

from tests.fakes.dhcp_client import firmware
from tests.zoo.firmware import Firmware, Options, ServerAnswer

_DISCOVERY = {6, 7, 8, 9, 10}
_JUST_BOOT = 8


class Edk2(Firmware):
    """EDK2 since 2018; it asks for the size of a file first, then reads it in windows."""

    ask_timeouts = (1, 2, 3, 4)
    ask_port = 4011
    file_options = {"blksize": 1468, "windowsize": 4}  # noqa: RUF012 - never changed
    sized = True

    def options(self) -> Options:
        return firmware(7, undi="003016")

    def choose(self, now: float) -> tuple[ServerAnswer, ServerAnswer] | None:
        leases = [offer for offer in self.offers if offer.is_lease]
        own = next((offer for offer in leases if offer.vendor_class.startswith("PXEClient")), None)
        if own:
            return own, own
        proxies = [offer for offer in self.offers if not offer.is_lease and offer.vendor_class.startswith("PXEClient")]
        kept = [offer for offer in proxies if self.keeps(offer)]
        if leases and kept:
            return leases[0], next((offer for offer in kept if _is_pxe10(offer)), kept[0])
        direct = next((offer for offer in leases if offer.file), None)
        return (direct, direct) if direct else None

    def keeps(self, proxy: ServerAnswer) -> bool:
        """Whether it remembers the offer of a proxy."""
        return True

    def ask(self, boot: ServerAnswer) -> str:
        if not boot.vendor_class.startswith("PXEClient"):
            return ""
        control = boot.vendor_options.get(6, b"\0")[0]
        return "" if _is_pxe10(boot) and control & _JUST_BOOT and boot.file else boot.boot_server


class Edk2Of2014(Edk2):
    """With the bug, and without windows (RFC 7440), which came in 2020."""

    file_options = {"blksize": 1468}  # noqa: RUF012 - never changed

    def keeps(self, proxy: ServerAnswer) -> bool:
        return not _is_pxe10(proxy)


def _is_pxe10(offer: ServerAnswer) -> bool:
    return bool(_DISCOVERY & offer.vendor_options.keys())
