"""Reply profiles: the ways in which a boot offer can be made, for firmware that does not take the standard one. PURE.

Which of them a client gets is the box's decision (appliance/adaptation.py); what each changes in the packet is
proxy.py's, and when it leaves is server.py's.
"""

from enum import StrEnum


class Profile(StrEnum):
    """How the offer to a client is made."""

    STANDARD = "standard"
    VENDOR_OPTIONS = "with option 43"
    PLAIN = "without option 43"
    DELAYED = "delayed"
    SHIM = "shim"
