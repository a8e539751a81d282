"""What a client is offered, and the profile of the reply: how it is offered. PURE.

A profile other than the standard one is for firmware that does not take the standard offer. Which one a client gets is
decided in appliance/firmware/rules.py; what each changes in the packet is in pxe_rules.py.
"""

from enum import StrEnum

from services.values import value


class Profile(StrEnum):
    """How the offer to a client is made."""

    STANDARD = "standard"
    VENDOR_OPTIONS = "with option 43"
    PLAIN = "without option 43"
    DELAYED = "delayed"
    SHIM = "shim"


@value
class BootPlan:
    """What a client is offered: `boot_file` is a path under the boot root, or an http URL for iPXE and HTTP boot;
    `profile` is how it is offered."""

    boot_file: str
    profile: Profile = Profile.STANDARD
