"""What the box has learned about a PC's firmware, as people and scripts see it. PURE."""

from dataclasses import dataclass

from appliance.firmware.knowledge import FirmwareKnowledge
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class FirmwareView:
    """The offer that one firmware of a PC gets, and why. `firmware` is its fingerprint, `profile` the kind of offer.

    `worked`: a boot loader offered this way has run. `at` is in seconds since the epoch.
    """

    mac: str
    firmware: str
    profile: str
    worked: bool
    why: str
    at: float

    @property
    def summary(self) -> str:
        """The offer and its result, in one line."""
        because = f" because {self.why}" if self.why else ""
        return f"{self.profile}{because}, {'works' if self.worked else 'has not worked yet'} ({self.firmware})"


def firmware_view(mac: MacAddress, known: FirmwareKnowledge) -> FirmwareView:
    """What is known of one firmware of the PC `mac`."""
    return FirmwareView(str(mac), known.fingerprint, known.profile.value, known.worked, known.why.value, known.at)
